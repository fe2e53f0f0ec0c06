"""Why something is not at the newest version, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

NAMED_AT_MOST = 5


class Subject(StrEnum):
    """What is asked about."""

    WORKSPACE = "workspace"
    STEP = "step"


class Cause(StrEnum):
    """Why, in one word. The first three are no reason to do anything."""

    UP_TO_DATE = "up-to-date"
    COMPLETED = "completed"
    COUNTS_AS_DONE = "counts-as-done"
    AHEAD = "ahead"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    RUNNING = "running"
    SKIPPED = "skipped"
    TAKEN_BACK = "taken-back"
    EARLIER_STEP = "earlier-step"
    MISSING = "missing"
    WAITS_FOR_SLOW = "waits-for-slow"
    SLOW = "slow"
    BEHIND_INSTANCE = "behind-instance"
    BEHIND_SLOW = "behind-slow"
    BEHIND_WORKSPACES = "behind-workspaces"
    PENDING = "pending"
    LATE = "late"
    DORMANT = "dormant"
    NOT_ENROLLED = "not-enrolled"
    OUT_OF_SCOPE = "out-of-scope"
    QUARANTINED = "quarantined"
    NO_LONGER_IN_CODE = "no-longer-in-code"
    RUN_REFUSED = "run-refused"
    RUN_AT_WORK = "run-at-work"


@dataclass(frozen=True, slots=True)
class Try:
    """The latest attempt that a reason is about.

    Attributes:
        at: when it ended, or began where it never did.
        error: the text of the history; None where there is none.
    """

    workspace_id: str | None
    step: str
    attempt: int
    at: datetime | None
    executed_by_version: str
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """One part of the answer.

    Attributes:
        message: a sentence.
        steps: the steps that it is about, the first few.
        workspace_ids: the workspaces that it is about, the first few.
        workspace_count: how many these are in all.
        failed_count: how many of what it is about failed, where that matters: a run takes the others along.
        tries: what became of the latest attempts, of a few.
        hint: what to do about it, where its cause alone does not say.
    """

    cause: Cause
    message: str
    steps: tuple[str, ...] = ()
    workspace_ids: tuple[str, ...] = ()
    workspace_count: int = 0
    failed_count: int = 0
    tries: tuple[Try, ...] = ()
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer.

    Attributes:
        name: the id of the workspace, or the full name of the step.
        title: names it for people.
        version: where a workspace stands; the version that a step belongs to. None where nothing is known.
        target: the version that a complete upgrade reaches.
        is_fine: whether nothing needs to be done.
        reasons: the one that counts most first.
        next: what to type or do, in order.
    """

    subject: Subject
    name: str
    title: str
    version: str | None
    target: str | None
    is_fine: bool
    reasons: tuple[Reason, ...]
    next: tuple[str, ...] = ()
