"""The connections of a worker to its queue."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
from procrastinate import PsycopgConnector
from psycopg_pool import AsyncConnectionPool

from upgrader.database.connect import identifier

_CONNECTION_SECONDS = 10.0
_LIFE_SECONDS = 600.0
_RECONNECT_SECONDS = _CONNECTION_SECONDS
"""The pool doubles the rest after each try that failed; once so much is over it begins anew, with the shortest one.
With its own 300 s a worker would idle for half as long again as the database was away."""
_SELDOM_SECONDS = 60.0
_NAME = "upgrader queue"
_FEWEST_CONNECTIONS, _MOST_CONNECTIONS = 1, 4  # beside the one that listens


def make_connector(schema: str) -> PsycopgConnector:
    """Make Procrastinate's connector; its pool is given when it is opened."""
    return PsycopgConnector(configure=_configured(schema))


def make_pool(conninfo: str, schema: str) -> AsyncConnectionPool[Any]:
    """Make a pool; Procrastinate's calls are one statement each.

    They are prepared by the server, which halves what a job costs there (1.05 to 0.45 ms of a backend's time, where
    it does nothing), and the connections live for ten minutes: a migration of the tables may need new ones.
    """
    return AsyncConnectionPool(
        conninfo,
        kwargs={},  # Procrastinate 3.4 cannot do without
        min_size=_FEWEST_CONNECTIONS,
        max_size=_MOST_CONNECTIONS,
        timeout=_CONNECTION_SECONDS,
        max_lifetime=_LIFE_SECONDS,
        reconnect_timeout=_RECONNECT_SECONDS,
        name=_NAME,
        configure=_configured(schema),
        open=False,
    )


class SeldomTold(logging.Filter):
    """Lets this pool say once a minute what it says at each try to connect: a database may be away for long."""

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a line is another pool's, or was not said for a minute."""
        if not (isinstance(record.args, tuple) and record.args[:1] == (_NAME,)):
            return True
        now, before = time.monotonic(), self._told.get(record.msg)
        if before is not None and now - before < _SELDOM_SECONDS:
            return False
        self._told[record.msg] = now
        return True


def _configured(schema: str) -> Callable[[psycopg.AsyncConnection[Any]], Awaitable[None]]:
    """Give what lets a connection find the queue's tables, and makes each of its statements a transaction."""
    search_path = f"{identifier(schema)}, pg_temp"

    async def configure(connection: psycopg.AsyncConnection[Any]) -> None:
        await connection.set_autocommit(True)
        # Of the style of dates that the database has, the order is kept: psycopg reads no other style.
        await connection.execute(
            "select set_config('search_path', %s, false), set_config('datestyle', 'ISO', false)",
            [search_path],
        )

    return configure
