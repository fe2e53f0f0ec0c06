"""What is left of the sequence in a scope, and how far that scope is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from upgrader.model import Progress, Step
    from upgrader.sequence.sequence import StepSequence
    from upgrader.version import ApplicationVersion, ReleaseVersion


def pending_steps(sequence: StepSequence, progress: Progress, *, workspace: bool) -> tuple[Step, ...]:
    """Give the steps of `sequence` that are not done in a scope, in order.

    Args:
        workspace: whether the scope is a workspace; False takes the instance's steps.
    """
    return tuple(step for step in sequence if step.is_workspace is workspace and not progress.is_done(step))


class PendingSteps:
    """What is pending, looked up once for all scopes that share a progress."""

    def __init__(self, sequence: StepSequence) -> None:
        self._sequence = sequence
        # The progress is kept beside its steps: an id is only good for as long as its object lives.
        self._known: dict[tuple[int, bool], tuple[Progress, tuple[Step, ...]]] = {}

    def of(self, progress: Progress, *, workspace: bool) -> tuple[Step, ...]:
        """Give what `pending_steps` gives; the same tuple for the same progress."""
        key = (id(progress), workspace)
        found = self._known.get(key)
        if found is None:
            found = (progress, pending_steps(self._sequence, progress, workspace=workspace))
            self._known[key] = found
        return found[1]


def reached(
    sequence: StepSequence, progress: Progress, *, workspace: bool, application: ApplicationVersion
) -> ReleaseVersion | None:
    """Give the highest version of which, and of all before it, nothing is left in a scope.

    A version without a step for the scope has nothing left, so a runner that records this hands in the part
    of the sequence that it has walked. Never lower than what is recorded; None where nothing is known.
    """
    due = sequence.covered_by(application)
    left = pending_steps(due, progress, workspace=workspace)
    found = _last_before(due, left[0].version if left else None) if _has_history(progress) else None
    return max((mark for mark in (found, progress.through) if mark is not None), default=None)


def inferred_version(sequence: StepSequence, progress: Progress, *, workspace: bool) -> ReleaseVersion | None:
    """Give the highest version of which, and of all before it, nothing but slow steps is left in a scope.

    Workspace steps that come after slow ones count like slow ones. `sequence` is the part that is due. What
    is recorded counts only below the first step that is left; None where nothing is done or known.
    """
    if not _has_history(progress):
        return None
    left = pending_steps(sequence, progress, workspace=workspace)
    first = next((step.version for step in left if not (step.is_slow or step.after_slow)), None)
    marks = [_last_before(sequence, first), progress.position]
    return max((mark for mark in marks if mark and (first is None or mark < first)), default=None)


def _has_history(progress: Progress) -> bool:
    return progress.enrolment is not None or bool(progress.completed) or progress.through is not None


def _last_before(sequence: StepSequence, version: ReleaseVersion | None) -> ReleaseVersion | None:
    below = [part.version for part in sequence.versions if version is None or part.version < version]
    return below[-1] if below else None
