"""Workspaces whose history is ended by hand."""

from __future__ import annotations

from collections.abc import Sequence

from upgrader.errors import OperatorError, RefusedError, UnknownWorkspaceError
from upgrader.history.store import HistoryStore
from upgrader.sequence.state import Source
from upgrader.sequence.wording import listed
from upgrader.survey import Survey

_ENROLL = "a new workspace of that id is enrolled like any other"


def forget_by_hand(workspace_ids: Sequence[str], *, survey: Survey, store: HistoryStore) -> int:
    """End the history of workspaces that are no longer there; give their number. All of them or none.

    Raises:
        RefusedError: a workspace is still there: everything would run on it again.
        UnknownWorkspaceError: history knows nothing of an id.
        OperatorError: there is nothing to say which workspaces are still there.
    """
    state = survey.state
    if state.source is Source.ABSENT:
        raise OperatorError(
            f"{state.source_description} is not there, so nothing says which workspaces are deleted",
            hint="set [tool.upgrader.workspaces] table to the table of your workspaces",
        )
    present = {row.workspace_id for row in survey.rows}
    still_there = [workspace_id for workspace_id in workspace_ids if workspace_id in present]
    if still_there:
        raise RefusedError(
            f"still in the {state.source_description}: {listed(still_there)}; "
            "without their history every step would run on them again",
            hint=f"delete the row first; {_ENROLL}",
        )
    snapshot = store.snapshot()
    known = {*snapshot.workspaces, *snapshot.quarantined}
    unknown = [workspace_id for workspace_id in workspace_ids if workspace_id not in known]
    if unknown:
        raise UnknownWorkspaceError(
            f"there is no history to forget of workspace {listed(unknown)}",
            hint="`upgrader history` shows which workspaces have one",
        )
    return sum(store.forget(workspace_id) for workspace_id in workspace_ids)
