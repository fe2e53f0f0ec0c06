"""Marks made by hand: a baseline, and the enrolment of single workspaces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from upgrader.database.connect import identifier
from upgrader.errors import OperatorError, UnknownWorkspaceError
from upgrader.history.store import HistoryStore
from upgrader.history.workspace_functions import ENROLLED_ALREADY
from upgrader.model import INSTANCE, Enrolment, Scope
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
    version: ReleaseVersion, *, survey: Survey, store: HistoryStore, executed_by: str
) -> MarkReport:
    """Mark the instance and every workspace row as being at `version`.

    Raises:
        OperatorError: a scope is marked at a higher version already.
    """
    rows = [*survey.state.members, *survey.state.others]
    scopes = [(INSTANCE, survey.state.instance), *((Scope(row.workspace_id), row.progress) for row in rows)]
    wanted = Enrolment(version)
    above = [
        str(scope)
        for scope, progress in scopes
        if progress.enrolment and progress.enrolment.version and progress.enrolment.version > version
    ]
    if above:
        raise OperatorError(
            f"marked at a version above {version} already: {_named(above)}",
            hint="a baseline only raises; look at `upgrader status` and give a higher version",
        )
    new = [scope for scope, progress in scopes if progress.enrolment != wanted or survey.state.is_first]
    written = store.mark(wanted, new, label="baseline", executed_by=executed_by)
    return MarkReport(version.text, len(rows), written)


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
    known = {row.workspace_id for row in (*survey.state.members, *survey.state.others)}
    unknown = [workspace_id for workspace_id in workspace_ids if workspace_id not in known]
    if unknown:
        raise UnknownWorkspaceError(
            f"no workspace of this id in the {survey.state.source_description}: {_named(unknown)}",
            hint="`upgrader workspace list` shows the ids",
        )
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
