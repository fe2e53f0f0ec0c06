"""Asking on a connection that somebody else uses, without being in the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import psycopg
from psycopg import ClientCursor
from psycopg.adapt import Transformer
from psycopg.pq import TransactionStatus

from upgrader.database.message import send

Row = tuple[Any, ...]


class Rows(Protocol):
    """What a query gave."""

    def fetchone(self) -> Row | None:
        """Give the next row; None after the last."""

    def fetchall(self) -> list[Row]:
        """Give all rows that are left."""


class Asks(Protocol):
    """What can be asked: a connection of one's own, or another one's."""

    def execute(self, query: Any, params: Sequence[Any] | Mapping[str, Any] | None = None, /) -> Rows:
        """Execute one query, given as text."""


class ConnectionBusy(Exception):  # noqa: N818 - not an error: its owner comes first
    """A transaction of its owner is open on the connection; nothing was sent."""


class Answer:
    """All rows of a query, at hand."""

    def __init__(self, rows: list[Row]) -> None:
        """Take them."""
        self._rows = rows

    def fetchone(self) -> Row | None:
        """Give the next row; None after the last."""
        return self._rows.pop(0) if self._rows else None

    def fetchall(self) -> list[Row]:
        """Give all rows that are left."""
        rows, self._rows = self._rows, []
        return rows


class AsideConnection:
    """Asks on a connection whose owner uses it from other threads.

    A question is one message with settings of its own, which the server makes a transaction: its end takes them
    back, whatever comes of it. None is sent while a transaction of the owner is open. The owner's next statement
    waits until the answer is there, so the settings should limit its time.
    """

    def __init__(self, driver: psycopg.Connection, *, settings: str) -> None:
        """Send nothing yet.

        Args:
            driver: in autocommit.
            settings: SQL that holds for each question: `set local statement_timeout = 500`.
        """
        self._driver = driver
        self._settings = settings

    def execute(self, query: Any, params: Sequence[Any] | Mapping[str, Any] | None = None, /) -> Rows:
        """Execute one query, given as text.

        Raises:
            ConnectionBusy: the owner is in a transaction.
            psycopg.Error: it failed or took too long; the connection is as it was.
        """
        text = ClientCursor(self._driver).mogrify(f"{self._settings}; {query}".encode(), params)
        with self._driver.lock:
            if self._driver.info.transaction_status is not TransactionStatus.IDLE:
                raise ConnectionBusy
            result = send(self._driver, text)
        loading = Transformer(self._driver)
        loading.set_pgresult(result)
        return Answer(loading.load_rows(0, result.ntuples, tuple))
