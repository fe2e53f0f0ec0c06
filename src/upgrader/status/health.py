"""How one scope is, in one word."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from upgrader.model import AttemptStatus
from upgrader.sequence.completed import version_of
from upgrader.sequence.pending import pending_steps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from upgrader.model import Progress, Step
    from upgrader.sequence.sequence import StepSequence
    from upgrader.version import ApplicationVersion, ReleaseVersion


class Health(StrEnum):
    """How a scope is. The first that is true of it: quarantined, failed, skipped, behind, slow-pending, ahead."""

    UP_TO_DATE = "up-to-date"
    SLOW_PENDING = "slow-pending"
    BEHIND = "behind"
    FAILED = "failed"
    SKIPPED = "skipped"
    AHEAD = "ahead"
    QUARANTINED = "quarantined"

    @property
    def is_stuck(self) -> bool:
        """Whether a step of it was tried and has not come through: it failed, or the command put it off."""
        return self in (Health.FAILED, Health.SKIPPED)

    def is_good(self, *, include_slow: bool) -> bool:
        """Tell whether an application may go on with it.

        Args:
            include_slow: whether slow steps must be done, too.
        """
        return self in (Health.UP_TO_DATE, Health.AHEAD) or (self is Health.SLOW_PENDING and not include_slow)


def scope_health(
    due: StepSequence,
    progress: Progress,
    *,
    workspace: bool,
    application: ApplicationVersion,
    is_run_alive: bool = False,
    unenrolled_run_all: bool = False,
) -> Health:
    """Say how a scope is. Without steps it is up to date, or ahead.

    Args:
        due: the part of the sequence that `application` covers.
        workspace: whether the scope is a workspace; False is the instance.
        is_run_alive: whether a run is at work: a running attempt has failed only where none is.
        unenrolled_run_all: a workspace that is not enrolled counts as enrolled at the beginning; otherwise
            it is behind whatever is pending, because no run begins before it is enrolled.
    """
    pending = pending_steps(due, progress, workspace=workspace)
    if any(has_failed(step, progress, is_run_alive=is_run_alive) for step in pending):
        return Health.FAILED
    if any(progress.is_skipped(step) for step in pending):
        return Health.SKIPPED
    if workspace and progress.enrolment is None and not unenrolled_run_all:
        return Health.BEHIND
    if any(not (step.is_slow or step.after_slow) for step in pending):
        return Health.BEHIND
    if pending:
        return Health.SLOW_PENDING
    return Health.AHEAD if _is_ahead(due, progress, application) else Health.UP_TO_DATE


def has_failed(step: Step, progress: Progress, *, is_run_alive: bool) -> bool:
    """Tell whether the latest attempt at a step failed or was cut off, with its run or by a signal."""
    is_running = progress.open.get(step.name) is AttemptStatus.RUNNING
    return progress.has_failed(step) or (is_running and not is_run_alive)


def _is_ahead(due: StepSequence, progress: Progress, application: ApplicationVersion) -> bool:
    return any(not application.covers(version) for version in _versions_beyond(due, progress))


def _versions_beyond(due: StepSequence, progress: Progress) -> Iterator[ReleaseVersion]:
    # Not what it is recorded as through: a version without a step for this scope has left nothing in it.
    # Nor the enrolment where something of it was taken back.
    enrolled = progress.enrolment.version if progress.enrolment else None
    lowest = progress.lowest_taken_back
    if enrolled is not None and (lowest is None or lowest > enrolled):
        yield enrolled
    for name in progress.completed - due.by_name.keys():
        version = version_of(name)
        if version is not None:
            yield version
