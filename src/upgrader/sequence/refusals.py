"""Why nothing may run: what the code, the history and the options have against each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from upgrader.sequence.missing import MissingStep, find_missing
from upgrader.sequence.plan import Refusal, RefusalReason
from upgrader.sequence.wording import counted, listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from upgrader.sequence.situation import Situation


def find_refusals(situation: Situation) -> Iterator[Refusal]:
    """Give the reasons that the steps themselves give: missing, not enrolled, ahead, gone."""
    yield from _missing_steps(situation)
    yield from _unenrolled_workspaces(situation)
    yield from _ahead(situation)
    yield from _completed_steps_gone(situation)


def names_ahead(situation: Situation) -> tuple[str, ...]:
    """Give the completed names of versions above `app_version`, ascending."""
    application = situation.options.app_version
    versions = situation.completed.versions
    return tuple(name for name, version in versions.items() if not application.covers(version))


def _missing_steps(situation: Situation) -> Iterator[Refusal]:
    if situation.options.run_missing:
        return
    missing = find_missing(situation.due, situation.state, completed=situation.completed)
    if not missing:
        return
    texts = [_with_places(one) for one in missing]
    verb = "was" if len(missing) == 1 else "were"
    yield Refusal(
        RefusalReason.MISSING_STEPS,
        message=(
            f"{counted(len(missing), 'step')} {verb} never tried, though later ones are done: {listed(texts)}"
        ),
        hint=(
            "to run them at their place, run `upgrader upgrade --include-missing`, "
            'or set missing = "run" for good; else give them a newer timestamp or version'
        ),
        subjects=tuple(one.step.name for one in missing),
    )


def _with_places(missing: MissingStep) -> str:
    ids = missing.workspace_ids
    if not ids:
        return missing.step.name
    return f"{missing.step.name} (in {counted(len(ids), 'workspace')}: {listed(ids)})"


def _unenrolled_workspaces(situation: Situation) -> Iterator[Refusal]:
    if situation.options.under_way:
        return
    ids = tuple(member.workspace_id for member in situation.unenrolled)
    if not ids:
        return
    verb = "is" if len(ids) == 1 else "are"
    yield Refusal(
        RefusalReason.UNENROLLED_WORKSPACES,
        message=f"{counted(len(ids), 'workspace')} {verb} not enrolled: {listed(ids)}",
        hint=(
            f"`upgrader workspace enroll {ids[0]} --at start` if every step is to run on it; "
            f"`upgrader workspace enroll {ids[0]} --at VERSION` if it was made in the shape of VERSION, "
            "so that only later steps run; "
            'or set unenrolled_workspaces = "apply-all" to run every step on such workspaces'
        ),
        subjects=ids,
    )


def _ahead(situation: Situation) -> Iterator[Refusal]:
    names = names_ahead(situation)
    if not names or situation.options.allow_ahead or not situation.is_anything_due:
        return
    highest = situation.completed.highest
    yield Refusal(
        RefusalReason.AHEAD,
        message=(
            f"the database is ahead of app_version {situation.options.app_version}: "
            f"{counted(len(names), 'completed step')} of later versions: {listed(names)}; "
            "steps of this release are pending all the same"
        ),
        hint=(
            f"deploy release {highest} again, or run `upgrader upgrade --allow-ahead` "
            "if the pending steps are right for a database that is ahead"
        ),
        subjects=names,
    )


def _completed_steps_gone(situation: Situation) -> Iterator[Refusal]:
    lowest = situation.sequence.lowest
    if lowest is None:
        return
    names = tuple(
        name
        for name, version in situation.completed.versions.items()
        if lowest <= version
        and situation.options.app_version.covers(version)
        and name not in situation.sequence.by_name
    )
    if not names:
        return
    verb = "is" if len(names) == 1 else "are"
    yield Refusal(
        RefusalReason.COMPLETED_STEP_GONE,
        message=f"{counted(len(names), 'completed step')} {verb} no longer in the code: {listed(names)}",
        hint=(
            "bring the commands back under the names that they ran with (version, class name and timestamp); "
            "old commands may be removed a whole version at a time, from the lowest up"
        ),
        subjects=names,
    )
