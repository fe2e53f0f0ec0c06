"""What a run came to, as a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from upgrader.errors import RunError
from upgrader.model import AttemptStatus, Direction, Outcome, Scope, Step
from upgrader.sequence.plan import Refusal, Stop
from upgrader.version import ReleaseVersion


@dataclass(frozen=True, slots=True)
class StepResult:
    """What became of one attempt at a step in a scope.

    Attributes:
        status: `completed` (`reverted` on the way down), `failed` or `interrupted`.
        tries: how often its transaction was tried.
        error: the text of the history, redacted and cut; None if completed.
    """

    step: Step
    scope: Scope
    attempt: int
    status: AttemptStatus
    seconds: float
    tries: int = 1
    error: str | None = None

    @property
    def is_completed(self) -> bool:
        """Whether the attempt did what it was to do."""
        return self.status in (AttemptStatus.COMPLETED, AttemptStatus.REVERTED)


@dataclass(slots=True)
class StepSummary:
    """One step over all scopes."""

    step: Step
    completed: int = 0
    failed: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class SegmentResult:
    """The workspaces of one version."""

    version: ReleaseVersion
    total: int
    done: int = 0
    failed: int = 0
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class NotSimulated:
    """A step that a dry run left out, and why."""

    step: Step
    reason: str


@dataclass(frozen=True, slots=True)
class TableLock:
    """An existing table that a dry run locked so that readers or writers had to wait.

    Attributes:
        table: `schema.name`; a workspace's own as `<workspace>.name`.
        seconds: for how long at most.
        count: how many tables or transactions that was.
    """

    table: str
    seconds: float
    count: int = 1


@dataclass
class RunReport:
    """A run, told afterwards. Grows with failures, not with workspaces.

    Attributes:
        outcome: how it ended.
        simulated_to: for a dry run that ended early: the highest version that was looked at wholly.
        late: ids of workspaces that were taken through a version after the database had gone past it.
        left: how many steps were planned and not begun, where the run was stopped.
        error: what cut the run off: a lost connection, a lost lock, a history that cannot be written.
    """

    run_id: str
    database: str
    app_version: str
    dry_run: bool
    started_at: datetime
    direction: Direction = Direction.UP
    outcome: Outcome = Outcome.DONE
    seconds: float = 0.0
    is_first: bool = False
    target: ReleaseVersion | None = None
    steps: dict[str, StepSummary] = field(default_factory=dict)
    segments: dict[ReleaseVersion, SegmentResult] = field(default_factory=dict)
    failures: list[StepResult] = field(default_factory=list)
    deferred: Sequence[Step] = ()
    refusals: Sequence[Refusal] = ()
    warnings: list[str] = field(default_factory=list)
    stop: Stop | None = None
    unenrolled: Sequence[str] = ()
    late: dict[str, None] = field(default_factory=dict)  # in the order in which they came
    signal_name: str | None = None
    left: int = 0
    error: RunError | None = None
    simulated_to: ReleaseVersion | None = None
    not_simulated: list[NotSimulated] = field(default_factory=list)
    table_locks: list[TableLock] = field(default_factory=list)

    @property
    def completed(self) -> int:
        """How many steps were completed, or reverted on the way down, over all scopes."""
        return sum(summary.completed for summary in self.steps.values())

    def add(self, result: StepResult) -> None:
        """Count one attempt; keep it where it failed."""
        summary = self.steps.setdefault(result.step.name, StepSummary(result.step))
        summary.seconds += result.seconds
        if result.is_completed:
            summary.completed += 1
        else:
            summary.failed += 1
            self.failures.append(result)

    def segment(self, version: ReleaseVersion) -> SegmentResult:
        """Give the counts of a version's workspaces."""
        return self.segments.setdefault(version, SegmentResult(version, 0))
