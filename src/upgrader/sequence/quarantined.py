"""The workspaces that are set aside: what each misses, and whether one may come back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from upgrader.sequence.pending import PendingSteps
from upgrader.sequence.plan import QuarantinedWorkspace
from upgrader.sequence.situation import Situation
from upgrader.sequence.support import find_unsupported
from upgrader.sequence.wording import counted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from upgrader.sequence.plan import PlanOptions, Refusal
    from upgrader.sequence.sequence import StepSequence
    from upgrader.sequence.state import DatabaseState, Member


def find_quarantined(due: StepSequence, state: DatabaseState) -> tuple[QuarantinedWorkspace, ...]:
    """Give the workspaces that are set aside, in order, each with the first version that it misses."""
    pending = PendingSteps(due)
    return tuple(_quarantined(member, pending) for member in state.quarantined)


def _quarantined(member: Member, pending: PendingSteps) -> QuarantinedWorkspace:
    assert member.quarantine is not None
    steps = pending.of(member.progress, workspace=True)
    return QuarantinedWorkspace(member.workspace_id, member.quarantine, steps[0].version if steps else None)


def quarantine_warnings(situation: Situation) -> Iterator[str]:
    """Say that every workspace in scope is set aside, where there are segments."""
    state = situation.state
    if situation.segments and state.quarantined and not state.members:
        count = counted(len(state.quarantined), "workspace")
        yield f"all workspaces in scope are quarantined ({count}): nothing runs on any of them"


def find_unreleasable(
    sequence: StepSequence, state: DatabaseState, options: PlanOptions, *, workspace_ids: Collection[str]
) -> tuple[Refusal, ...]:
    """Give why some of the workspaces that are set aside could not be brought up by the loaded commands.

    Args:
        sequence: everything that is loaded.
        workspace_ids: those that are to come back.
    """
    back = [member for member in state.quarantined if member.workspace_id in workspace_ids]
    # Everybody else counts as set aside: their old age is no reason against these.
    others = [*state.members, *(one for one in state.quarantined if one.workspace_id not in workspace_ids)]
    asked = replace(state, members=back, quarantined=others)
    found = find_unsupported(Situation(sequence, asked, options))
    wanted = {member.workspace_id for member in back}
    return tuple(one for one in found if not wanted.isdisjoint(one.subjects))
