"""A plan of the way down: what a downgrade would take back, where it would stop and why. Plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from upgrader.sequence.plan import PlannedVersion, QuarantinedWorkspace, Refusal, Selection, Stop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from upgrader.model import AttemptStatus, Step
    from upgrader.version import ApplicationVersion, ReleaseVersion


@dataclass(frozen=True, slots=True)
class DownOptions:
    """What the operator and the settings ask for; one of `to`, `steps` and `names` says how far.

    Attributes:
        to: everything above this version is taken back.
        steps: the last so many steps of the sequence that are there in any scope.
        names: exactly these steps: what an earlier plan came to, for a run that plans again.
        unenrolled_run_all: an unenrolled workspace counts as enrolled at the beginning.
        attempted: ids of workspaces that failed or were left alone in this run: not tried again in it,
            they hold the barrier.
        under_way: something was taken back in this run already.
    """

    app_version: ApplicationVersion
    to: ReleaseVersion | None = None
    steps: int | None = None
    names: frozenset[str] | None = None
    selection: Selection = field(default_factory=Selection)
    unenrolled_run_all: bool = False
    attempted: frozenset[str] = frozenset()
    under_way: bool = False


@dataclass(frozen=True, slots=True)
class UnfinishedStep:
    """A step on the way down whose latest attempt did not come to its end: its `down` finds half of it.

    Attributes:
        status: of the latest attempt.
        workspaces: in how many workspaces; 0 for an instance step.
    """

    step: Step
    status: AttemptStatus
    workspaces: int = 0


@dataclass(frozen=True)
class DownPlan:
    """What a downgrade would do.

    Attributes:
        versions: what would be taken back, newest first: in each the workspaces, then the instance's steps,
            newest first.
        stop: where it ends early; None if it comes to its end.
        refusals: if there are any, nothing may be taken back.
        warnings: sentences for the operator.
        target: the version that was asked for; None where a number of steps was.
        steps: every step that would be taken back anywhere, newest first, also what a filter or a barrier keeps.
        unfinished: those of them that are half done somewhere, newest first.
        quarantined: the workspaces that are set aside: nothing is taken back in them.
    """

    versions: Sequence[PlannedVersion] = ()
    stop: Stop | None = None
    refusals: tuple[Refusal, ...] = ()
    warnings: tuple[str, ...] = ()
    target: ReleaseVersion | None = None
    steps: tuple[Step, ...] = ()
    unfinished: tuple[UnfinishedStep, ...] = ()
    quarantined: tuple[QuarantinedWorkspace, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing would be taken back."""
        return all(version.is_empty for version in self.versions)
