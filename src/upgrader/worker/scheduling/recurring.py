"""Jobs that recur: what `JobQueue.add_cron` was told is added at each tick, once over all workers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
from sqlalchemy.exc import DBAPIError

from upgrader.database.connect import identifier
from upgrader.errors import UpgraderError
from upgrader.worker.queue.arguments import JobArguments, QueueJobError
from upgrader.worker.queue.job_queue import JobQueue
from upgrader.worker.scheduling.scheduler import MADE_UP_SECONDS
from upgrader.worker.scheduling.ticks import TickBook
from upgrader.worker.scheduling.triggers import CronTicks, latest_between

if TYPE_CHECKING:
    from upgrader.worker.ground import WorkerGround

_logger = logging.getLogger("upgrader.worker.scheduler")
_DATABASE_ERRORS = (UpgraderError, psycopg.Error, DBAPIError)
_PREFIX = "cron:"


@dataclass(frozen=True, slots=True)
class RecurringJob:
    """A row of `recurring_job`."""

    key: str
    queue: str
    name: str
    args: Any
    priority: int
    cron: str
    timezone: str | None
    added_at: datetime

    @property
    def tick_name(self) -> str:
        """Under which its ticks are claimed."""
        return _PREFIX + self.key


@contextmanager
def adding_recurring_jobs(ground: WorkerGround) -> Iterator[None]:
    """Add recurring jobs within the block."""
    queue = JobQueue(
        ground.connector, schema=ground.schema, default_queue=ground.settings.worker.default_queue
    )
    made = RecurringJobs(
        ground, queue=queue, ticks=TickBook(ground.connector, ground.schema, worker=ground.worker)
    )
    made.start()
    try:
        yield
    finally:
        made.stop()
        queue.close()


class RecurringJobs:
    """Adds recurring jobs from a thread of its own."""

    def __init__(
        self,
        ground: WorkerGround,
        *,
        queue: JobQueue,
        ticks: TickBook,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        """Start nothing yet."""
        self._ground = ground
        self._queue = queue
        self._ticks = ticks
        self._clock = clock or ground.clock
        self._stopping = threading.Event()
        self._seen: dict[str, datetime] = {}
        self._thread: threading.Thread | None = None
        self._broken: set[str] = set()
        self._is_out = False

    def start(self) -> None:
        """Begin to add what is due."""
        self._thread = threading.Thread(target=self._watch, name="upgrader-recurring", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Add nothing more; waits for what is being added."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(10.0)
        self._ticks.close()

    def add_due(self) -> float:
        """Add what is due, and give how many seconds there are until the next tick, or the next look."""
        jobs = self._jobs()
        self._seen = {
            key: moment for key, moment in self._seen.items() if any(job.key == key for job in jobs)
        }
        left = [self._see_to(job) for job in jobs]
        return max(0.0, min([self._ground.settings.worker.poll_seconds, *left]))

    def _watch(self) -> None:
        wait = 0.0
        while not self._stopping.wait(wait):
            try:
                wait, self._is_out = self.add_due(), False
            except _DATABASE_ERRORS as error:
                if not self._is_out:
                    _logger.warning("recurring jobs cannot be seen to, and are tried again: %s", error)
                wait, self._is_out = 1.0, True
            except Exception:  # a thread that has ended in silence adds nothing more
                _logger.exception("recurring jobs met an error, and are tried again in a second")
                wait = 1.0

    def _see_to(self, job: RecurringJob) -> float:
        try:
            return self._add(job)
        except (
            Exception
        ) as error:  # a zone that this machine does not know, a row written by hand: the others go on
            if isinstance(error, _DATABASE_ERRORS) and not isinstance(error, QueueJobError):
                raise
            if job.key not in self._broken:
                self._broken.add(job.key)
                _logger.error(
                    "recurring job %s cannot be added: %s: %s", job.key, type(error).__name__, error
                )
            return float("inf")

    def _add(self, job: RecurringJob) -> float:
        """Add a job whose tick is due; give the seconds until its next one."""
        trigger = CronTicks(job.cron, job.timezone or self._ground.settings.worker.timezone)
        now = self._clock()
        after = self._after(job, now)
        due = latest_between(trigger, after, now)
        if due is not None:
            claimed, number = self._ticks.claim_with(
                job.tick_name, due, lambda connection: self._queued(job, connection)
            )
            self._seen[job.key] = due
            if claimed:
                _logger.info("recurring job %s: %s", job.key, f"added as {number}" if number else "one waits")
        following = trigger.next_after(now)
        return (following - self._clock()).total_seconds() if following else float("inf")

    def _after(self, job: RecurringJob, now: datetime) -> datetime:
        """Give the moment after which ticks count: the last one, but no more is made up for than a while's."""
        seen = self._seen.get(job.key)
        if seen is None:
            last = self._ticks.latest([job.tick_name]).get(job.tick_name)
            seen = max(job.added_at, last.due) if last else job.added_at
        moment = max(seen, job.added_at, now - timedelta(seconds=MADE_UP_SECONDS))
        self._seen[job.key] = min(moment, now)
        return self._seen[job.key]

    def _queued(self, job: RecurringJob, connection: Any) -> int | None:
        told = JobArguments.of_row(job.args)
        return self._queue.add(
            job.queue,
            job.name,
            told.payload,
            connection=connection,
            id=told.id,
            priority=job.priority,
            attempts=told.attempts,
            backoff=told.backoff,
        )

    def _jobs(self) -> list[RecurringJob]:
        table = identifier(self._ground.schema, "recurring_job")
        with self._ground.connected() as driver:
            rows = driver.execute(
                f"select key, queue, name, args, priority, cron, timezone, added_at from {table} order by key".encode()
            ).fetchall()
        return [RecurringJob(*row) for row in rows]
