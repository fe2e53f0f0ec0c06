"""What a scheduler remembers of a job and of its database, and what all of it works with."""

from __future__ import annotations

import logging
import random
import threading
from dataclasses import dataclass, field
from datetime import datetime

import psycopg
from sqlalchemy.exc import DBAPIError

from upgrader.errors import DatabaseUnavailableError, RunError
from upgrader.worker.database_clock import DatabaseClock
from upgrader.worker.enqueuing import EnqueuesJobs
from upgrader.worker.scheduling.jobs import ScheduledJob
from upgrader.worker.scheduling.session_locks import SessionLocks
from upgrader.worker.scheduling.ticks import TickBook, TickOutcome

DATABASE_ERRORS = (DatabaseUnavailableError, RunError, psycopg.Error, DBAPIError)
"""What passes when the database is back."""

RETRY_SECONDS = 1.0
"""How long to rest before the database is tried again."""

_logger = logging.getLogger("upgrader.worker.scheduler")


@dataclass
class JobState:
    """What a scheduler remembers of a job.

    Attributes:
        next_due: None before it has started, and for a job without ticks.
        newest: the newest tick that came due here.
        running: how many runs of it go on here.
    """

    job: ScheduledJob
    next_due: datetime | None = None
    newest: datetime | None = None
    last_run: datetime | None = None
    last_outcome: TickOutcome | None = None
    running: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self) -> None:
        """Count a run more."""
        with self.lock:
            self.running += 1

    def end(self) -> None:
        """Count a run less."""
        with self.lock:
            self.running -= 1

    def note(self, outcome: TickOutcome, at: datetime) -> None:
        """Remember what became of the last run."""
        with self.lock:
            self.last_run, self.last_outcome = at, outcome


class Outage:
    """A time in which the database is away: logged when it begins and when it is over."""

    def __init__(self) -> None:
        self._goes_on = False

    def tell(self, error: Exception) -> None:
        """Log that the database is away, once for a while that it is."""
        if not self._goes_on:
            self._goes_on = True
            _logger.warning("the scheduler cannot use its database, and tries again every second: %s", error)

    def end(self) -> None:
        """Log that it is back, if it was away."""
        if self._goes_on:
            self._goes_on = False
            _logger.info("the scheduler can use its database again")


@dataclass(frozen=True)
class SchedulerParts:
    """What the parts of one scheduler share.

    Attributes:
        queue: None: jobs that name a queue run inline, like the others.
        clock: by which ticks are due.
    """

    ticks: TickBook
    locks: SessionLocks
    queue: EnqueuesJobs | None
    clock: DatabaseClock
    stopping: threading.Event = field(default_factory=threading.Event)
    outage: Outage = field(default_factory=Outage)

    def put_off(self, job: ScheduledJob) -> bool:
        """Wait by chance, up to the job's `max_random_delay`; True where the scheduler ends meanwhile."""
        delay = random.uniform(0.0, job.max_random_delay_seconds)
        return delay > 0 and self.stopping.wait(delay)
