"""Missing steps: never tried, though later ones are done."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from upgrader.sequence.completed import CompletedNames
from upgrader.sequence.pending import pending_steps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from upgrader.model import Progress, Step
    from upgrader.sequence.sequence import StepSequence
    from upgrader.sequence.state import DatabaseState


@dataclass(frozen=True, slots=True)
class MissingStep:
    """A step that would be missed by a walk from the last completed one.

    Attributes:
        workspace_ids: where it is missing, in order; empty for an instance step.
    """

    step: Step
    workspace_ids: tuple[str, ...] = ()


def find_missing(
    sequence: StepSequence, state: DatabaseState, *, completed: CompletedNames | None = None
) -> tuple[MissingStep, ...]:
    """Give the missing steps of the instance and of the workspaces in scope, in order.

    Args:
        sequence: the part that is due.
        completed: what `state` says was completed, where the caller has it already.
    """
    known = completed or CompletedNames(state)
    return (
        *(MissingStep(step) for step in _missing_in_instance(sequence, state.instance, known)),
        *_missing_in_workspaces(sequence, state, known),
    )


def _missing_in_instance(
    sequence: StepSequence, instance: Progress, completed: CompletedNames
) -> Iterator[Step]:
    fast = [step for step in sequence if not step.is_workspace and not step.is_slow]
    last = _last_completed(fast, instance)
    highest = completed.highest
    for step in fast:
        if instance.is_done(step) or instance.was_tried(step):
            continue
        if _comes_before(step, last) or (highest is not None and highest > step.version):
            yield step


def _missing_in_workspaces(
    sequence: StepSequence, state: DatabaseState, completed: CompletedNames
) -> Iterator[MissingStep]:
    distinct = {id(member.progress): member.progress for member in state.members}
    keys_by_name: dict[str, set[int]] = defaultdict(set)
    for key, progress in distinct.items():
        for step in _missing_in(sequence, progress, completed):
            keys_by_name[step.name].add(key)
    for step in sequence:
        if step.name in keys_by_name:
            keys = keys_by_name[step.name]
            ids = (member.workspace_id for member in state.members if id(member.progress) in keys)
            yield MissingStep(step, tuple(ids))


def _missing_in(sequence: StepSequence, progress: Progress, completed: CompletedNames) -> Iterator[Step]:
    """Give what is missing in a workspace. Its completed names are all names of workspace steps."""
    last = _last_completed((step for step in sequence if step.is_workspace), progress)
    marks = (completed.highest_of(progress), progress.through)
    finished = max((mark for mark in marks if mark is not None), default=None)
    for step in pending_steps(sequence, progress, workspace=True):
        if step.after_slow or progress.was_tried(step):
            continue
        if _comes_before(step, last) or (finished is not None and finished > step.version):
            yield step


def _last_completed(steps: Iterable[Step], progress: Progress) -> Step | None:
    done = [step for step in steps if step.name in progress.completed]
    return done[-1] if done else None


def _comes_before(step: Step, other: Step | None) -> bool:
    return other is not None and step.sort_key < other.sort_key
