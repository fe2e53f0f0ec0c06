"""Indexes that a command outside a transaction leaves invalid: a completed step with one would be a lie."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import psycopg

from upgrader.database.index_progress import InvalidIndex, invalid_indexes
from upgrader.database.session import CommandSession
from upgrader.errors import StepError, UpgraderError
from upgrader.history.sql_store import SqlHistoryStore
from upgrader.history.store import AttemptFilter
from upgrader.model import Attempt, AttemptStatus, Workspace
from upgrader.workspaces import WorkspaceSource

_BEFORE, _LEFT, _UNSEEN = (
    "invalid before it began: ",
    "left behind: the invalid index ",
    "what it left could not be seen",
)
_OID = re.compile(r"\(oid (\d+)\)")
_MANY = 100  # attempts
_TELLING = (AttemptStatus.FAILED, AttemptStatus.COMPLETED, AttemptStatus.REVERTED)


@dataclass(frozen=True, slots=True)
class IndexCheck:
    """What is invalid after a command, and was not before.

    Attributes:
        before: the indexes that were invalid before the command.
        workspace: the one it works on; None for the instance.
    """

    session: CommandSession
    before: Mapping[int, InvalidIndex]
    workspace: Workspace | None
    source: WorkspaceSource

    def check(self) -> None:
        """Look for indexes that have become invalid.

        Raises:
            StepError: the command left one.
        """
        left = [index.name for index in self._left().values()]
        if left:
            raise StepError(
                f"the command left an invalid index: {', '.join(left)}",
                hint=f"DROP INDEX CONCURRENTLY {left[0]}; and build it with create_index_concurrently(), which"
                " mends what it has left",
            )

    def note(self, error: Exception) -> None:
        """Add to a failure which indexes were invalid before, and which it left so, where that can be found out.

        People read it, and so does `foreign_indexes()` at the next attempt.
        """
        if self.before:
            error.add_note(_BEFORE + _told(self.before))
        try:
            left = self._left()
        except (psycopg.Error, UpgraderError):  # the failure itself is worth more than this
            error.add_note(_UNSEEN)
            return
        if left:
            error.add_note(
                f"{_LEFT}{_told(left)}; the next attempt mends it where create_index_concurrently() built it,"
                f" else: DROP INDEX CONCURRENTLY {next(iter(left.values())).name};"
            )

    def _left(self) -> dict[int, InvalidIndex]:
        now = invalid_indexes(self.session.driver)
        left = {oid: index for oid, index in now.items() if oid not in self.before}
        if self.workspace is None or all(index.schema == self.workspace.schema for index in left.values()):
            return left
        # Another lane may have failed meanwhile with an index of its own workspace: that is its affair.
        listing = self.source.listing(self.session)
        elsewhere = {one.schema for one in (*listing.in_scope, *listing.out_of_scope)} - {
            self.workspace.schema
        }
        return {oid: index for oid, index in left.items() if index.schema not in elsewhere}


def foreign_indexes(
    store: SqlHistoryStore, attempt: Attempt, now: Mapping[int, InvalidIndex]
) -> frozenset[int]:
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


def _told(indexes: Mapping[int, InvalidIndex]) -> str:
    return ", ".join(f"{index.name} (oid {oid})" for oid, index in indexes.items())


def _oids(text: str, head: str) -> set[int]:
    lines = (line for line in text.splitlines() if line.startswith(head))
    return {int(oid) for line in lines for oid in _OID.findall(line)}
