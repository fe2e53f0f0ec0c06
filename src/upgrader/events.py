"""What happens in a run: one frozen dataclass per thing, and where they go.

Console, log and worker are sinks of the same events. A sink that raises never fails a run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from upgrader.model import (
    AttemptStatus,
    Blocker,
    Direction,
    IndexProgress,
    LockWait,
    PreflightFinding,
    Scope,
    Step,
    Workspace,
)
from upgrader.version import ReleaseVersion


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a run."""


@dataclass(frozen=True, slots=True)
class Notice(Event):
    """A sentence for the operator. `level` is `info` or `warning`."""

    message: str
    level: str = "info"


@dataclass(frozen=True, slots=True)
class CheckMoved(Event):
    """A check has come to something else; `at` says to what, for people."""

    at: str


@dataclass(frozen=True, slots=True)
class PreflightFound(Event):
    """Something that may stand in the way of the run that is about to begin."""

    finding: PreflightFinding


@dataclass(frozen=True, slots=True)
class AuthorLog(Event):
    """A line that a command logged."""

    message: str
    level: str
    scope: Scope
    step_name: str


@dataclass(frozen=True, slots=True)
class RunStarted(Event):
    """A run holds the lock and is about to look at the database."""

    run_id: str
    app_version: str
    dry_run: bool
    database: str


@dataclass(frozen=True, slots=True)
class FirstUpgrade(Event):
    """The database has no history: everything is enrolled at the beginning."""

    tables: int
    workspaces: int


@dataclass(frozen=True, slots=True)
class Waiting(Event):
    """The run waits for somebody else; sent about once a second while it does.

    Attributes:
        reason: `run-lock`, `fence`, `barrier-lock`, `workspaces`, `workspace-lock` or `workers`.
        message: whom it waits for, and what they do.
        seconds: how long it has waited.
    """

    reason: str
    message: str
    seconds: float


@dataclass(frozen=True, slots=True)
class LanesChanged(Event):
    """A run that chooses by itself how many workspaces it works on at a time has changed its mind."""

    lanes: int
    before: int
    reason: str


@dataclass(frozen=True, slots=True)
class VersionStarted(Event):
    """The run enters a version."""

    version: ReleaseVersion
    instance_steps: int
    workspaces: int


@dataclass(frozen=True, slots=True)
class StepStarted(Event):
    """An attempt begins."""

    step: Step
    scope: Scope
    attempt: int


@dataclass(frozen=True, slots=True)
class StatementExecuted(Event):
    """A command's statement was executed, or failed (only sent in a run that is watched: verbose, or captured).

    Attributes:
        file: of the author's line that issued it, absolute; None where no line is known.
        line: from 1.
        in_transaction: whether a transaction was open.
        escapes_percent: whether `%%` in it stands for `%`.
        is_helped: whether a helper of the product sent it for that line.
        transaction: the same number for all that was issued in one transaction.
        has_failed: whether the server refused it.
        direction: which way the step was taken.
    """

    scope: Scope
    step_name: str
    statement: str
    parameters: Any
    seconds: float
    row_count: int
    file: str | None = None
    line: int | None = None
    in_transaction: bool = True
    escapes_percent: bool = False
    is_helped: bool = False
    transaction: int = 0
    has_failed: bool = False
    direction: Direction = Direction.UP


@dataclass(frozen=True, slots=True)
class StepRetried(Event):
    """A transaction is repeated after a lock timeout, deadlock or serialization failure.

    Attributes:
        tries: how often it was tried until now.
        pause_seconds: how long it rests before the next try.
        blockers: who was in the way, as far as that was seen.
        waited_seconds: how long the attempt has waited for locks until now.
    """

    step: Step
    scope: Scope
    tries: int
    reason: str
    pause_seconds: float
    blockers: tuple[Blocker, ...] = ()
    waited_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class StepProgress(Event):
    """A step builds an index outside a transaction, or waits where no lock timeout ends it; about once a second.

    Attributes:
        seconds: how long it has been at it.
        index: how far the index is; None where it builds none.
        wait: what it waits for just now; None where it works.
    """

    step: Step
    scope: Scope
    seconds: float
    index: IndexProgress | None = None
    wait: LockWait | None = None


@dataclass(frozen=True, slots=True)
class BackfillMoved(Event):
    """A backfill went on, or waits; sent about once a second, and at its end.

    Attributes:
        label: what tells the backfills of one step apart; the table's name if nothing else was given.
        rows_done: rows of the table that it went through, by all runs together.
        rows_estimated: rows of the table by the planner's statistics when it began; None where there are none.
        batches: committed, by all runs together.
        batch_rows: the size of the next batch.
        rows_per_second: lately; None before the first batch of this run.
        waiting_for: what it waits for; None while it works.
        waiting_seconds: for how long; 0.0 while it works.
        is_finished: whether nothing is left to go through.
    """

    step: Step
    scope: Scope
    label: str
    rows_done: int
    rows_estimated: int | None
    batches: int
    batch_rows: int
    rows_per_second: float | None = None
    waiting_for: str | None = None
    waiting_seconds: float = 0.0
    is_finished: bool = False


@dataclass(frozen=True, slots=True)
class StepFinished(Event):
    """An attempt ended."""

    step: Step
    scope: Scope
    attempt: int
    status: AttemptStatus
    seconds: float
    error: str | None = None


@dataclass(frozen=True, slots=True)
class SegmentStarted(Event):
    """The workspaces of a version begin."""

    version: ReleaseVersion
    total: int


@dataclass(frozen=True, slots=True)
class WorkspaceFinished(Event):
    """One workspace is through the segment, or failed, or was left out.

    `result` is `done`, `failed`, `skipped` (`error` is the reason then), `interrupted`, or `left-out` (gone, or
    out of scope since it was listed).
    """

    version: ReleaseVersion
    workspace: Workspace
    index: int
    total: int
    result: str
    seconds: float
    error: str | None = None


@dataclass(frozen=True, slots=True)
class SegmentFinished(Event):
    """The workspaces of a version are through, as far as they can be."""

    version: ReleaseVersion
    done: int
    failed: int
    left_out: int
    seconds: float
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class StopRequested(Event):
    """A signal arrived; the step in progress is finished, the rest is left."""

    signal_name: str
    hard: bool = False


@dataclass(frozen=True, slots=True)
class RunFinished(Event):
    """The run is over."""

    run_id: str
    outcome: str
    counts: Mapping[str, int] = field(default_factory=dict)


EventSink = Callable[[Event], None]


def ignore_events(event: Event) -> None:
    """Take an event and do nothing."""


def quiet(sink: EventSink) -> EventSink:
    """Wrap a sink so that an error in it never reaches the run; after the first one it is not called again.

    It is called by one thread at a time: what a step waits for is told by another thread than the step's.
    """
    broken = False
    lock = threading.RLock()

    def emit(event: Event) -> None:
        nonlocal broken
        if broken:
            return
        try:
            with lock:
                sink(event)
        except Exception:  # whatever a sink does, the database comes first
            broken = True

    return emit


def to_each(*sinks: EventSink) -> EventSink:
    """Give a sink that tells each of these; one that raises is not told any more, the others are."""
    quieted = [quiet(sink) for sink in sinks]

    def emit(event: Event) -> None:
        for sink in quieted:
            sink(event)

    return emit
