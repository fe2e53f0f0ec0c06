"""Why a workspace or a step is not where it should be: finds what is meant, and has it explained."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from upgrader.errors import OperatorError, UnknownWorkspaceError
from upgrader.status.explanation import Explanation, Subject
from upgrader.status.why_step import explain_gone, explain_step
from upgrader.status.why_workspace import explain_workspace

if TYPE_CHECKING:
    from upgrader.model import Step
    from upgrader.sequence.state import Member
    from upgrader.status.case import Case

_NEAREST = 3


def explain(case: Case, name: str, *, subject: Subject | None = None) -> Explanation:
    """Explain a step (by full name, class name, CLI name or timestamp), or else a workspace (by id).

    Reads from the history only the latest attempts of the few that are named.

    Args:
        subject: what `name` is; by default a step where there is one of that name, else a workspace.

    Raises:
        OperatorError: several steps have that name, or there is no such step.
        UnknownWorkspaceError: there is no such workspace.
    """
    steps = [] if subject is Subject.WORKSPACE else _steps(case, name)
    member = None if subject is Subject.STEP else _member(case, name)
    if len(steps) > 1:
        raise OperatorError(
            f"{len(steps)} steps are called {name}: {', '.join(step.name for step in steps[:5])}",
            hint=f"give the full name: upgrader why {steps[0].name}",
        )
    if steps:
        found = explain_step(case, steps[0])
        both = f"there is a workspace of that name, too: `upgrader why {name} --workspace`"
        return replace(found, next=(*found.next, both)) if member is not None else found
    if member is not None:
        return explain_workspace(case, member)
    if subject is not Subject.WORKSPACE and name in case.situation.completed.versions:
        return explain_gone(case, name)
    raise _unknown(case, name, subject)


def _steps(case: Case, name: str) -> list[Step]:
    exact = case.sequence.by_name.get(name)
    if exact is not None:
        return [exact]
    return [step for step in case.sequence if name in _names(step)]


def _names(step: Step) -> tuple[str, ...]:
    return (step.class_name, str(step.timestamp), *((step.cli_name,) if step.cli_name else ()))


def _member(case: Case, name: str) -> Member | None:
    return next((member for member in _everybody(case) if member.workspace_id == name), None)


def _everybody(case: Case) -> Iterator[Member]:
    state = case.state
    for group in (state.members, state.quarantined, state.others):
        yield from group


def _unknown(case: Case, name: str, subject: Subject | None) -> OperatorError:
    ids = [member.workspace_id for member in _everybody(case)] if subject is not Subject.STEP else []
    steps = [] if subject is Subject.WORKSPACE else list(case.sequence)
    near = [*_nearest_ids(case, name, ids), *_nearest_steps(name, steps)]
    meant = f"did you mean {' or '.join(near[:_NEAREST])}? " if near else ""
    lists = {
        Subject.WORKSPACE: "`upgrader workspace list` shows the workspaces",
        Subject.STEP: "`upgrader list` shows the steps",
        None: "`upgrader workspace list` shows the workspaces, `upgrader list` the steps",
    }
    what = {
        Subject.WORKSPACE: "no workspace",
        Subject.STEP: "no step",
        None: "neither a workspace nor a step",
    }
    kind = OperatorError if subject is Subject.STEP else UnknownWorkspaceError
    return kind(f"there is {what[subject]} {name}", hint=f"{meant}{lists[subject]}")


def _nearest_ids(case: Case, name: str, ids: Iterable[str]) -> Iterator[str]:
    by_name = [
        key for key, one in case.workspaces.items() if (one.display_name or "").lower() == name.lower()
    ]
    yield from by_name[:1]
    yield from (one for one in difflib.get_close_matches(name, ids, n=_NEAREST) if one not in by_name[:1])


def _nearest_steps(name: str, steps: Iterable[Step]) -> Iterator[str]:
    words = {word.lower(): step for step in steps for word in (step.name, *_names(step))}
    close = difflib.get_close_matches(name.lower(), words, n=_NEAREST)
    yield from dict.fromkeys(words[word].name for word in close)
