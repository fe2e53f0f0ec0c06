"""Attempts: the rows of the history."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from upgrader.model.scope import Scope
from upgrader.version import ReleaseVersion


class AttemptStatus(StrEnum):
    """What became of an attempt."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    SKIPPED = "skipped"
    REVERTED = "reverted"


class Direction(StrEnum):
    """Which way an attempt goes: `down` takes a step back."""

    UP = "up"
    DOWN = "down"

    @property
    def done(self) -> AttemptStatus:
        """What a step is after a successful attempt."""
        return AttemptStatus.COMPLETED if self is Direction.UP else AttemptStatus.REVERTED


@dataclass(frozen=True, slots=True)
class Attempt:
    """One row of the history: one try at one step in one scope, or a mark.

    Attributes:
        id: order of attempts, given by the database; 0 before it is stored.
        name: the step's full name; for a mark `{version}_enrolment` or `{version}_baseline`.
        kind: `fast-instance`, `slow-instance` or `workspace`.
        version: the step's version; `start` for an enrolment at the beginning.
        attempt: 1, 2, …
        is_initial: a mark, not an execution.
        direction: whether it ran the step or took it back.
        changes_state: False for an attempt to take the step back of which nothing was kept: the step is as
            the attempt before says.
        error_message: why it failed, or was skipped.
        forgotten_at: when its workspace was forgotten: it belongs to an earlier life of the id and counts no more.
        folded: how many attempts right before it, in vain like it, were folded into it.
        folded_since: when the first of them began; None where there are none.
        life: the life of the workspace's id in which it was planned, as `Progress.life`; None
            is any. It is not kept.
    """

    name: str
    kind: str
    version: str
    scope: Scope
    status: AttemptStatus
    attempt: int
    executed_by_version: str
    checksum: str
    is_initial: bool = False
    direction: Direction = Direction.UP
    changes_state: bool = True
    error_message: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    forgotten_at: datetime | None = None
    folded: int = 0
    folded_since: datetime | None = None
    life: int | None = None
    id: int = 0


@dataclass(frozen=True, slots=True)
class StepState:
    """The state of a step in a scope: the status and number of its latest attempt."""

    status: AttemptStatus
    attempt: int


@dataclass(frozen=True, slots=True)
class Enrolment:
    """The version at which a scope entered: every step at or below it counts as done.

    `version` is None for the beginning: nothing counts as done.

    Attributes:
        is_baseline: the mark adopts what somebody else made: the way down ends there.
    """

    version: ReleaseVersion | None = None
    is_baseline: bool = field(default=False, compare=False)

    @property
    def text(self) -> str:
        """`start`, or the version."""
        return "start" if self.version is None else self.version.text

    def covers(self, version: ReleaseVersion) -> bool:
        """Tell whether steps of `version` count as done."""
        return self.version is not None and version <= self.version

    @classmethod
    def parse(cls, text: str) -> Enrolment:
        """Read `start` or a release version."""
        return cls() if text == "start" else cls(ReleaseVersion.parse(text))
