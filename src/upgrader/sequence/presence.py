"""What of the sequence is there in a scope, so that it can be taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from upgrader.model import AttemptStatus

if TYPE_CHECKING:
    from upgrader.model import Progress, Step


def is_there(step: Step, progress: Progress) -> bool:
    """Tell whether a step has left something in a scope.

    It is completed, or the scope is enrolled past it, or an attempt that is not one transaction may have done
    half of it. A transactional attempt that failed has left nothing.
    """
    if step.name in progress.completed or step.name in progress.half_reverted:
        return True
    status = progress.open.get(step.name)
    if status is AttemptStatus.REVERTED:
        return False
    if status is not None and may_be_half_done(step):
        return True
    return progress.is_done(step)


def is_unfinished(step: Step, progress: Progress) -> bool:
    """Tell whether only a part of a step may be there."""
    return is_there(step, progress) and step.name in progress.open and not progress.is_done(step)


def may_be_half_done(step: Step) -> bool:
    """Tell whether an attempt at a step may end with a part of its work done."""
    return step.is_slow or step.has_data_migration or not step.transactional
