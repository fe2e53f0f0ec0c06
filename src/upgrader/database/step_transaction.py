"""An open transaction in which a command works, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row
from sqlalchemy import Connection, RootTransaction

from upgrader.database.dialect import COMMITTED
from upgrader.database.failures import is_connection_lost
from upgrader.database.guard import check_transaction, leave_guard
from upgrader.database.message import send_message
from upgrader.errors import ConnectionLostError


@dataclass(slots=True, eq=False)
class StepTransaction:
    """An open transaction in which a command works.

    Attributes:
        connection: what the command is given.
        token: the marker that `final` checks: it is gone if the transaction was ended behind our back.
        probe: the row of the probe that travelled with BEGIN; None without probe, or if it found nothing.
    """

    connection: Connection
    token: str
    probe: tuple[object, ...] | None
    _root: RootTransaction
    _driver: psycopg.Connection
    _commit_and_begin: Callable[[str, str], None]

    def check(self) -> None:
        """Find out whether the transaction is still as it was given.

        Raises:
            GuardError: it is not.
            ConnectionLostError: the server ended the connection.
        """
        if is_connection_lost(self._driver):
            raise ConnectionLostError("the server ended the connection while a step ran on it")
        check_transaction(self.connection, self._root, self._driver.pgconn.transaction_status)

    def commit(self, final: str, *, following: str = "") -> None:
        """Check the transaction, then execute `final` and COMMIT in one message.

        Args:
            following: how the next transaction of the session begins (see `beginning`), where that is known: it
                travels along. If it fails, it is as if it had not been begun.

        Raises:
            GuardError: the command did to the transaction what it may not do.
            psycopg.Error: `final` or COMMIT failed: a deferred constraint, for example.
        """
        leave_guard(self.connection)
        self.check()
        speak_utf8(self._driver)
        commit = f"set session authorization default; {final}; commit"
        if following and not is_altered(self._driver):
            self._commit_and_begin(commit, following)
        else:
            send_message(self._driver, commit)
        self.connection.info[COMMITTED] = True
        self._root.commit()

    def rollback(self) -> None:
        """Roll back; never raises, also on a dead connection."""
        leave_guard(self.connection)
        try:
            if self._root.is_active:
                self._root.rollback()
            if self._driver.pgconn.transaction_status != TransactionStatus.IDLE:
                self._driver.rollback()
        except Exception:
            # Whatever is left of the transaction goes with its connection.
            self._driver.close()


def is_altered(driver: psycopg.Connection) -> bool:
    """Tell whether a command changed how the driver works."""
    return (
        driver.row_factory is not tuple_row
        or driver.cursor_factory is not psycopg.Cursor
        or driver.prepare_threshold is not None
        or not driver.autocommit
    )


def speak_utf8(driver: psycopg.Connection) -> None:
    """Undo a SET client_encoding of a command: the runner's messages are UTF-8."""
    if driver.pgconn.parameter_status(b"client_encoding") not in (b"UTF8", None):
        driver.execute(b"set client_encoding = 'UTF8'")
