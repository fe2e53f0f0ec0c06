"""Workspaces that are set aside and brought back by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from upgrader.database.connect import client_name
from upgrader.database.failures import translating
from upgrader.errors import OperatorError, RefusedError
from upgrader.history.layout import bring_up_to_date, read_layout_version
from upgrader.runner.database_access import DatabaseAccess, Reading
from upgrader.runner.enrolling import require_rows
from upgrader.runner.options import UpgradeOptions, plan_options
from upgrader.sequence.plan import PlanOptions, QuarantinedWorkspace
from upgrader.sequence.quarantined import find_quarantined, find_unreleasable
from upgrader.sequence.sequence import StepSequence
from upgrader.sequence.wording import listed
from upgrader.survey import Survey, take_survey


@dataclass(frozen=True)
class SettingAside:
    """What became of a request.

    Attributes:
        changed: the workspaces that were set aside, or brought back, in the order in which they were given.
        unchanged: those that were set aside already, with the reason of then.
    """

    changed: tuple[QuarantinedWorkspace, ...]
    unchanged: tuple[QuarantinedWorkspace, ...] = ()


def set_aside(
    access: DatabaseAccess, sequence: StepSequence, workspace_ids: Sequence[str], *, reason: str
) -> SettingAside:
    """Set workspaces aside; makes the history where there is none. Takes no run lock otherwise.

    Raises:
        UnknownWorkspaceError: an id is not there; nothing is changed then.
        OperatorError: the reason is empty.
        LockHeldError: there is no history yet, and a run is about to make it.
    """
    words = _checked_reason(reason)
    with translating(), _writing(access) as reading:
        require_rows(workspace_ids, _survey(access, reading))
        executed_by = access.app_version.text
        new = reading.store.quarantine(workspace_ids, reason=words, by=client_name(), executed_by=executed_by)
        found = _told(workspace_ids, _survey(access, reading), sequence.covered_by(access.app_version))
    return SettingAside(
        tuple(one for one in found if one.workspace_id in new),
        tuple(one for one in found if one.workspace_id not in new),
    )


def bring_back(access: DatabaseAccess, sequence: StepSequence, workspace_ids: Sequence[str]) -> SettingAside:
    """Bring workspaces back that were set aside. Takes no run lock; waits for a passing barrier.

    Raises:
        OperatorError: a workspace is not set aside; nothing is changed then.
        RefusedError: the loaded commands do not reach down to where a workspace is.
    """
    options = plan_options(UpgradeOptions(), access.run_settings)
    with translating(), _writing(access) as reading:
        survey = _survey(access, reading)
        _require_releasable(workspace_ids, survey=survey, sequence=sequence, options=options)
        found = _told(workspace_ids, survey, sequence.covered_by(access.app_version))
        back = reading.store.release(workspace_ids)
    return SettingAside(tuple(one for one in found if one.workspace_id in back))


@contextmanager
def _writing(access: DatabaseAccess) -> Iterator[Reading]:
    """Open a connection for a word that a run at work may be told, too."""
    schema = access.settings.history_schema
    with access.reading() as reading:
        is_missing = read_layout_version(reading.session.driver, schema) is None
    if is_missing:
        with access.run(only_marks=True) as run:
            bring_up_to_date(run.lock.driver, schema)
            run.lock.announce(access.app_version.text)
    with access.reading() as reading:
        bring_up_to_date(reading.session.driver, schema)  # for what it says of a role that may not write
        yield reading


def _survey(access: DatabaseAccess, reading: Reading) -> Survey:
    return take_survey(session=reading.session, store=reading.store, source=access.source)


def _checked_reason(reason: str) -> str:
    told = " ".join(reason.split())
    if not told or "\0" in told:
        raise OperatorError(
            "a quarantine needs a reason: it is told in every report until the workspace is back",
            hint='for example --reason "its import is broken, ticket 4711"',
        )
    return told


def _require_releasable(
    workspace_ids: Sequence[str], *, survey: Survey, sequence: StepSequence, options: PlanOptions
) -> None:
    strangers = [one for one in workspace_ids if one not in survey.quarantined]
    if strangers:
        raise OperatorError(
            f"not quarantined: {listed([f'workspace {one}' for one in strangers])}",
            hint="`upgrader workspace list` shows which workspaces are",
        )
    for refusal in find_unreleasable(sequence, survey.state, options, workspace_ids=set(workspace_ids)):
        raise RefusedError(f"it cannot be released: {refusal.message}", hint=refusal.hint)


def _told(
    workspace_ids: Sequence[str], survey: Survey, due: StepSequence
) -> tuple[QuarantinedWorkspace, ...]:
    """Give the quarantines of some workspaces in the order of the ids, also of those out of scope or gone."""
    in_scope = {one.workspace_id: one for one in find_quarantined(due, survey.state)}
    return tuple(
        in_scope.get(one) or QuarantinedWorkspace(one, survey.quarantined[one], None)
        for one in workspace_ids
        if one in survey.quarantined
    )
