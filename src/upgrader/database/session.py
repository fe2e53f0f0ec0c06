"""The connection that runs commands: one message before the author's code, one after it, nothing inherited.

A step costs one message beside the author's own: its record and COMMIT, the reset of the session, BEGIN and
the settings of the next step travel together, where a next one is known. (A round trip costs about as much as a
small statement, and what both sides do after a wait takes several times as long as it would without.)
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from itertools import count

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, Engine, NullPool, create_engine
from sqlalchemy.exc import DBAPIError

from upgrader.database.ahead import AheadKeeper, Begun
from upgrader.database.connect import Connector
from upgrader.database.dialect import GUARDED_URL
from upgrader.database.failures import is_connection_lost
from upgrader.database.guard import (
    StatementObserver,
    enter_guard,
    leave_guard,
)
from upgrader.database.message import Row, send_commit, send_message
from upgrader.database.step_transaction import StepTransaction, is_altered, speak_utf8
from upgrader.errors import ConnectionLostError, DatabaseUnavailableError, GuardError, NoConnectionError

# All that a command can leave in a session, except advisory locks (DISCARD ALL would take the fence along).
# It is a transaction of its own: UNLISTEN has no effect before a commit, and the statements of one message
# before BEGIN would hand it what they began with, a default_transaction_read_only for example.
_RESET = (
    "begin; close all; set session authorization default; reset all; unlisten *; deallocate all; "
    "discard sequences; discard temp; commit"
)
_MARKER = "upgrader.step"
_REOPEN_SECONDS, _REOPEN_PAUSE_SECONDS = 1.0, 0.05


def open_engine(connect: Callable[[], psycopg.Connection]) -> Engine:
    """Make an engine whose connections come from `connect` and are guarded."""
    return create_engine(GUARDED_URL, creator=connect, poolclass=NullPool)


class CommandSession:
    """One connection to the database on which commands run, replaced after whatever went wrong on it."""

    def __init__(self, connector: Connector, *, on_connect: str = "") -> None:
        """Open no connection yet.

        Args:
            connector: where to connect.
            on_connect: SQL for each new connection: takes the fence.
        """
        self._connector = connector
        self._engine = open_engine(self._connect_driver)
        self._is_opening = False
        self._on_connect = on_connect
        self._connection: Connection | None = None
        self._untouched: dict[str, object] = {}
        self._backend_pid = 0
        self._driver: psycopg.Connection | None = None
        self._newest: psycopg.Connection | None = None
        self._was_open = False
        self._marker, self._steps = f"{secrets.token_hex(8)}.", count(1)
        self._ahead = AheadKeeper()

    def open(self) -> None:
        """Open the connection, unless it is: from here on it holds the fence."""
        if self._connection is None:
            self._open()

    def open_again(self) -> None:
        """Open the connection of a run that is under way, unless it is.

        Raises:
            NoConnectionError: there is none to be had (any more).
        """
        self._was_open = True
        self.open()

    @property
    def connection(self) -> Connection:
        """The SQLAlchemy connection; opened when first used."""
        self.settle()
        if self._connection is None:
            self._open()
        assert self._connection is not None
        return self._connection

    @property
    def driver(self) -> psycopg.Connection:
        """The psycopg connection below it, for the runner's own statements."""
        self.settle()
        if self._driver is None:
            self._open()
        assert self._driver is not None
        return self._driver

    @property
    def backend_pid(self) -> int | None:
        """The server process behind the connection; None while there is none."""
        return self._backend_pid if self._driver is not None and not self._driver.closed else None

    @property
    def is_lost(self) -> bool:
        """Whether the server ended the connection, as far as the client knows by now."""
        return self._driver is not None and is_connection_lost(self._driver)

    def begin(
        self,
        *,
        settings: Mapping[str, str],
        probe: str = "select",
        observer: StatementObserver | None = None,
    ) -> StepTransaction:
        """Reset the session and begin a transaction with `settings` (local to it); one message.

        Args:
            settings: names and values as SET takes them, `search_path` and `lock_timeout` for example.
            probe: a SELECT that travels along; its first row is the transaction's `probe`.
            observer: told of each statement of the command.

        Raises:
            ConnectionLostError: the server ended the connection.
        """
        return self.begin_with(self.beginning(settings=settings, probe=probe), observer=observer)

    def begin_with(self, beginning: str, *, observer: StatementObserver | None = None) -> StepTransaction:
        """Do what `begin` does, with the settings and the probe that `beginning` was made of."""
        self._drop_altered()
        ahead = self._take_ahead(beginning)
        connection, driver = self._renew()
        root = connection.begin()
        try:
            token, row = self._begin(driver, beginning) if ahead is None else (ahead.token, ahead.row)
        except BaseException:
            leave_guard(connection)
            self.replace()
            raise
        enter_guard(connection, observer)
        return StepTransaction(connection, token, row, root, driver, self._commit_and_begin)

    def beginning(self, *, settings: Mapping[str, str], probe: str) -> str:
        """Give what a transaction begins with: the same for the same settings and probe."""
        # SET LOCAL costs the server a fifth of set_config() in a SELECT.
        configure = "; ".join([f"set local {name} = {value}" for name, value in settings.items()])
        return f"{configure}; {probe}"

    def _commit_and_begin(self, commit: str, following: str) -> None:
        """Execute `commit`, and begin the next transaction in the same message, before anybody asks for it.

        It is used by the `begin` that asks for just this one, soon. Whatever else is done on the session ends it.

        Raises:
            psycopg.Error: nothing was committed; or the connection is lost.
        """
        assert self._driver is not None
        token = self._token()
        answer = send_commit(self._driver, commit, _opening(token, following))
        if answer is None:
            self._driver.rollback()
        else:
            self._ahead.keep(Begun(following, token, answer.row, self._driver))

    def settle(self) -> None:
        """Take back a transaction that was begun ahead, where there is one; never raises."""
        if not self._ahead.end():
            self.replace()

    def _take_ahead(self, text: str) -> Begun | None:
        ahead = self._ahead.take(text)
        if ahead is None:
            self.settle()
        return ahead

    def _begin(self, driver: psycopg.Connection, text: str) -> tuple[str, Row]:
        token = self._token()
        return token, send_message(driver, _opening(token, text))

    def _token(self) -> str:
        return f"{self._marker}{next(self._steps)}"

    def begin_autocommit(
        self, *, settings: Mapping[str, str], observer: StatementObserver | None
    ) -> Connection:
        """Reset the session and give the connection in autocommit, guarded, with `settings` for the session."""
        configure = "; ".join([f"set {name} = {value}" for name, value in settings.items()])
        self._drop_altered()
        self.settle()
        connection, _ = self._renew()
        self.execute(f"{_RESET}; {configure}")
        enter_guard(connection, observer)
        return connection

    def end_autocommit(self) -> None:
        """Take the connection back after a command in autocommit.

        Raises:
            GuardError: the command left a transaction open or closed its connection.
            ConnectionLostError: the server ended the connection.
        """
        connection, driver = self.connection, self.driver
        leave_guard(connection)
        if is_connection_lost(driver):
            raise ConnectionLostError("the server ended the connection while a step ran on it")
        if connection.closed or connection.invalidated or driver.closed:
            raise GuardError("the command closed its connection", hint="leave the connection to the runner")
        if driver.info.transaction_status is not TransactionStatus.IDLE:
            raise GuardError(
                "the command left a transaction open",
                hint="a command with transactional=False runs in autocommit and may not begin a transaction",
            )
        connection.rollback()  # only SQLAlchemy's own bookkeeping: nothing is open on the server

    def execute(self, statement: str) -> psycopg.Cursor[tuple[object, ...]]:
        """Execute the runner's own SQL (several statements are fine), outside any step."""
        return self.driver.execute(statement.encode())

    def cancel(self) -> None:
        """Ask the server to end the statement in progress; safe in a signal handler."""
        if self._driver is not None and not self._driver.closed:
            self._driver.cancel_safe(timeout=5)

    def replace(self) -> None:
        """Drop the connection: the next use opens a new one, so nothing is inherited."""
        self.close()

    def close(self) -> None:
        """Close the connection; never raises."""
        connection, driver = self._connection, self._driver
        self._connection = self._driver = None
        self._ahead.forget()
        self._untouched = {}
        if connection is not None:
            leave_guard(connection)
            try:
                connection.invalidate()
                connection.close()
            except Exception:  # a connection that the author closed, or a dead one
                pass
        if driver is not None:
            driver.close()

    def _drop_altered(self) -> None:
        """Drop a driver whose attributes a command changed."""
        if self._driver is not None and is_altered(self._driver):
            self.settle()
            self.replace()

    def _renew(self) -> tuple[Connection, psycopg.Connection]:
        """Let nothing that a command did to SQLAlchemy's Connection reach the next one.

        Execution options (a `schema_translate_map`!), listeners, a savepoint, attributes: all of it shows in the
        object's attributes. One that is as it was made goes on: to make another takes as long as a statement.
        """
        if self._connection is None or self._driver is None:
            self._open()
        elif vars(self._connection) != self._untouched or _is_listened_to(self._connection):
            self._keep(Connection(self._engine, connection=self._connection.connection))
        assert self._connection is not None
        assert self._driver is not None
        speak_utf8(self._driver)
        return self._connection, self._driver

    def _keep(self, connection: Connection) -> None:
        self._connection, self._untouched = connection, dict(vars(connection))

    def _open(self) -> None:
        connection = self._connect()
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        if self._on_connect:
            driver.execute(self._on_connect.encode())
        self._keep(connection)
        self._driver, self._was_open = driver, True
        self._backend_pid = driver.info.backend_pid

    def _connect_driver(self) -> psycopg.Connection:
        if not self._is_opening:
            # Somebody took the engine from a command's connection: what is done there would be outside of the
            # step's transaction, and kept if the step fails or is only tried.
            raise GuardError(
                "a command may not open another connection through `connection.engine`",
                hint="hand on the connection itself: Session(connection), metadata.create_all(connection)",
            )
        self._newest = self._open_driver()
        return self._newest

    def _open_driver(self) -> psycopg.Connection:
        """Connect; where the session was just closed the server may need a moment to give its place back."""
        deadline = time.monotonic() + (_REOPEN_SECONDS if self._was_open else 0.0)
        while True:
            try:
                return self._connector.connect()
            except DatabaseUnavailableError:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(_REOPEN_PAUSE_SECONDS)

    def _connect(self) -> Connection:
        self._is_opening = True
        try:
            connection = self._engine.connect()
            connection.rollback()
        except DatabaseUnavailableError as error:
            if not self._was_open:
                raise
            raise NoConnectionError(error.message, hint=error.hint) from error
        except Exception as error:  # SQLAlchemy asks a new server a few things
            if self._newest is not None and is_connection_lost(self._newest):
                raise ConnectionLostError(
                    "the server ended the connection while it was being opened",
                    hint="see why in its log, then run the same command again",
                ) from error
            if isinstance(error, DBAPIError) and isinstance(error.orig, psycopg.Error):
                raise error.orig from error
            raise
        finally:
            self._is_opening = False
        return connection


def _is_listened_to(connection: Connection) -> bool:
    """Tell whether there are listeners; where there are, the object does not tell which are its own."""
    return connection._has_events or connection.engine._has_events


def _opening(token: str, text: str) -> str:
    return f"{_RESET}; begin; set local {_MARKER} = '{token}'; {text}"
