"""A status, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from upgrader.model import AttemptStatus, Step
    from upgrader.sequence.missing import MissingStep
    from upgrader.sequence.plan import QuarantinedWorkspace, Refusal
    from upgrader.status.health import Health
    from upgrader.status.rows import WorkspaceRows
    from upgrader.status.running import RunningUpgrade
    from upgrader.version import ReleaseVersion


@dataclass(frozen=True, slots=True)
class FailedStep:
    """The latest attempt at a pending step, which failed, was skipped or was cut off.

    Attributes:
        status: `failed`, `skipped` or `interrupted`; `running` where its run has died since.
        error: as in the history, the reason where it was skipped; of a workspace's step the first line only.
            None for a dead run's.
        finished_at: None for a dead run's.
    """

    name: str
    attempt: int
    status: AttemptStatus
    error: str | None
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def error_line(self) -> str | None:
        """The first line of the error."""
        return first_line(self.error)


@dataclass(frozen=True, slots=True)
class ScopeStatus:
    """How the instance is.

    Attributes:
        inferred_version: the highest version of which, and of all before it, nothing but slow steps is
            pending; None where nothing is done or known.
        last_step: the name of the completed step that stands last in the sequence; None where there is none.
        pending_count: how many due steps are pending, slow ones too.
        enrolled_at: `start` or the version of its mark; None where there is no mark yet.
        failed_steps: in order.
    """

    health: Health
    inferred_version: ReleaseVersion | None
    last_step: str | None
    pending_count: int
    enrolled_at: str | None
    failed_steps: tuple[FailedStep, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkspaceStatus:
    """How one workspace is; the attributes that `ScopeStatus` has mean the same.

    Attributes:
        status: what the workspace table or provider says; None where it says none.
        pending_count: of a workspace that is not enrolled: what would run after `--at start`.
        failed_step: the first failed step in order; None where there is none.
        note: `not enrolled`, the reason of a quarantine, or None.
    """

    workspace_id: str
    display_name: str | None
    status: str | None
    health: Health
    inferred_version: ReleaseVersion | None
    last_step: str | None
    pending_count: int
    enrolled_at: str | None
    failed_step: FailedStep | None = None
    note: str | None = None

    @property
    def error(self) -> str | None:
        """The first line of the error."""
        return self.failed_step.error_line if self.failed_step else None


@dataclass(frozen=True, eq=False)
class StatusReport:
    """How the database is, at one moment.

    Attributes:
        target: the version that a complete upgrade reaches; None where no step is due.
        is_first: there is no history yet; everything then counts as enrolled at the beginning.
        summary: the number of workspaces of each health, over all in scope; every health is there.
        judged: the same over those that were asked for by id (all in scope that are not set aside where none
            was): what `is_good` goes by.
        quarantined: the workspaces in scope that are set aside.
        out_of_scope: how many workspaces have a status that is not configured.
        unenrolled: ids of the workspaces in scope that are not enrolled and hold every run.
        deferred: the pending slow steps.
        missing: steps that were never tried though later ones are done.
        refusals: why `upgrade` would not begin, as far as it concerns what was asked for.
        warnings: sentences for the operator.
        running: the upgrade that is at work; None where there is none.
        rows: the workspaces that were asked for, in order; made one by one when they are read.
    """

    database: str
    app_version: str
    target: ReleaseVersion | None
    is_first: bool
    instance: ScopeStatus
    summary: Mapping[Health, int]
    judged: Mapping[Health, int]
    out_of_scope: int
    rows: WorkspaceRows
    quarantined: tuple[QuarantinedWorkspace, ...] = ()
    unenrolled: tuple[str, ...] = ()
    deferred: tuple[Step, ...] = ()
    missing: tuple[MissingStep, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    warnings: tuple[str, ...] = ()
    running: RunningUpgrade | None = None

    @property
    def workspace_count(self) -> int:
        """How many workspaces are in scope."""
        return sum(self.summary.values())

    def is_good(self, include_slow: bool = False) -> bool:
        """Tell whether an application may go on: nothing is left that must be done, and nothing refused.

        The instance always counts. A workspace that is not enrolled and a missing step leave their scope
        behind, so they are not good either.

        Args:
            include_slow: whether slow steps must be done, too.
        """
        found = [self.instance.health, *(health for health, count in self.judged.items() if count)]
        return not self.refusals and all(health.is_good(include_slow=include_slow) for health in found)


def first_line(text: str | None) -> str | None:
    """Give the first line of a text that is not blank; None of None."""
    if text is None:
        return None
    return next((line for line in text.splitlines() if line.strip()), "")
