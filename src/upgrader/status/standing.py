"""What a progress comes to, worked out once for all scopes that share it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from upgrader.sequence.completed import version_of
from upgrader.sequence.pending import inferred_version, pending_steps
from upgrader.status.health import Health, has_failed, scope_health

if TYPE_CHECKING:
    from upgrader.model import Progress, Step
    from upgrader.sequence.sequence import StepSequence
    from upgrader.version import ApplicationVersion, ReleaseVersion


@dataclass(frozen=True, slots=True)
class Standing:
    """How every scope of one progress is; `ScopeStatus` says what the attributes mean."""

    health: Health
    inferred_version: ReleaseVersion | None
    last_step: str | None
    pending: tuple[Step, ...]
    failed_names: tuple[str, ...]
    enrolled_at: str | None
    is_held: bool

    @property
    def pending_count(self) -> int:
        """How many due steps are pending."""
        return len(self.pending)


@dataclass(frozen=True)
class Yardstick:
    """What scopes are measured by.

    Attributes:
        sequence: everything that is loaded.
        is_run_alive: whether a run is at work.
        unenrolled_run_all: a workspace that is not enrolled counts as enrolled at the beginning.
    """

    sequence: StepSequence
    application: ApplicationVersion
    is_run_alive: bool = False
    unenrolled_run_all: bool = False

    def measure(self, progress: Progress, *, workspace: bool) -> Standing:
        """Say how a scope of that progress is."""
        due = self.sequence.covered_by(self.application)
        pending = pending_steps(due, progress, workspace=workspace)
        failed = (
            step
            for step in pending
            if has_failed(step, progress, is_run_alive=self.is_run_alive) or progress.is_skipped(step)
        )
        return Standing(
            health=scope_health(
                due,
                progress,
                workspace=workspace,
                application=self.application,
                is_run_alive=self.is_run_alive,
                unenrolled_run_all=self.unenrolled_run_all,
            ),
            inferred_version=inferred_version(due, progress, workspace=workspace),
            last_step=last_completed(self.sequence, progress),
            pending=pending,
            failed_names=tuple(step.name for step in failed),
            enrolled_at=progress.enrolment.text if progress.enrolment else None,
            is_held=workspace and progress.enrolment is None and not self.unenrolled_run_all,
        )


class Standings:
    """The standings of the workspaces, one for each progress."""

    def __init__(self, yardstick: Yardstick) -> None:
        self._yardstick = yardstick
        # The progress is kept beside its standing: an id is only good for as long as its object lives.
        self._known: dict[int, tuple[Progress, Standing]] = {}

    def of(self, progress: Progress) -> Standing:
        """Give the standing of the workspaces of that progress."""
        found = self._known.get(id(progress))
        if found is None:
            found = (progress, self._yardstick.measure(progress, workspace=True))
            self._known[id(progress)] = found
        return found[1]


def last_completed(sequence: StepSequence, progress: Progress) -> str | None:
    """Give the completed step that stands last; those that the code does not have are placed by name."""
    known = [step for step in sequence if step.name in progress.completed]
    candidates = [(step.version, step.kind.rank, step.timestamp, step.name) for step in known[-1:]]
    for name in progress.completed - sequence.by_name.keys():
        version = version_of(name)
        if version is not None:
            candidates.append((version, 0, int(name.rpartition("_")[2]), name))
    return max(candidates)[3] if candidates else None
