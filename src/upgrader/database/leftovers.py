"""What a command may not leave behind, and how that is found."""

from __future__ import annotations

from typing import cast

import psycopg
from sqlalchemy import Connection

from upgrader.database.failures import database_error
from upgrader.database.guard import NOTE
from upgrader.database.session import CommandSession
from upgrader.errors import GuardError

ENDED = "UPG01"
TEMPORARY_LEFT = "UPG02"
LOCK_LEFT = "UPG03"
"""SQLSTATEs of the check at the end of a step's transaction (it is part of the history's functions)."""

_HINTS = {
    ENDED: "let the runner end the transaction; begin_nested() gives a savepoint that may be rolled back",
    TEMPORARY_LEFT: "create it with ON COMMIT DROP, or drop it at the end of the command",
    LOCK_LEFT: "use pg_advisory_xact_lock(): it ends with the transaction",
}


_PLAIN_DDL = (
    "alter ",
    "comment ",
    "create index ",
    "create table ",
    "create unique ",
    "drop ",
    "grant ",
    "revoke ",
)


class Traces:
    """What the statements of a command tell of what it may leave behind.

    Attributes:
        dropped_on_commit: it makes temporary tables that end with its transaction. The catalog does not tell
            ON COMMIT DROP, so the statements have to.
        names_schemas: it may rename or drop its own schema.
    """

    def __init__(self) -> None:
        """Nothing was noted yet."""
        self.dropped_on_commit = self.names_schemas = False
        self._is_noted = False
        self._is_plain = True

    @property
    def may_hold_locks(self) -> bool:
        """Whether session locks have to be looked for; not after nothing but plain DDL.

        Looking goes through the lock table of the whole server, the dearest part of a step's record.
        """
        return not (self._is_noted and self._is_plain)

    def note(self, statement: str) -> None:
        """Take note of one statement."""
        words = statement.lower()
        if "commit" in words and "on commit drop" in " ".join(words.split()):
            self.dropped_on_commit = True
        if "schema" in words:
            self.names_schemas = True
        self._is_noted = True
        if not words.lstrip().startswith(_PLAIN_DDL) or "advisory" in words or ";" in words:
            self._is_plain = False


class noting:  # noqa: N801 - used as a function; a generator would cost each step more than all of its notes
    """Let `traces` hear of each statement that is executed in the block."""

    def __init__(self, connection: Connection, traces: Traces) -> None:
        """Begin with the block."""
        self._connection, self._traces = connection, traces

    def __enter__(self) -> None:
        """Let them be noted."""
        self._connection.info[NOTE] = self._traces.note

    def __exit__(self, *_: object) -> None:
        """Note no more."""
        if not self._connection.closed and not self._connection.invalidated:
            self._connection.info.pop(NOTE, None)


def guarded(error: BaseException) -> BaseException:
    """Turn what the server's own check found into the error that an author reads."""
    found = database_error(error) if isinstance(error, psycopg.Error) else None
    if found is None or found.sqlstate not in _HINTS:
        return error
    return GuardError(found.diag.message_primary, hint=_HINTS[found.sqlstate])


def check_left_behind(session: CommandSession, *, own_locks: int) -> None:
    """Look for what a command in autocommit has left in its session.

    Args:
        own_locks: how many advisory locks the session holds for the runner: its fence is one.

    Raises:
        GuardError: a temporary table, an advisory lock or a LISTEN.
    """
    row = session.execute(
        "select (select string_agg(relname, ', ') from pg_class where relnamespace = pg_my_temp_schema()"
        " and pg_my_temp_schema() <> 0 and relkind in ('r', 'p', 'v', 'S')),"
        " (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()),"
        " (select string_agg(c, ', ') from pg_listening_channels() c)"
    ).fetchone()
    assert row is not None
    if row[0]:
        raise GuardError(f"the command left the temporary table {row[0]}", hint=_HINTS[TEMPORARY_LEFT])
    if cast("int", row[1]) > own_locks:
        raise GuardError(
            "the command left a session advisory lock", hint="release it before the command ends"
        )
    if row[2]:
        raise GuardError(f"the command left a LISTEN on {row[2]}", hint="UNLISTEN before the command ends")
