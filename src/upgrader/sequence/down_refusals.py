"""Why nothing may be taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from upgrader.sequence.completed import version_of
from upgrader.sequence.plan import Refusal, RefusalReason
from upgrader.sequence.presence import is_there
from upgrader.sequence.state import Source
from upgrader.sequence.support import INSTANCE_NAME
from upgrader.sequence.wording import counted, listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from upgrader.model import Progress, Step
    from upgrader.sequence.descent import Descent
    from upgrader.version import ReleaseVersion


def find_down_refusals(descent: Descent) -> Iterator[Refusal]:
    """Give the reasons that stand against the whole way, before anything of it is begun."""
    yield from _irreversible(descent)
    yield from _below_baseline(descent)
    yield from _ahead(descent)
    yield from _gone(descent)
    yield from _unenrolled(descent)
    yield from _no_source(descent)


def enrolled_ahead(descent: Descent) -> tuple[str, ...]:
    """Give the workspaces that are enrolled above `app_version`, unless what lies there was taken back."""
    application = descent.options.app_version
    if _was_taken_back_above(descent):
        return ()
    return tuple(
        member.workspace_id
        for member in descent.everyone.members
        if member.progress.enrolment
        and member.progress.enrolment.version
        and not application.covers(member.progress.enrolment.version)
    )


def _irreversible(descent: Descent) -> Iterator[Refusal]:
    found = [step for step in descent.steps if not step.reversible]
    if not found:
        return
    one = len(found) == 1
    yield Refusal(
        RefusalReason.IRREVERSIBLE,
        message=(
            f"{counted(len(found), 'step')} on the way back {'has' if one else 'have'} no way down: "
            f"{listed([_with_reason(step) for step in found])}"
        ),
        hint=(
            f"give {'it' if one else 'each'} a `down` (`down_on_workspace` for a workspace command) that takes it "
            f"back, or go back "
            f"no further than before {'it' if one else 'them'}: `upgrader downgrade --to {found[0].version}`"
        ),
        subjects=tuple(step.name for step in found),
    )


def _with_reason(step: Step) -> str:
    return step.name + (f" ({step.irreversible_reason})" if step.irreversible_reason else "")


def _below_baseline(descent: Descent) -> Iterator[Refusal]:
    marks = {name: version for name, version in _baselines(descent) if _is_below(descent, version)}
    if not marks:
        return
    highest = max(marks.values())
    names = [name if name == INSTANCE_NAME else f"workspace {name}" for name in marks]
    yield Refusal(
        RefusalReason.BELOW_BASELINE,
        message=(
            f"the way back ends at a baseline: {listed(names)} {'is' if len(marks) == 1 else 'are'} marked as "
            f"being at {highest}, and what made that shape was never run here"
        ),
        hint=f"go back no further than the baseline: `upgrader downgrade --to {highest}`",
        subjects=tuple(marks),
    )


def _baselines(descent: Descent) -> Iterator[tuple[str, ReleaseVersion]]:
    scopes = [(INSTANCE_NAME, descent.state.instance)]
    scopes += [(member.workspace_id, member.progress) for member in descent.everyone.members]
    for name, progress in scopes:
        mark = progress.enrolment
        if mark is not None and mark.is_baseline and mark.version is not None:
            yield name, mark.version


def _is_below(descent: Descent, baseline: ReleaseVersion) -> bool:
    if descent.options.to is not None:
        return descent.options.to < baseline
    return bool(descent.steps) and descent.steps[-1].version <= baseline


def _ahead(descent: Descent) -> Iterator[Refusal]:
    application = descent.options.app_version
    dormant = [step.name for step in descent.steps if not application.covers(step.version)]
    unknown = [name for name, version in descent.unknown_names if not application.covers(version)]
    names = (*dormant, *unknown)
    if not names:
        return
    highest = max(version for version in map(version_of, names) if version is not None)
    verb = "is" if len(names) == 1 else "are"
    yield Refusal(
        RefusalReason.AHEAD,
        message=(
            f"{counted(len(names), 'step')} of versions above app_version {application} {verb} on the way back: "
            f"{listed(names)}"
        ),
        hint=(
            f"run `upgrader downgrade` with the code of release {highest}, which has their way down, "
            "before the application goes back"
        ),
        subjects=names,
    )


def _gone(descent: Descent) -> Iterator[Refusal]:
    application = descent.options.app_version
    names = tuple(name for name, version in descent.unknown_names if application.covers(version))
    if not names:
        return
    verb = "is" if len(names) == 1 else "are"
    lowest = descent.sequence.lowest
    yield Refusal(
        RefusalReason.COMPLETED_STEP_GONE,
        message=(
            f"{counted(len(names), 'step')} on the way back {verb} no longer in the code: {listed(names)}"
        ),
        hint=(
            "bring the commands back under the names that they ran with, or go back no further than they reach"
            + (f"; the code has the commands from {lowest} on" if lowest else "")
        ),
        subjects=names,
    )


def _unenrolled(descent: Descent) -> Iterator[Refusal]:
    ids = tuple(member.workspace_id for member in descent.unenrolled)
    if not ids or not descent.steps or descent.options.under_way:
        return
    verb = "is" if len(ids) == 1 else "are"
    yield Refusal(
        RefusalReason.UNENROLLED_WORKSPACES,
        message=f"{counted(len(ids), 'workspace')} {verb} not enrolled, so what to take back there is unknown: "
        f"{listed(ids)}",
        hint=(
            f"`upgrader workspace enroll {ids[0]} --at VERSION` if it was made in the shape of VERSION, "
            f"`upgrader workspace enroll {ids[0]} --at start` if no step ran on it; then run it again"
        ),
        subjects=ids,
    )


def _no_source(descent: Descent) -> Iterator[Refusal]:
    """Refuse where workspaces were expected and nothing says which there are.

    Where the way back has come into the first version with workspace steps, its own instance steps may have
    taken the table back already.
    """
    segments = [
        step for step in descent.sequence if step.is_workspace and descent.is_on_the_way(step.version)
    ]
    if descent.state.source is not Source.ABSENT or not segments or not descent.steps:
        return
    first = segments[0].version
    newest = descent.steps[0].version
    if newest < first or (newest == first and not _is_whole(descent, first)):
        return
    yield Refusal(
        RefusalReason.NO_WORKSPACE_SOURCE,
        message=(
            f"there are workspace steps on the way back ({segments[-1].name}), but "
            f"{descent.state.source_description} is not there"
        ),
        hint=(
            "set [tool.upgrader.workspaces] table (and id_column, status_column) to the table of your "
            "workspaces, or provider to a function that lists them"
        ),
        subjects=tuple(step.name for step in segments),
    )


def _is_whole(descent: Descent, version: ReleaseVersion) -> bool:
    steps = [step for step in descent.sequence if step.version == version and not step.is_workspace]
    return all(is_there(step, descent.state.instance) for step in steps)


def _was_taken_back_above(descent: Descent) -> bool:
    application = descent.options.app_version
    scopes: list[Progress] = [descent.state.instance, *descent.roster.progresses.values()]
    versions = (version_of(name) for progress in scopes for name in progress.taken_back)
    return any(version is not None and not application.covers(version) for version in versions)
