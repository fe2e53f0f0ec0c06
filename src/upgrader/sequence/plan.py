"""A plan: what a run would do, where it would stop and why. Plain values; running takes one of these."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from upgrader.model import Quarantine, Step
    from upgrader.version import ApplicationVersion, ReleaseVersion


@dataclass(frozen=True, slots=True)
class Selection:
    """The workspaces that were asked for; empty means all.

    Attributes:
        workspace_ids: only these.
        start_from: this one and all after it in order.
        count_limit: the first so many of what is left of the selection.
    """

    workspace_ids: tuple[str, ...] = ()
    start_from: str | None = None
    count_limit: int | None = None

    @property
    def is_filtered(self) -> bool:
        """Whether anything was asked for."""
        return bool(self.workspace_ids) or self.start_from is not None or self.count_limit is not None


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What the operator and the settings ask for.

    Attributes:
        to: the highest version to go to; None for `app_version`.
        run_missing: missing steps are run at their place instead of refused.
        unenrolled_run_all: an unenrolled workspace counts as enrolled at the beginning.
        attempted: ids of workspaces that failed or were left alone in this run: not tried again in it,
            they hold the barrier.
        under_way: something ran in this run already: an unenrolled workspace is left alone and holds the
            barrier instead of refusing the run.
    """

    app_version: ApplicationVersion
    to: ReleaseVersion | None = None
    include_slow: bool = False
    defer_slow: bool = False
    run_missing: bool = False
    allow_ahead: bool = False
    oldest_supported: ReleaseVersion | None = None
    unenrolled_run_all: bool = False
    selection: Selection = field(default_factory=Selection)
    attempted: frozenset[str] = frozenset()
    under_way: bool = False


class RefusalReason(StrEnum):
    """Why a plan may not be run at all."""

    MISSING_STEPS = "missing-steps"
    UNENROLLED_WORKSPACES = "unenrolled-workspaces"
    AHEAD = "ahead"
    COMPLETED_STEP_GONE = "completed-step-gone"
    UNSUPPORTED_VERSION = "unsupported-version"
    NO_WORKSPACE_SOURCE = "no-workspace-source"
    NO_WORKSPACE_IN_SCOPE = "no-workspace-in-scope"
    UNKNOWN_WORKSPACE = "unknown-workspace"
    QUARANTINED_WORKSPACE = "quarantined-workspace"
    SELECTION_BEHIND_BARRIER = "selection-behind-barrier"
    IRREVERSIBLE = "irreversible"
    BELOW_BASELINE = "below-baseline"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason why nothing may run, with what to type next.

    Attributes:
        subjects: the step names or workspace ids that it is about, all of them, in order.
    """

    reason: RefusalReason
    message: str
    hint: str
    subjects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkspaceTask:
    """The pending steps of one workspace in one segment. Equal step tuples are shared between tasks."""

    workspace_id: str
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class PlannedVersion:
    """What would run of one version.

    Attributes:
        instance_steps: pending fast, then slow steps that would run; on the way down the newest first.
        deferred: pending slow steps that would be left out.
        tasks: the segment: workspaces with something to run, in order.
        waiting: workspace steps that wait for a deferred slow step, with the number of workspaces.
        late: ids of workspaces that are being taken through this version after the instance went past it.
    """

    version: ReleaseVersion
    instance_steps: tuple[Step, ...] = ()
    deferred: tuple[Step, ...] = ()
    tasks: Sequence[WorkspaceTask] = ()
    waiting: tuple[tuple[Step, int], ...] = ()
    late: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing would run."""
        return not self.instance_steps and not self.tasks

    @property
    def step_count(self) -> int:
        """How many steps would run, over all scopes."""
        return len(self.instance_steps) + sum(len(task.steps) for task in self.tasks)


class StopReason(StrEnum):
    """Why a plan ends before the sequence does."""

    SLOW_DEFERRED = "slow-deferred"
    WORKSPACES_LEFT = "workspaces-left"
    FILTERED = "filtered"
    NO_WORKSPACE_SOURCE = "no-workspace-source"


@dataclass(frozen=True, slots=True)
class Stop:
    """Where a plan ends early, and what holds it.

    Attributes:
        before: the version whose first step does not start; for FILTERED the next version with anything
            to run in an unfiltered run, or the same one where others are left in it; None if nothing is left.
        steps: slow steps that hold the barrier.
        workspace_ids: workspaces that hold the barrier, or, for FILTERED, that are left in the segment.
    """

    reason: StopReason
    before: ReleaseVersion | None
    message: str
    hint: str
    steps: tuple[Step, ...] = ()
    workspace_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QuarantinedWorkspace:
    """A workspace that is set aside.

    Attributes:
        misses: the first version of which something is pending in it; None where nothing is.
    """

    workspace_id: str
    quarantine: Quarantine
    misses: ReleaseVersion | None


@dataclass(frozen=True)
class Plan:
    """What a run would do.

    Attributes:
        versions: what would run, ascending; versions with nothing to run and nothing deferred are left out.
        stop: where it ends early; None if it reaches the end.
        refusals: if there are any, nothing may run (`versions` is then what would run without them).
        warnings: sentences for the operator: running out of order, ahead, zero workspaces, …
        target: the version that a complete run reaches.
        quarantined: the workspaces that are set aside, in order: the run leaves them alone.
    """

    versions: Sequence[PlannedVersion] = ()
    stop: Stop | None = None
    refusals: tuple[Refusal, ...] = ()
    warnings: tuple[str, ...] = ()
    target: ReleaseVersion | None = None
    quarantined: tuple[QuarantinedWorkspace, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing would run."""
        return all(version.is_empty for version in self.versions)

    @property
    def deferred(self) -> tuple[Step, ...]:
        """All slow steps that would be left out."""
        return tuple(step for version in self.versions for step in version.deferred)
