"""The planner of the way down: the mirror of the way up.

    newest version:  every workspace, newest step first · barrier · slow and fast steps, newest first
    barrier
    version before:  …

A plan assumes that everything in it succeeds. A run that comes to a different end plans again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from upgrader.sequence.descent import Descent, VersionDescent
from upgrader.sequence.down_plan import DownOptions, DownPlan
from upgrader.sequence.down_refusals import enrolled_ahead, find_down_refusals
from upgrader.sequence.plan import PlannedVersion, Refusal, RefusalReason, Stop, StopReason
from upgrader.sequence.quarantined import find_quarantined
from upgrader.sequence.segment import SegmentTasks
from upgrader.sequence.selection import select
from upgrader.sequence.wording import counted, listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from upgrader.sequence.roster import Roster
    from upgrader.sequence.sequence import StepSequence
    from upgrader.sequence.state import DatabaseState
    from upgrader.version import ReleaseVersion

_AGAIN = "run the same `upgrader downgrade` again"


def make_way_down(sequence: StepSequence, state: DatabaseState, options: DownOptions) -> DownPlan:
    """Plan a downgrade. Reads nothing but its arguments; with nothing to take back the plan is empty.

    Args:
        sequence: everything that is loaded, dormant steps included.
        state: how far the database is; workspaces out of scope are taken back, too.
        options: how far to go, and what else was asked for.

    Returns:
        The plan; with refusals in it nothing may be taken back.
    """
    descent = Descent(sequence, state, options)
    found = _walk_filtered(descent) if options.selection.is_filtered else _walk(descent)
    return replace(
        found,
        refusals=(*found.refusals, *find_down_refusals(descent)),
        warnings=tuple(_warnings(descent)),
        target=options.to,
        steps=descent.steps,
        unfinished=descent.unfinished,
        quarantined=find_quarantined(sequence.covered_by(options.app_version), state),
    )


def _walk(descent: Descent) -> DownPlan:
    """Go through the versions until the end or a closed barrier."""
    planned: list[PlannedVersion] = []
    for version in descent.versions:
        holders = _holders(descent, version)
        beyond = version.instance_steps or version is not descent.versions[-1]
        is_open = not holders or not beyond
        planned.append(_planned(version, descent.roster, with_instance=is_open))
        if not is_open:
            return DownPlan(_not_empty(planned), _workspaces_left(version.version, holders))
    return DownPlan(_not_empty(planned))


def _planned(version: VersionDescent, roster: Roster, *, with_instance: bool) -> PlannedVersion:
    return PlannedVersion(
        version.version,
        instance_steps=version.instance_steps if with_instance else (),
        tasks=SegmentTasks(roster.free_at(version.segment), steps=version.segment),
    )


def _not_empty(versions: Sequence[PlannedVersion]) -> tuple[PlannedVersion, ...]:
    return tuple(version for version in versions if not version.is_empty)


def _holders(descent: Descent, version: VersionDescent) -> tuple[str, ...]:
    """Give who closes the barrier behind the workspaces of a version.

    One that failed and is not back, and one that appeared and is not enrolled: what it has is unknown.
    """
    ids = dict.fromkeys(member.workspace_id for member in descent.roster.held_at(version.segment))
    if descent.options.under_way:
        ids.update(dict.fromkeys(member.workspace_id for member in descent.unenrolled))
    return tuple(ids)


def _workspaces_left(version: ReleaseVersion, workspace_ids: tuple[str, ...]) -> Stop:
    verb = "is" if len(workspace_ids) == 1 else "are"
    return Stop(
        StopReason.WORKSPACES_LEFT,
        before=version,
        message=(
            f"stopped behind the workspace steps of {version}: {counted(len(workspace_ids), 'workspace')} "
            f"{verb} not back: {listed(workspace_ids)}"
        ),
        hint=f"mend or enroll what is named above, then {_AGAIN}",
        workspace_ids=workspace_ids,
    )


def _walk_filtered(descent: Descent) -> DownPlan:
    """Take the selected workspaces back through one segment, the newest in which one of them has anything.

    Barriers look at everything: what is newer, in the instance or in any workspace, closes the way.
    """
    selected = select(descent.options.selection, descent.everyone)
    roster = descent.roster.only(selected.workspace_ids)
    version = next((one for one in descent.versions if roster.free_at(one.segment)), None)
    if version is None:
        return DownPlan(stop=_nothing_selected(), refusals=selected.refusals)
    behind = tuple(_newer_than(descent, version.version))
    if behind and (descent.options.under_way or descent.options.attempted):
        return DownPlan(stop=_workspaces_left(version.version, behind), refusals=selected.refusals)
    refusals = (_behind_barrier(version.version, behind),) if behind else ()
    planned = _planned(version, roster, with_instance=False)
    return DownPlan((planned,), _after_segment(descent, version, roster), (*selected.refusals, *refusals))


def _newer_than(descent: Descent, version: ReleaseVersion) -> Iterator[str]:
    """Give what has to be taken back first: instance steps by name, workspaces by id."""
    newer = [one for one in descent.versions if one.version > version]
    yield from (step.name for one in newer for step in one.instance_steps)
    keys = {key for one in newer for key in one.segment}
    for member in descent.everyone.members:
        if id(member.progress) in keys:
            yield f"workspace {member.workspace_id}"


def _nothing_selected() -> Stop:
    return Stop(
        StopReason.FILTERED,
        before=None,
        message="none of the selected workspaces has anything to take back",
        hint="run `upgrader downgrade` without filters to take back what is left elsewhere",
    )


def _after_segment(descent: Descent, version: VersionDescent, roster: Roster) -> Stop:
    chosen = {member.workspace_id for member in roster.free}
    left = tuple(
        member.workspace_id
        for member in descent.everyone.members
        if id(member.progress) in version.segment and member.workspace_id not in chosen
    )
    who = f"{counted(len(left), 'workspace')} in {version.version}: {listed(left)}" if left else ""
    return Stop(
        StopReason.FILTERED,
        before=version.version,
        message=(
            f"the filter leaves {who or f'no workspace in {version.version}'}; "
            f"an unfiltered downgrade would {_what_next(descent, version, is_anyone_left=bool(left))}"
        ),
        hint="run `upgrader downgrade` without filters to go on",
        workspace_ids=left,
    )


def _what_next(descent: Descent, version: VersionDescent, *, is_anyone_left: bool) -> str:
    then = "take these back, then " if is_anyone_left else "then "
    if version.instance_steps:
        return f"{then}take back {counted(len(version.instance_steps), 'instance step')} of {version.version}"
    older = next((one.version for one in descent.versions if one.version < version.version), None)
    return f"{then}go on with {older}" if older else f"{then}have nothing more to do"


def _behind_barrier(version: ReleaseVersion, behind: tuple[str, ...]) -> Refusal:
    return Refusal(
        RefusalReason.SELECTION_BEHIND_BARRIER,
        message=(
            f"the selected workspaces have something to take back in {version}, and newer versions come first: "
            f"{listed(behind)}"
        ),
        hint=f"run `upgrader downgrade --to {version}` without filters first",
        subjects=behind,
    )


def _warnings(descent: Descent) -> Iterator[str]:
    options = descent.options
    if options.steps is not None and len(descent.steps) < options.steps:
        count = len(descent.steps)
        yield f"{counted(options.steps, 'step')} asked for, {count} {'is' if count == 1 else 'are'} there"
    unreadable = descent.completed.unreadable
    if unreadable:
        yield f"completed names that carry no version are left out of account: {listed(unreadable)}"
    ahead = enrolled_ahead(descent)
    if ahead and descent.steps:
        yield (
            f"{counted(len(ahead), 'workspace')} enrolled above app_version {options.app_version}: "
            f"{listed(ahead)}; what later releases changed there stays"
        )
