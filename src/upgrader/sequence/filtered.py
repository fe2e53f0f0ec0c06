"""The plan of a filtered run: one segment, for the workspaces that were selected."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from upgrader.sequence.barrier import Walk, walk, workspaces_left
from upgrader.sequence.plan import Refusal, RefusalReason, Stop, StopReason
from upgrader.sequence.wording import counted, listed

if TYPE_CHECKING:
    from upgrader.sequence.roster import Roster
    from upgrader.sequence.selection import Selected
    from upgrader.sequence.situation import Situation
    from upgrader.sequence.work import VersionWork
    from upgrader.version import ReleaseVersion


_GO_ON = "run `upgrader upgrade` without filters to go on"


@dataclass(frozen=True)
class FilteredWalk:
    """How far a filtered run comes, and why it may not begin."""

    walk: Walk
    refusals: tuple[Refusal, ...] = ()


def walk_filtered(situation: Situation, selected: Selected) -> FilteredWalk:
    """Go through the first segment in which a selected workspace has something to run.

    Barriers look at all workspaces: one that is behind that segment, selected or not, closes the way. Where
    no selected workspace has anything to run, nothing runs, the instance's steps neither.
    """
    roster = situation.roster.only(selected.workspace_ids)
    everything = walk(situation.works, defer_slow=situation.options.defer_slow, begun=situation.begun)
    work = next((work for work in situation.works if roster.free_at(work.ready)), None)
    if work is None:
        return FilteredWalk(Walk(stop=_nothing_selected(everything)))
    behind = _behind(situation, work.version)
    if behind and (situation.options.under_way or situation.options.attempted):
        return FilteredWalk(Walk(stop=workspaces_left(work.version, behind)))
    found = _walk_segment(situation, work, roster)
    stop = found.stop or _after_segment(situation, work, selected, everything)
    refusals = (_behind_barrier(work.version, behind),) if behind else ()
    return FilteredWalk(replace(found, stop=stop), refusals)


def _walk_segment(situation: Situation, work: VersionWork, roster: Roster) -> Walk:
    before = (one.with_roster(roster) for one in situation.works if one.version < work.version)
    works = (*before, work.with_roster(roster))
    return walk(works, defer_slow=situation.options.defer_slow, begun=situation.begun)


def _behind(situation: Situation, version: ReleaseVersion) -> tuple[str, ...]:
    """Give the workspaces with something to run below a version, in order; the unenrolled are told apart."""
    keys = {key for work in situation.works if work.version < version for key in work.ready}
    unenrolled = {member.workspace_id for member in situation.unenrolled}
    return tuple(
        member.workspace_id
        for member in situation.state.members
        if id(member.progress) in keys and member.workspace_id not in unenrolled
    )


def _left(situation: Situation, work: VersionWork, selected: Selected) -> tuple[str, ...]:
    return tuple(
        member.workspace_id
        for member in situation.state.members
        if id(member.progress) in work.ready and member.workspace_id not in selected.workspace_ids
    )


def _nothing_selected(everything: Walk) -> Stop:
    before, what = _what_next(everything, after=None)
    return Stop(
        StopReason.FILTERED,
        before=before,
        message=f"none of the selected workspaces has anything to run; an unfiltered run would {what}",
        hint=_GO_ON,
    )


def _after_segment(situation: Situation, work: VersionWork, selected: Selected, everything: Walk) -> Stop:
    left = _left(situation, work, selected)
    before, what = _what_next(everything, after=work.version)
    if left:
        message = (
            f"the filter leaves {counted(len(left), 'workspace')} in {work.version}: {listed(left)}; "
            f"an unfiltered run would take {'it' if len(left) == 1 else 'them'} through, then {what}"
        )
    else:
        message = f"the filter leaves no workspace in {work.version}; an unfiltered run would then {what}"
    return Stop(
        StopReason.FILTERED,
        before=work.version if left else before,
        message=message,
        hint=_GO_ON,
        workspace_ids=left,
    )


def _what_next(everything: Walk, *, after: ReleaseVersion | None) -> tuple[ReleaseVersion | None, str]:
    """Give what an unfiltered run would do beyond a version, or at all."""
    stop = everything.stop
    runs = (one.version for one in everything.versions if not one.is_empty)
    following = next((version for version in runs if after is None or version > after), None)
    if following is not None:
        return following, f"go on with {following}"
    if stop is not None:
        return stop.before, f"stop {stop.message.removeprefix('stopped ')}"
    return None, "have nothing more to do"


def _behind_barrier(version: ReleaseVersion, behind: tuple[str, ...]) -> Refusal:
    flags = " ".join(f"-w {workspace_id}" for workspace_id in behind[:3])
    return Refusal(
        RefusalReason.SELECTION_BEHIND_BARRIER,
        message=(
            f"the selected workspaces are at {version}, and the barrier before it is closed: "
            f"{counted(len(behind), 'workspace')} not through what comes before: {listed(behind)}"
        ),
        hint=(
            "run `upgrader upgrade` without filters, or take those through first: "
            f"`upgrader upgrade {flags}{' …' if len(behind) > 3 else ''}`"
        ),
        subjects=behind,
    )
