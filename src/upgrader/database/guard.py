"""The guarded connection: a command works in a transaction that it may not end.

Prevention first: `commit()`, `rollback()`, `close()` and forbidden statements raise at the author's line.
Detection after: whatever got past it (the raw driver, a swallowed error) is found before the step is recorded.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, Engine, ExceptionContext, RootTransaction, event

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
    transaction: int = 0
    has_failed: bool = False


StatementObserver = Callable[[ObservedStatement], None]
"""Told of each statement of a command."""

_transactions = count(1)


def install_guard(engine: Engine | Connection) -> None:
    """Make every connection of `engine` (or this one) refuse to end a transaction while a step runs on it."""
    event.listen(engine, "commit", _refuse("commit()"))
    event.listen(engine, "rollback", _refuse("rollback() or close()"))
    event.listen(engine, "before_cursor_execute", _before_statement)
    event.listen(engine, "after_cursor_execute", _after_statement)
    if isinstance(engine, Engine):  # SQLAlchemy tells failures per engine only
        event.listen(engine, "handle_error", _after_failure)


def enter_guard(connection: Connection, observer: StatementObserver | None = None) -> None:
    """Begin to guard: from here on author code runs on the connection."""
    connection.info[_IN_STEP] = True
    connection.info[_OBSERVER] = observer
    connection.info[_TRANSACTION] = next(_transactions)


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


def check_transaction(
    connection: Connection, transaction: RootTransaction, status: TransactionStatus
) -> None:
    """Find out whether the command left its transaction as it was given.

    Raises:
        GuardError: it was ended, left aborted, or has an open savepoint.
    """
    if connection.closed or connection.invalidated or status is TransactionStatus.UNKNOWN:
        raise GuardError("the command closed its connection", hint=_REMEDY)
    if connection.get_transaction() is not transaction or not transaction.is_active:
        raise GuardError("the command ended its transaction", hint=_REMEDY)
    if connection.in_nested_transaction():
        raise GuardError(
            "the command left a savepoint open",
            hint="use `with connection.begin_nested():` so that it is released at the end of the block",
        )
    if status is TransactionStatus.INERROR:
        raise GuardError(
            "the command left the transaction aborted: a statement failed and its error was swallowed",
            hint="put a statement that may fail into `with connection.begin_nested():`",
        )
    if status is not TransactionStatus.INTRANS:
        raise GuardError("the command ended its transaction", hint=_REMEDY)


def _refuse(what: str) -> Callable[[Connection], None]:
    def listener(connection: Connection) -> None:
        if connection.info.get(_IN_STEP):
            raise GuardError(f"a command may not call {what} on its connection", hint=_REMEDY)

    return listener


def _before_statement(
    connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool
) -> None:
    del parameters, executemany
    info = connection.info
    if not info.get(_IN_STEP):
        return
    words = forbidden_statement(statement)
    if words is not None:
        raise GuardError(
            f"a command may not execute {words}",
            hint="listen on a connection of the application's own" if words == "LISTEN" else _REMEDY,
        )
    note = info.get(NOTE)
    if note is not None:
        note(statement)
    context._upgrader_started = time.perf_counter()
    if info.get(_OBSERVER) is not None:
        status = cursor.connection.info.transaction_status
        context._upgrader_in_transaction = status is not TransactionStatus.IDLE
        context._upgrader_transaction = info[_TRANSACTION]


def _after_statement(
    connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool
) -> None:
    del executemany
    observer: StatementObserver | None = connection.info.get(_OBSERVER)
    if observer is not None:
        _tell(observer, cursor, statement, parameters, context)


def _after_failure(failure: ExceptionContext) -> None:
    """Write down how long a statement took that the server refused, and tell the observer of it."""
    connection, context, error = failure.connection, failure.execution_context, failure.original_exception
    if connection is None or context is None or not isinstance(error, psycopg.Error):
        return
    started = getattr(context, "_upgrader_started", None)
    if started is not None:
        note_seconds(error, time.perf_counter() - started)
    if connection.closed or connection.invalidated:
        return
    observer: StatementObserver | None = connection.info.get(_OBSERVER)
    if observer is not None and started is not None:
        _tell(observer, context.cursor, failure.statement or "", failure.parameters, context, has_failed=True)


def _tell(
    observer: StatementObserver,
    cursor: Any,
    statement: str,
    parameters: Any,
    context: Any,
    *,
    has_failed: bool = False,
) -> None:
    started = getattr(context, "_upgrader_started", None)
    observer(
        ObservedStatement(
            text=statement,
            parameters=parameters,
            seconds=time.perf_counter() - started if started is not None else 0.0,
            row_count=-1 if has_failed else cursor.rowcount,
            origin=find_origin(),
            in_transaction=getattr(context, "_upgrader_in_transaction", True),
            escapes_percent=bool(parameters) or not context.no_parameters,
            transaction=context._upgrader_transaction if started is not None else 0,
            has_failed=has_failed,
        )
    )
