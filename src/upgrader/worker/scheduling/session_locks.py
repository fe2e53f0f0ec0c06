"""Locks that a process holds as long as it lives: PostgreSQL's session advisory locks, on one idle connection."""

from __future__ import annotations

import hashlib
import logging
import threading
from contextlib import suppress

import psycopg

from upgrader.database.connect import Connector

_UNLOCK_TRIES = 2
_logger = logging.getLogger(__name__)


def lock_key(*parts: str) -> int:
    """Give the 64-bit key for a purpose and what it is about."""
    digest = hashlib.sha256(":".join(("upgrader", *parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


class SessionLocks:
    """Locks over all processes on one database; they are free again once their holder is dead.

    The connection is in autocommit and never waits for a lock, so that nobody's CREATE INDEX CONCURRENTLY has to
    wait for it. Threads may share it.
    """

    def __init__(self, connector: Connector) -> None:
        """Connect to nothing yet."""
        self._connector = connector
        self._driver: psycopg.Connection | None = None
        self._held: set[int] = set()
        self._missed: set[int] = set()
        self._mutex = threading.Lock()

    def try_acquire(self, key: int) -> bool:
        """Take a lock, unless somebody has it: another process, or another thread of this one.

        Raises:
            DatabaseUnavailableError: there is no connection to be had.
            psycopg.Error: it was lost meanwhile.
        """
        with self._mutex:
            if key in self._held:
                return False
            is_free = self._connected().execute("select pg_try_advisory_lock(%s)", [key]).fetchone() == (
                True,
            )
            if is_free:
                self._held.add(key)
            return is_free

    def release(self, key: int) -> None:
        """Give a lock back; never raises: with the connection it is gone as well."""
        with self._mutex:
            self._held.discard(key)
            self._missed.discard(key)
            driver = self._driver
            if driver is None or driver.closed:
                return
            for _ in range(_UNLOCK_TRIES):
                with suppress(psycopg.Error):
                    driver.execute("select pg_advisory_unlock(%s)", [key])
                    return
            driver.close()  # else the session would keep it as long as this process lives

    def keep(self) -> None:
        """Make sure that what is held is still held; to be called now and then.

        Raises:
            DatabaseUnavailableError: there is no connection to be had.
        """
        with self._mutex:
            if not self._held:
                return
            try:
                driver = self._connected()
                driver.execute("select")
                self._regain(driver)
            except psycopg.Error:
                self._connected()

    def close(self) -> None:
        """Give everything back."""
        with self._mutex:
            self._held.clear()
            self._missed.clear()
            if self._driver is not None:
                with suppress(psycopg.Error):
                    self._driver.execute("select pg_advisory_unlock_all()")
                self._driver.close()
            self._driver = None

    def _connected(self) -> psycopg.Connection:
        if self._driver is not None and not self._driver.closed:
            return self._driver
        self._driver = driver = self._connector.connect()
        self._missed = set(self._held)
        self._regain(driver)
        if self._missed:
            _logger.warning(
                "the connection was lost that kept other workers from a job that runs here: one has begun it, or the"
                " server has not noticed yet; it is tried again"
            )
        return driver

    def _regain(self, driver: psycopg.Connection) -> None:
        """Take what somebody had as the connection was opened: as a rule the lost one, which the server had still."""
        for key in sorted(self._missed):
            if driver.execute("select pg_try_advisory_lock(%s)", [key]).fetchone() == (True,):
                self._missed.discard(key)
