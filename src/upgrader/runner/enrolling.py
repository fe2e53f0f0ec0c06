"""Marks made by hand: a baseline, and the enrolment of single workspaces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from upgrader.database.connect import identifier
from upgrader.errors import OperatorError, UnknownWorkspaceError
from upgrader.history.store import HistoryStore
from upgrader.history.workspace_functions import ENROLLED_ALREADY
from upgrader.model import INSTANCE, Enrolment, Progress, Scope
from upgrader.sequence.contradictions import contradictions
from upgrader.sequence.planner import inferred_version
from upgrader.sequence.sequence import StepSequence
from upgrader.survey import Survey
from upgrader.version import ReleaseVersion

_NAMED = 10


@dataclass(frozen=True, slots=True)
class MarkReport:
    """What a baseline or an enrolment wrote.

    Attributes:
        at: `start`, or the version.
        workspaces: how many workspaces have the mark now.
        written: how many marks are new, the instance's among them.
    """

    at: str
    workspaces: int
    written: int


def write_baseline(
    version: ReleaseVersion,
    *,
    survey: Survey,
    store: HistoryStore,
    executed_by: str,
    workspace_ids: Sequence[str] = (),
) -> MarkReport:
    """Mark the instance and every workspace row as being at `version`, or only some workspaces.

    Workspaces that are set aside are marked only where they are named: they may be in any shape.

    Raises:
        UnknownWorkspaceError: an id is not in the workspace table; nothing is marked then.
        OperatorError: history says something else of a scope; nothing is marked then.
    """
    state = survey.state
    if workspace_ids:
        require_rows(workspace_ids, survey)
        rows = [row for row in survey.rows if row.workspace_id in workspace_ids]
    else:
        rows = [row for row in (*state.members, *state.others) if row.quarantine is None]
    scopes = [(Scope(row.workspace_id), row.progress) for row in rows]
    if not workspace_ids:
        scopes.insert(0, (INSTANCE, state.instance))
    _refuse_contradictions(version, scopes)
    wanted = Enrolment(version)
    new = [scope for scope, progress in scopes if progress.enrolment != wanted or state.is_first]
    written = store.mark(wanted, new, label="baseline", executed_by=executed_by)
    return MarkReport(version.text, len(rows), written)


def _refuse_contradictions(version: ReleaseVersion, scopes: Sequence[tuple[Scope, Progress]]) -> None:
    told = {scope: contradictions(version, progress) for scope, progress in scopes}
    against = [f"{scope}: {text}" for scope, text in told.items() if text]
    if against:
        raise OperatorError(
            f"history says that this is not {version}: {_named(against)}",
            hint="a baseline only raises, and adopts what history does not know: look at `upgrader history`, "
            "and give a higher version or other workspaces",
        )


def enrol_by_hand(
    workspace_ids: Sequence[str],
    at: str,
    *,
    survey: Survey,
    sequence: StepSequence,
    driver: psycopg.Connection,
    schema: str,
) -> MarkReport:
    """Enrol workspaces at `start`, `current` (where the instance stands) or a version.

    Raises:
        UnknownWorkspaceError: an id is not in the workspace table; nothing is enrolled then.
        OperatorError: a workspace is enrolled at another version already.
    """
    require_rows(workspace_ids, survey)
    enrolment = _resolve(at, survey, sequence)
    call = f"select {identifier(schema, 'enroll_workspace')}(%s, %s)".encode()
    try:
        with driver.transaction():
            for workspace_id in workspace_ids:
                driver.execute(call, [workspace_id, enrolment.text])
    except psycopg.Error as error:
        if error.sqlstate != ENROLLED_ALREADY:
            raise
        raise OperatorError(
            str(error.diag.message_primary), hint="`upgrader workspace list` shows where each is enrolled"
        ) from error
    return MarkReport(enrolment.text, len(workspace_ids), len(workspace_ids))


def require_rows(workspace_ids: Sequence[str], survey: Survey) -> None:
    """Refuse ids that are not in the workspace table.

    Raises:
        UnknownWorkspaceError: with all of them.
    """
    known = {row.workspace_id for row in survey.rows}
    unknown = [workspace_id for workspace_id in workspace_ids if workspace_id not in known]
    if unknown:
        raise UnknownWorkspaceError(
            f"no workspace of this id in the {survey.state.source_description}: {_named(unknown)}",
            hint="`upgrader workspace list` shows the ids",
        )


def _resolve(at: str, survey: Survey, sequence: StepSequence) -> Enrolment:
    if at != "current":
        return Enrolment.parse(at)
    version = inferred_version(sequence, survey.state.instance, workspace=False)
    if version is None or survey.state.is_first:
        raise OperatorError(
            "the instance has not finished any version yet, so `current` names none",
            hint="give --at start (run everything on it) or --at VERSION (it has the shape of VERSION)",
        )
    return Enrolment(version)


def _named(subjects: Sequence[str]) -> str:
    more = len(subjects) - _NAMED
    return ", ".join(subjects[:_NAMED]) + (f" and {more} more" if more > 0 else "")
