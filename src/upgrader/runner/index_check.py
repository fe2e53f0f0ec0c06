"""Indexes that a command outside a transaction leaves invalid: a completed step with one would be a lie."""

from __future__ import annotations

import re
from collections.abc import Mapping

import psycopg

from upgrader.database.index_progress import invalid_indexes
from upgrader.database.session import CommandSession
from upgrader.errors import StepError, UpgraderError
from upgrader.history.sql_store import SqlHistoryStore
from upgrader.history.store import AttemptFilter
from upgrader.model import Attempt, AttemptStatus

_BEFORE, _LEFT, _UNSEEN = (
    "invalid before it began: ",
    "left behind: the invalid index ",
    "what it left could not be seen",
)
_OID = re.compile(r"\(oid (\d+)\)")
_MANY = 100  # attempts
_TELLING = (AttemptStatus.FAILED, AttemptStatus.COMPLETED, AttemptStatus.REVERTED)


def check_indexes(driver: psycopg.Connection, before: Mapping[int, str]) -> None:
    """Look for indexes that have become invalid.

    Args:
        before: those that were invalid before the command.

    Raises:
        StepError: the command left one.
    """
    left = list(_new(driver, before).values())
    if left:
        raise StepError(
            f"the command left an invalid index: {', '.join(left)}",
            hint=f"DROP INDEX CONCURRENTLY {left[0]}; and build it with create_index_concurrently(), which mends"
            " what it has left",
        )


def note_indexes(error: Exception, session: CommandSession, before: Mapping[int, str]) -> None:
    """Add to a failure which indexes were invalid before, and which it left so, where that can be found out.

    People read it, and so does `foreign_indexes()` at the next attempt.
    """
    if before:
        error.add_note(_BEFORE + _told(before))
    try:
        left = _new(session.driver, before)
    except (psycopg.Error, UpgraderError):  # the failure itself is worth more than this
        error.add_note(_UNSEEN)
        return
    if left:
        error.add_note(
            f"{_LEFT}{_told(left)}; the next attempt mends it where create_index_concurrently() built it,"
            f" else: DROP INDEX CONCURRENTLY {next(iter(left.values()))};"
        )


def foreign_indexes(store: SqlHistoryStore, attempt: Attempt, now: Mapping[int, str]) -> frozenset[int]:
    """Give the invalid indexes, by oid, that no earlier attempt of the step can have left.

    That is known for as long as the history tells what each attempt found and what it left; one that was
    killed tells nothing, and whatever shows up after it may be its own.

    Args:
        now: those that are invalid before this attempt.
    """
    if attempt.attempt == 1:
        return frozenset(now)
    wanted = AttemptFilter(
        step=attempt.name,
        workspace_id=attempt.scope.workspace_id,
        instance_only=attempt.scope.is_instance,
        limit=_MANY,
    )
    earlier = sorted(
        (one for one in store.attempts(wanted) if one.attempt < attempt.attempt), key=lambda one: one.attempt
    )
    foreign: set[int] = set()
    own: set[int] = set()
    for one in earlier:
        text = one.error_message or ""
        foreign |= _oids(text, _BEFORE) - own
        if one.status not in _TELLING or _UNSEEN in text:
            return frozenset(foreign)
        own |= _oids(text, _LEFT)
    return frozenset(foreign | (now.keys() - own))


def _told(indexes: Mapping[int, str]) -> str:
    return ", ".join(f"{name} (oid {oid})" for oid, name in indexes.items())


def _oids(text: str, head: str) -> set[int]:
    lines = (line for line in text.splitlines() if line.startswith(head))
    return {int(oid) for line in lines for oid in _OID.findall(line)}


def _new(driver: psycopg.Connection, before: Mapping[int, str]) -> dict[int, str]:
    return {oid: name for oid, name in invalid_indexes(driver).items() if oid not in before}
