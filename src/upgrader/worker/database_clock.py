"""The database's time: what all workers agree on, whatever the clocks of their machines show."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg

_TOLD_SECONDS = 5.0
"""A machine's clock that is wrong by less is not worth a word."""
_DOUBTFUL_SECONDS = 1.0
_LATE_SECONDS = 0.02
"""By so much the time given is late on purpose: what counts between two looks may be a little faster than the
database's clock (500 millionths where that one is slewed, 15 ms in half a minute)."""
_SHORT_SECONDS = 0.02
_MOST_TRIES = 5
"""An answer that took longer leaves the time as late as that: there are so many tries to get a quicker one."""

_logger = logging.getLogger("upgrader.worker")


class DatabaseClock:
    """Gives the database's time, counted on between looks by a clock that nobody sets; never ahead of it.

    A job that is due at midnight and begins a millisecond earlier takes the day for the one that ends. A worker
    whose machine is an hour ahead would claim the ticks of that hour, and the others would find them taken; after
    a step of the machine's clock some would fire twice as far apart as they should.
    """

    def __init__(
        self,
        *,
        local: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Give the machine's time until there was a look.

        Args:
            local: the machine's clock, in UTC.
            monotonic: seconds of a clock that nobody sets.
        """
        self._local = local
        self._monotonic = monotonic
        self._seen: tuple[datetime, float] | None = None
        self._ahead_seconds = self._told_seconds = 0.0

    def __call__(self) -> datetime:
        """Give the time, in UTC."""
        if self._seen is None:
            return self._local()
        moment, at = self._seen
        return moment + timedelta(seconds=self._monotonic() - at)

    @property
    def is_in_doubt(self) -> bool:
        """Whether the machine's clock was set since the last look, or the machine was asleep."""
        return abs(self._measure() - self._ahead_seconds) > _DOUBTFUL_SECONDS

    def look(self, driver: psycopg.Connection) -> None:
        """Ask the database.

        Raises:
            psycopg.Error: it does not answer; the time goes on as it was.
        """
        took_seconds = float("inf")
        for _ in range(_MOST_TRIES):
            before = self._monotonic()
            row = driver.execute("select clock_timestamp()").fetchone()
            after = self._monotonic()
            assert row is not None
            if after - before < took_seconds:
                # The answer is as old as its way back, which is at most all that was waited for it.
                took_seconds = after - before
                self._seen = row[0].astimezone(UTC) - timedelta(seconds=_LATE_SECONDS), after
            if took_seconds <= _SHORT_SECONDS:
                break
        self._ahead_seconds = self._measure()
        self._tell(self._ahead_seconds)

    def _measure(self) -> float:
        """Give by how many seconds the machine's clock is ahead."""
        return (self._local() - self()).total_seconds()

    def _tell(self, ahead_seconds: float) -> None:
        """Log a machine's clock that is wrong, once for as long as it is wrong by as much."""
        if abs(ahead_seconds - self._told_seconds) <= _TOLD_SECONDS:
            return
        if abs(ahead_seconds) > _TOLD_SECONDS:
            _logger.warning(
                "this machine's clock is %.0f s %s the database's; schedules follow the database's",
                abs(ahead_seconds),
                "ahead of" if ahead_seconds > 0 else "behind",
            )
        else:
            _logger.info("this machine's clock is that of the database again")
        self._told_seconds = ahead_seconds
