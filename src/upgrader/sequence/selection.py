"""Which workspaces a filter means."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from upgrader.sequence.plan import Refusal, RefusalReason, Selection
from upgrader.sequence.wording import NAMED_AT_MOST, counted, listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from upgrader.sequence.state import DatabaseState, Member


@dataclass(frozen=True)
class Selected:
    """What a filter comes to; ids that are not there are left out and refused."""

    workspace_ids: frozenset[str]
    refusals: tuple[Refusal, ...] = ()


def select(selection: Selection, state: DatabaseState) -> Selected:
    """Find the workspaces that a filter means: the ids, from a place on, the first so many of these."""
    named = dict.fromkeys(selection.workspace_ids)
    asked = named if selection.start_from is None else {**named, selection.start_from: None}
    ids = [member.workspace_id for member in _from(state.members, selection.start_from)]
    if named:
        ids = [workspace_id for workspace_id in ids if workspace_id in named]
    there = {member.workspace_id for member in state.members}
    aside = {member.workspace_id: member for member in state.quarantined}
    unknown = tuple(one for one in asked if one not in there and one not in aside)
    refusals = [_unknown(unknown, state)] if unknown else []
    refused = [aside[one] for one in asked if one in aside]
    if refused:
        refusals.append(_quarantined(refused))
    return Selected(frozenset(ids[: selection.count_limit]), tuple(refusals))


def _from(members: Sequence[Member], start: str | None) -> Sequence[Member]:
    if start is None:
        return members
    places = (place for place, member in enumerate(members) if member.workspace_id == start)
    return members[next(places, len(members)) :]


def _unknown(ids: tuple[str, ...], state: DatabaseState) -> Refusal:
    statuses = {member.workspace_id: member.status for member in state.others}
    absent = [workspace_id for workspace_id in ids if workspace_id not in statuses]
    outside = [f"{one} (status {statuses[one]})" for one in ids if one in statuses]
    parts = []
    if absent:
        parts.append(f"there is no workspace {listed(absent)}")
    if outside:
        parts.append(f"out of scope by status: {listed(outside)}")
    configured = ", ".join(state.statuses)
    return Refusal(
        RefusalReason.UNKNOWN_WORKSPACE,
        message="; ".join(parts),
        hint=f"`upgrader workspace list` shows the workspaces; those of status {configured} are in scope",
        subjects=ids,
    )


def _quarantined(members: Sequence[Member]) -> Refusal:
    ids = tuple(member.workspace_id for member in members)
    texts = [
        f"workspace {member.workspace_id} is quarantined: {member.quarantine.reason}"
        for member in members
        if member.quarantine
    ]
    return Refusal(
        RefusalReason.QUARANTINED_WORKSPACE,
        message="; ".join(texts[:NAMED_AT_MOST]),
        hint=f"`upgrader workspace release {' '.join(ids[:NAMED_AT_MOST])}` brings it back, once it is mended",
        subjects=ids,
    )


def status_counts(members: Sequence[Member]) -> str:
    """Give the statuses of some workspaces with their numbers, sorted: `DELETED (2), PENDING (1)`."""
    counts = Counter("no status" if member.status is None else member.status for member in members)
    return ", ".join(f"{status} ({counted(count, 'workspace')})" for status, count in sorted(counts.items()))
