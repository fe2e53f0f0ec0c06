"""What a run came to, as a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from upgrader.errors import RunError
from upgrader.events import SegmentFinished
from upgrader.model import (
    AttemptStatus,
    Blocker,
    Direction,
    FailureLimit,
    Outcome,
    PreflightFinding,
    Scope,
    Step,
)
from upgrader.sequence.plan import QuarantinedWorkspace, Refusal, Stop, WorkspaceTask
from upgrader.version import ReleaseVersion


@dataclass(frozen=True, slots=True)
class StepResult:
    """What became of one attempt at a step in a scope.

    Attributes:
        status: `completed` (`reverted` on the way down), `failed`, `skipped` or `interrupted`.
        tries: how often its transaction was tried.
        error: the text of the history, redacted and cut: the error, or why it was skipped; None if completed.
        waited_seconds: how long its statements waited for locks, as far as that was seen.
        paused_seconds: how long it rested between tries.
        blockers: who was in its way last, where it was not completed.
    """

    step: Step
    scope: Scope
    attempt: int
    status: AttemptStatus
    seconds: float
    tries: int = 1
    error: str | None = None
    waited_seconds: float = 0.0
    paused_seconds: float = 0.0
    blockers: tuple[Blocker, ...] = ()

    @property
    def is_completed(self) -> bool:
        """Whether the attempt did what it was to do."""
        return self.status in (AttemptStatus.COMPLETED, AttemptStatus.REVERTED)


@dataclass(slots=True)
class StepSummary:
    """One step over all scopes.

    Attributes:
        tries: how often its transactions were tried, all attempts together.
    """

    step: Step
    completed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    tries: int = 0
    waited_seconds: float = 0.0
    paused_seconds: float = 0.0

    def add(self, result: StepResult) -> None:
        """Count one attempt."""
        self.seconds += result.seconds
        self.tries += result.tries
        self.waited_seconds += result.waited_seconds
        self.paused_seconds += result.paused_seconds
        if result.is_completed:
            self.completed += 1
        elif result.status is AttemptStatus.SKIPPED:
            self.skipped += 1
        else:
            self.failed += 1


@dataclass(slots=True)
class SegmentResult:
    """The workspaces of one version."""

    version: ReleaseVersion
    total: int
    done: int = 0
    failed: int = 0
    skipped: int = 0
    left_out: int = 0
    seconds: float = field(default=0.0, compare=False)  # by the clock

    def finished(self, seconds: float) -> SegmentFinished:
        """Keep how long it took by the clock, and give the event of its end."""
        self.seconds = seconds
        return SegmentFinished(
            self.version, self.done, self.failed, self.left_out, seconds, skipped=self.skipped
        )

    def count(self, end: StepResult | None) -> str:
        """Count a workspace by the step at which it ended, None if it came through; give the word for it."""
        if end is None:
            self.done += 1
            return "done"
        self.failed += end.status is AttemptStatus.FAILED
        self.skipped += end.status is AttemptStatus.SKIPPED
        told = (AttemptStatus.FAILED, AttemptStatus.SKIPPED)
        return end.status.value if end.status in told else "interrupted"


@dataclass(frozen=True, slots=True)
class TooManyFailures:
    """Why a segment was ended before all its workspaces had their turn.

    Attributes:
        failed: how many had failed then.
        left_workspaces: how many had not begun.
    """

    version: ReleaseVersion
    limit: FailureLimit
    failed: int
    left_workspaces: int


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


@dataclass(frozen=True, slots=True)
class ReportMark:
    """How many failures, skipped steps and steps a report had at some time."""

    failures: int
    skipped: int
    steps: int


@dataclass(slots=True)
class WorkerShare:
    """What one worker did of a run over several machines.

    Attributes:
        name: its host and process.
        lanes: how many workspaces it worked on at a time, at most.
        workspaces: that had their turn with it, whatever became of them.
        steps: completed ones.
        failed: workspaces that failed.
        seconds: by the clock, from its first workspace to its last.
        end: `worked`, `refused` (it has other code), `lost` (it died, or was cut off), `left` (it was stopped).
        note: why, where it did not work to the end.
    """

    name: str
    lanes: int = 0
    workspaces: int = 0
    steps: int = 0
    failed: int = 0
    seconds: float = 0.0
    end: str = "worked"
    note: str | None = None

    @property
    def rate(self) -> float:
        """Workspaces a second; 0.0 where it had none."""
        return self.workspaces / self.seconds if self.seconds > 0 else 0.0


@dataclass
class RunReport:
    """A run, told afterwards. Grows with failures, not with workspaces.

    Attributes:
        outcome: how it ended.
        simulated_to: for a dry run that ended early: the highest version that was looked at wholly.
        late: ids of workspaces that were taken through a version after the database had gone past it.
        skipped: steps that their commands put off; each is tried again by the next run.
        quarantined: the workspaces that were set aside when the run ended: it left them alone.
        too_many_failures: what ended a segment early; None where nothing did.
        left: how many steps were planned and not begun, where the run was stopped.
        preflight: what was found before the first statement.
        jobs: how many workspaces at a time were asked for: a number, or `auto`.
        highest_lanes: how many were worked on at a time at most, as far as `auto` let them,
        last_lanes: and at the end.
        error: what cut the run off: a lost connection, a lost lock, a history that cannot be written.
        workers: who did its workspaces, where it was distributed over machines; else nobody.
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
    skipped: list[StepResult] = field(default_factory=list)
    quarantined: Sequence[QuarantinedWorkspace] = ()
    too_many_failures: TooManyFailures | None = None
    deferred: Sequence[Step] = ()
    refusals: Sequence[Refusal] = ()
    warnings: list[str] = field(default_factory=list)
    stop: Stop | None = None
    unenrolled: Sequence[str] = ()
    late: dict[str, None] = field(default_factory=dict)  # in the order in which they came
    signal_name: str | None = None
    left: int = 0
    jobs: str = "1"
    highest_lanes: int = 1
    last_lanes: int = 1
    error: RunError | None = None
    simulated_to: ReleaseVersion | None = None
    not_simulated: list[NotSimulated] = field(default_factory=list)
    table_locks: list[TableLock] = field(default_factory=list)
    preflight: Sequence[PreflightFinding] = ()
    workers: list[WorkerShare] = field(default_factory=list)

    @property
    def completed(self) -> int:
        """How many steps were completed, or reverted on the way down, over all scopes."""
        return sum(summary.completed for summary in self.steps.values())

    def add(self, result: StepResult) -> None:
        """Count one attempt; keep it where it failed or was skipped."""
        summary = self.steps.get(result.step.name)
        if summary is None:
            summary = self.steps[result.step.name] = StepSummary(result.step)
        summary.add(result)
        if result.status is AttemptStatus.SKIPPED:
            self.skipped.append(result)
        elif not result.is_completed:
            self.failures.append(result)

    def has_failed(self, *, is_stopping: bool) -> bool:
        """Tell whether a step failed, or was cancelled; a run that is to stop interrupts steps that have not."""
        return any(one.status is AttemptStatus.FAILED or not is_stopping for one in self.failures)

    def ends_early(self, segment: SegmentResult, limit: FailureLimit, *, left_workspaces: int) -> bool:
        """Tell whether a segment has too many failures to go on, and keep that it ended for it.

        A run of one segment after the other counts what failed in a version before, too.
        """
        if not limit.is_reached(failed=segment.failed, total=segment.total):
            return False
        self.too_many_failures = TooManyFailures(segment.version, limit, segment.failed, left_workspaces)
        return True

    def mark(self) -> ReportMark:
        """Give how far the report is, before a segment."""
        return ReportMark(len(self.failures), len(self.skipped), len(self.steps))

    def bring_into_order(
        self, since: ReportMark, tasks: Sequence[WorkspaceTask], *, is_down: bool = False
    ) -> None:
        """Sort what a segment has added as one lane would have told it."""
        for results, known in ((self.failures, since.failures), (self.skipped, since.skipped)):
            if len(results) > known + 1:
                places = {task.workspace_id: place for place, task in enumerate(tasks)}
                results[known:] = sorted(
                    results[known:], key=lambda one: places.get(one.scope.workspace_id or "", 0)
                )
        added = [(name, self.steps.pop(name)) for name in list(self.steps)[since.steps :]]
        added.sort(key=lambda one: one[1].step.sort_key, reverse=is_down)
        self.steps.update(added)

    def note_lanes(self, lanes: int) -> None:
        """Keep how many workspaces are worked on at a time from here on."""
        self.last_lanes = lanes
        self.highest_lanes = max(self.highest_lanes, lanes)

    def segment(self, version: ReleaseVersion) -> SegmentResult:
        """Give the counts of a version's workspaces."""
        return self.segments.setdefault(version, SegmentResult(version, 0))
