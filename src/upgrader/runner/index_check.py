"""Indexes that a command outside a transaction leaves invalid: a completed step with one would be a lie."""

from __future__ import annotations

from collections.abc import Mapping

import psycopg

from upgrader.database.index_progress import invalid_indexes
from upgrader.database.session import CommandSession
from upgrader.errors import StepError, UpgraderError
from upgrader.history.sql_store import SqlHistoryStore
from upgrader.history.store import AttemptFilter
from upgrader.model import Attempt

_TWO = 2  # the attempt at hand has a row already


def check_indexes(driver: psycopg.Connection, before: Mapping[int, str]) -> None:
    """Look for indexes that have become invalid.

    Args:
        before: those that were invalid before the command.

    Raises:
        StepError: the command left one.
    """
    left = _new(driver, before)
    if left:
        raise StepError(
            f"the command left an invalid index: {', '.join(left)}",
            hint=f"DROP INDEX CONCURRENTLY {left[0]}; and build it with create_index_concurrently(), which mends"
            " what it has left",
        )


def note_indexes(error: Exception, session: CommandSession, before: Mapping[int, str]) -> None:
    """Add to a failure which indexes it left invalid, where that can be found out."""
    try:
        left = _new(session.driver, before)
    except (psycopg.Error, UpgraderError):  # the failure itself is worth more than this
        return
    if left:
        error.add_note(
            f"left behind: the invalid index {', '.join(left)}; the next attempt mends it where"
            f" create_index_concurrently() built it, else: DROP INDEX CONCURRENTLY {left[0]};"
        )


def last_refusal(store: SqlHistoryStore, attempt: Attempt) -> str:
    """Give what the attempt before this one failed with; "" where there is none."""
    if attempt.attempt == 1:
        return ""
    wanted = AttemptFilter(
        step=attempt.name,
        workspace_id=attempt.scope.workspace_id,
        instance_only=attempt.scope.is_instance,
        limit=_TWO,
    )
    earlier = (one for one in store.attempts(wanted) if one.attempt < attempt.attempt)
    return next((one.error_message or "" for one in earlier), "")


def _new(driver: psycopg.Connection, before: Mapping[int, str]) -> list[str]:
    return [name for oid, name in invalid_indexes(driver).items() if oid not in before]
