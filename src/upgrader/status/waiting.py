"""Waiting until the database is good."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from sqlalchemy.exc import DBAPIError

from upgrader.database.failures import database_error, translate_run_error
from upgrader.errors import ConnectionLostError, DatabaseUnavailableError, UpgraderError

if TYPE_CHECKING:
    from upgrader.status.report import StatusReport

POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class StatusPoll:
    """One look at the database while waiting.

    Attributes:
        report: what was seen; None where there was no connection.
        error: why there was none.
        is_good: whether the waiting is over.
        seconds_left: how much longer it may last.
    """

    report: StatusReport | None
    error: UpgraderError | None
    is_good: bool
    seconds_left: float


@dataclass(frozen=True)
class StatusWait:
    """A wait: looks every second, on one connection for as long as it holds.

    Attributes:
        reading: opens a connection and gives a function that makes a status on it.
        on_poll: told of each look.
        pause: sleeps at most so many seconds; True ends the wait.
    """

    reading: Callable[[], AbstractContextManager[Callable[[], StatusReport]]]
    on_poll: Callable[[StatusPoll], None]
    pause: Callable[[float], bool]

    def until_good(self, seconds: float, *, include_slow: bool) -> StatusReport | None:
        """Wait; looks at least once.

        Returns:
            What was seen last: good, unless the time was over or the wait was ended. None where it was
            ended before there was a connection.

        Raises:
            DatabaseUnavailableError, RunError: there was no connection, or the server could not answer, when
                the time was over.
        """
        deadline = time.monotonic() + seconds
        report: StatusReport | None = None
        while True:
            try:
                with self.reading() as look:
                    while True:
                        report = look()
                        is_good = report.is_good(include_slow=include_slow)
                        if self._is_over(report, None, is_good, deadline):
                            return report
            except (DatabaseUnavailableError, psycopg.Error, DBAPIError) as caught:
                error = _passing_error(caught)
                if error is None:
                    raise
                if time.monotonic() >= deadline:
                    raise error from caught
            if self._is_over(None, error, False, deadline):
                return report

    def _is_over(
        self, report: StatusReport | None, error: UpgraderError | None, is_good: bool, deadline: float
    ) -> bool:
        left = deadline - time.monotonic()
        self.on_poll(StatusPoll(report, error, is_good, max(left, 0.0)))
        return is_good or left <= 0 or self.pause(min(POLL_SECONDS, left))


def _passing_error(error: Exception) -> UpgraderError | None:
    """Give what to tell of trouble that may pass: no connection, a server that stops; None for any other."""
    if isinstance(error, DatabaseUnavailableError):
        return error
    found = database_error(error)
    if isinstance(found, psycopg.OperationalError):
        return translate_run_error(found)
    if isinstance(found, psycopg.InterfaceError):
        return ConnectionLostError(f"the connection to the server was lost: {found}")
    return None


def ignore_polls(poll: StatusPoll) -> None:
    """Take a look and do nothing."""
