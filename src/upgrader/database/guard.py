"""The guarded connection: a command works in a transaction that it may not end.

Prevention first: `commit()`, `rollback()`, `close()` and forbidden statements raise at the author's line.
Detection after: whatever got past it (the raw driver, a swallowed error) is found before the step is recorded.
"""

from __future__ import annotations

import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from itertools import count
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, RootTransaction, event

from upgrader.database.failures import note_seconds
from upgrader.database.origin import Origin, find_origin
from upgrader.database.statements import forbidden_statement
from upgrader.errors import GuardError

_IN_STEP = "upgrader_in_step"
_OBSERVER = "upgrader_observer"
_TRANSACTION = "upgrader_transaction"
EARLIER_ATTEMPTS = "upgrader_earlier_attempts"
"""Key of `Connection.info`: how often this step was tried before; what an unfinished attempt left may be removed."""
FOREIGN_INDEXES = "upgrader_foreign_indexes"
"""Key of `Connection.info`: oids of invalid indexes that no earlier attempt of this step can have left."""
NOTE = "upgrader_note"
"""Key of `Connection.info`: a function that is told of each statement before it is executed."""
_REMEDY = "let the runner end the transaction; begin_nested() gives a savepoint that may be rolled back"


@dataclass(frozen=True, slots=True)
class ObservedStatement:
    """A statement of a command that was executed, or that the server refused.

    Attributes:
        row_count: -1 where it is not known.
        origin: the author's line that issued it, where one is known.
        in_transaction: whether a transaction was open.
        escapes_percent: whether `%%` in the text stands for `%`, as it does wherever parameters may come with it.
        transaction: a number that no other transaction of this process has; without one, a number of the step.
    """

    text: str
    parameters: Any
    seconds: float
    row_count: int
    origin: Origin | None
    in_transaction: bool
    escapes_percent: bool
    transaction: int
    has_failed: bool = False


ConnectionInfo = MutableMapping[Any, Any]
"""What SQLAlchemy calls the `info` of a connection; the guard keeps its state there."""
COMMIT, ROLLBACK = "commit()", "rollback() or close()"
StatementObserver = Callable[[ObservedStatement], None]
"""Told of each statement of a command."""

_transactions = count(1)


def install_guard(connection: Connection) -> None:
    """Make a connection of a foreign engine refuse to end a transaction while a step runs on it.

    The product's own engines have the guard in their dialect instead (see dialect.py).
    """

    def before(
        connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool
    ) -> None:
        del cursor, parameters, context, executemany
        if is_in_step(connection.info):
            check_statement(connection.info, statement)

    event.listen(connection, "commit", lambda connection: refuse_end(connection.info, COMMIT))
    event.listen(connection, "rollback", lambda connection: refuse_end(connection.info, ROLLBACK))
    event.listen(connection, "before_cursor_execute", before)


def enter_guard(connection: Connection, observer: StatementObserver | None = None) -> None:
    """Begin to guard: from here on author code runs on the connection."""
    info = connection.info
    info[_IN_STEP] = True
    info[_OBSERVER] = observer
    info[_TRANSACTION] = next(_transactions)


def leave_guard(connection: Connection) -> None:
    """End guarding; never raises, also where the author closed the connection."""
    try:
        info = connection.info
    except Exception:  # a closed or invalidated connection has no info any more
        return
    info.pop(_IN_STEP, None)
    info.pop(_OBSERVER, None)


def forget_options(connection: Connection) -> None:
    """Undo `execution_options()`, a `schema_translate_map` for example, on a connection that goes on."""
    connection._execution_options = connection.engine._execution_options


def check_transaction(connection: Connection, transaction: RootTransaction, status: int) -> None:
    """Find out whether the command left its transaction as it was given.

    Args:
        status: a `TransactionStatus`, as libpq gives it.

    Raises:
        GuardError: it was ended, left aborted, or has an open savepoint.
    """
    if connection.closed or connection.invalidated or status == TransactionStatus.UNKNOWN:
        raise GuardError("the command closed its connection", hint=_REMEDY)
    if connection.get_transaction() is not transaction or not transaction.is_active:
        raise GuardError("the command ended its transaction", hint=_REMEDY)
    if connection.in_nested_transaction():
        raise GuardError(
            "the command left a savepoint open",
            hint="use `with connection.begin_nested():` so that it is released at the end of the block",
        )
    if status == TransactionStatus.INERROR:
        raise GuardError(
            "the command left the transaction aborted: a statement failed and its error was swallowed",
            hint="put a statement that may fail into `with connection.begin_nested():`",
        )
    if status != TransactionStatus.INTRANS:
        raise GuardError("the command ended its transaction", hint=_REMEDY)


def is_in_step(info: ConnectionInfo) -> bool:
    """Tell whether author code runs on the connection with this `Connection.info`."""
    return _IN_STEP in info


def refuse_end(info: ConnectionInfo, what: str) -> None:
    """Let nobody but the runner end the transaction.

    Raises:
        GuardError: author code runs on the connection.
    """
    if is_in_step(info):
        raise GuardError(f"a command may not call {what} on its connection", hint=_REMEDY)


def check_statement(info: ConnectionInfo, statement: str) -> None:
    """Look at a command's statement before it is executed, and let others take note of it.

    Raises:
        GuardError: a command may not execute it.
    """
    words = forbidden_statement(statement)
    if words is not None:
        raise GuardError(
            f"a command may not execute {words}",
            hint="listen on a connection of the application's own" if words == "LISTEN" else _REMEDY,
        )
    note = info.get(NOTE)
    if note is not None:
        note(statement)


def execute_guarded(
    info: ConnectionInfo,
    cursor: psycopg.Cursor[Any],
    statement: str,
    parameters: Any,
    *,
    escapes_percent: bool,
    execute: Callable[[], object],
) -> None:
    """Execute a command's statement, if it may be, and tell the observer of it.

    Raises:
        GuardError: a command may not execute it.
        psycopg.Error: the server refused it; how long that took is written on it.
    """
    check_statement(info, statement)
    observer: StatementObserver | None = info.get(_OBSERVER)
    started = time.perf_counter()
    if observer is None:
        try:
            execute()
        except psycopg.Error as error:
            note_seconds(error, time.perf_counter() - started)
            raise
        return
    in_transaction = cursor.connection.info.transaction_status is not TransactionStatus.IDLE

    def tell(*, has_failed: bool) -> None:
        observer(
            ObservedStatement(
                text=statement,
                parameters=parameters,
                seconds=time.perf_counter() - started,
                row_count=-1 if has_failed else cursor.rowcount,
                origin=find_origin(),
                in_transaction=in_transaction,
                escapes_percent=escapes_percent,
                transaction=info[_TRANSACTION],
                has_failed=has_failed,
            )
        )

    try:
        execute()
    except psycopg.Error as error:
        note_seconds(error, time.perf_counter() - started)
        tell(has_failed=True)
        raise
    tell(has_failed=False)
