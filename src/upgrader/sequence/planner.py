"""The planner: what a run would do, where it would stop and why.

    sequence + state + options ─> situation ─┬─> work by version ─> walk with its barriers ─┬─> plan
                                             └─> refusals and warnings ─────────────────────┘

A plan assumes that every step of it succeeds. A run that comes to a different end plans again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from upgrader.sequence.barrier import Walk, walk
from upgrader.sequence.filtered import walk_filtered
from upgrader.sequence.missing import find_missing
from upgrader.sequence.pending import inferred_version, pending_steps, reached
from upgrader.sequence.plan import Plan, PlanOptions, Refusal
from upgrader.sequence.quarantined import find_quarantined, quarantine_warnings
from upgrader.sequence.refusals import find_refusals, names_ahead
from upgrader.sequence.selection import select
from upgrader.sequence.situation import Situation
from upgrader.sequence.sources import (
    emptiness_warnings,
    find_source_refusals,
    stop_at_segment,
    works_before_source,
)
from upgrader.sequence.support import find_unsupported
from upgrader.sequence.wording import counted, listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from upgrader.sequence.sequence import StepSequence
    from upgrader.sequence.state import DatabaseState

__all__ = ["find_missing", "inferred_version", "make_plan", "pending_steps", "reached"]


def make_plan(sequence: StepSequence, state: DatabaseState, options: PlanOptions) -> Plan:
    """Plan a run. Reads nothing but its arguments; with nothing pending the plan is empty.

    Args:
        sequence: everything that is loaded; what is above `app_version` or `to` is left out here.
        state: how far the database is.
        options: what the operator and the settings ask for.

    Returns:
        The plan; with refusals in it nothing may run, and `versions` is what would run without them.
    """
    situation = Situation(sequence, state, options)
    found, filter_refusals = _walk(situation)
    refusals = (
        *filter_refusals,
        *find_refusals(situation),
        *find_unsupported(situation),
        *find_source_refusals(situation),
    )
    return Plan(
        versions=found.versions,
        stop=found.stop,
        refusals=refusals,
        warnings=(*_warnings(situation), *found.warnings),
        target=situation.target,
        quarantined=find_quarantined(situation.due, situation.state),
    )


def _walk(situation: Situation) -> tuple[Walk, tuple[Refusal, ...]]:
    selection = situation.options.selection
    if not selection.is_filtered:
        return _walk_unfiltered(situation), ()
    selected = select(selection, situation.state)
    if situation.lacks_source:  # nobody can be selected yet
        return _walk_unfiltered(situation), selected.refusals
    filtered = walk_filtered(situation, selected)
    return filtered.walk, (*selected.refusals, *filtered.refusals)


def _walk_unfiltered(situation: Situation) -> Walk:
    works = works_before_source(situation) if situation.lacks_source else situation.works
    found = walk(works, defer_slow=situation.options.defer_slow, begun=situation.begun)
    if situation.lacks_source and works and found.stop is None:
        return replace(found, stop=stop_at_segment(situation))
    return found


def _warnings(situation: Situation) -> Iterator[str]:
    options = situation.options
    ahead = names_ahead(situation)
    if ahead and (options.allow_ahead or not situation.is_anything_due):
        yield (
            f"the database is ahead of app_version {options.app_version}: "
            f"{counted(len(ahead), 'completed step')} of later versions: {listed(ahead)}"
        )
    unreadable = situation.completed.unreadable
    if unreadable:
        yield f"completed names that carry no version are left out of account: {listed(unreadable)}"
    if options.to is not None and not options.app_version.covers(options.to):
        yield f"{options.to} is above app_version: the run ends at {options.app_version}"
    yield from emptiness_warnings(situation)
    yield from quarantine_warnings(situation)
