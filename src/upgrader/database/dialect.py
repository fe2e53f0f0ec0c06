"""The dialect of the connections on which commands run: the guard sits where statements are sent.

Events of SQLAlchemy would do the same. But their listeners are joined anew for every Connection, and each step
has a Connection of its own: that took as much of the client's time as sending the statement itself.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from upgrader.database.guard import (
    COMMIT,
    ROLLBACK,
    ConnectionInfo,
    execute_guarded,
    is_in_step,
    refuse_end,
)
from upgrader.database.recording import is_passed_by

GUARDED_URL = "postgresql+upgrader://"
"""What `create_engine` takes for an engine with this dialect."""
COMMITTED = "upgrader_committed"
"""Key of `Connection.info`: the next commit has been done already, in a message of the runner's own."""
registry.register("postgresql.upgrader", __name__, "GuardedDialect")


class GuardedDialect(PGDialect_psycopg):
    """psycopg's dialect, with the guard in it."""

    supports_statement_cache = True

    def do_execute(self, cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        """Execute a statement."""
        execute = partial(cursor.execute, statement, parameters)
        if not parameters and "%" not in statement:  # the driver need not look for places of parameters
            execute = partial(cursor.execute, statement)
        _send(execute, cursor, statement, parameters, context)

    def do_executemany(self, cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        """Execute a statement once for each set of parameters."""
        _send(partial(cursor.executemany, statement, parameters), cursor, statement, parameters, context)

    def do_execute_no_params(self, cursor: Any, statement: str, context: Any = None) -> None:
        """Execute a statement in which `%` is a letter like any other."""
        execute = partial(cursor.execute, statement)
        _send(execute, cursor, statement, None, context, escapes_percent=False)

    def do_commit(self, dbapi_connection: Any) -> None:
        """Commit, unless a command asks for it."""
        info = _info(dbapi_connection)
        refuse_end(info, COMMIT)
        if info.pop(COMMITTED, None) is None:
            dbapi_connection.commit()

    def do_rollback(self, dbapi_connection: Any) -> None:
        """Roll back, unless a command asks for it."""
        refuse_end(_info(dbapi_connection), ROLLBACK)
        dbapi_connection.rollback()


def _send(
    execute: Callable[[], object],
    cursor: Any,
    statement: str,
    parameters: Any,
    context: Any,
    *,
    escapes_percent: bool = True,
) -> None:
    info = _info(context.root_connection.connection) if context is not None else {}
    if not is_in_step(info):
        execute()
        return
    if is_passed_by(info, statement):
        execute = _nothing
    execute_guarded(info, cursor, statement, parameters, escapes_percent=escapes_percent, execute=execute)


def _info(dbapi_connection: Any) -> ConnectionInfo:
    try:
        info: ConnectionInfo = dbapi_connection.info
    except NotImplementedError:  # the stand-in with which SQLAlchemy asks a new server a few things
        return {}
    return info


def _nothing() -> None:
    """Execute nothing: the statement passes by."""
