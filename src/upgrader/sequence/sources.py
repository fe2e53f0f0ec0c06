"""No accidental emptiness: segments need somebody to say which workspaces there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from upgrader.sequence.plan import Refusal, RefusalReason, Stop, StopReason
from upgrader.sequence.selection import status_counts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from upgrader.sequence.sequence import VersionSteps
    from upgrader.sequence.situation import Situation
    from upgrader.sequence.work import VersionWork

_HINT = (
    "set [tool.upgrader.workspaces] table (and id_column, status_column) to the table of your workspaces, "
    "or provider to a function that lists them"
)


def find_source_refusals(situation: Situation) -> Iterator[Refusal]:
    """Refuse segments without a workspace table, and a table of which no row is in scope."""
    if situation.lacks_source:
        if not works_before_source(situation):
            yield _no_source(situation.segments[0], situation)
        return
    state = situation.state
    if situation.segments and state.others and not (state.members or state.quarantined):
        yield _none_in_scope(situation)


def works_before_source(situation: Situation) -> tuple[VersionWork, ...]:
    """Give the instance's work up to the first segment: it may make the table that is not there yet.

    Empty where it has nothing to run, or where the database is past that segment: then the table should be
    there.
    """
    first = situation.segments[0].version
    highest = situation.completed.highest
    if highest is not None and highest > first:
        return ()
    works = tuple(work.without_segment() for work in situation.works if work.version <= first)
    return works if any(work.instance_steps for work in works) else ()


def stop_at_segment(situation: Situation) -> Stop:
    """Give the stop before the first segment, when the instance's steps before it have run."""
    part = situation.segments[0]
    return Stop(
        StopReason.NO_WORKSPACE_SOURCE,
        before=part.version,
        message=(
            f"stopped at the workspace steps of {part.version}: {situation.state.source_description} "
            "is not there yet, and the instance steps before them may make it"
        ),
        hint=_HINT,
    )


def emptiness_warnings(situation: Situation) -> Iterator[str]:
    """Say that there are no workspaces, where there are segments."""
    state = situation.state
    is_empty = not (state.members or state.others or state.quarantined)
    if situation.segments and not situation.lacks_source and is_empty:
        yield f"the workspace {state.source_description} is empty: 0 workspaces"


def _no_source(part: VersionSteps, situation: Situation) -> Refusal:
    return Refusal(
        RefusalReason.NO_WORKSPACE_SOURCE,
        message=(
            f"there are workspace steps ({part.version}: {part.workspace[0].name}), but "
            f"{situation.state.source_description} is not there"
        ),
        hint=_HINT,
        subjects=tuple(step.name for one in situation.segments for step in one.workspace),
    )


def _none_in_scope(situation: Situation) -> Refusal:
    state = situation.state
    configured = ", ".join(state.statuses)
    return Refusal(
        RefusalReason.NO_WORKSPACE_IN_SCOPE,
        message=(
            f"no workspace of {state.source_description} is in scope: found {status_counts(state.others)}; "
            f"configured are {configured}"
        ),
        hint="set [tool.upgrader.workspaces] statuses to those of the workspaces that are to be upgraded",
        subjects=tuple(member.workspace_id for member in state.others),
    )
