"""What a job may be told: the options of the decorator, and those of one job in a queue."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

Seconds = float | timedelta


def seconds_of(value: Seconds) -> float:
    """Give seconds: a number is taken as such."""
    return value.total_seconds() if isinstance(value, timedelta) else float(value)


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long a job rests before it is tried again.

    Attributes:
        delay_seconds: before the second try.
        factor: each rest is so many times the one before; 1.0: all are the same.
        max_seconds: no rest is longer.
    """

    delay_seconds: float = 0.0
    factor: float = 1.0
    max_seconds: float = 86_400.0

    @classmethod
    def exponential(cls, delay_seconds: float = 1.0, *, max_seconds: float = 86_400.0) -> Backoff:
        """Double each rest: `delay`, twice that, four times …"""
        return cls(delay_seconds, 2.0, max_seconds)

    def seconds(self, tries: int) -> float:
        """Give the rest after so many tries (from 1)."""
        try:
            rest = self.delay_seconds * self.factor ** (tries - 1)
        except OverflowError:  # 2.0 to the power of 1,024
            rest = float("inf") if self.delay_seconds else 0.0
        return min(self.max_seconds, rest)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueJobOptions:
    """What one job in a queue is told.

    Attributes:
        priority: higher goes first.
        delay: it waits for so long before its first try,
        scheduled_at: or until then.
        attempts: it is tried so often in all: 3 means three tries.
        backoff: the rests between them.
        id: only one job waits under it; the next may be added once that one is being worked on.
    """

    priority: int = 0
    delay: Seconds = 0.0
    scheduled_at: datetime | None = None
    attempts: int = 1
    backoff: Backoff = Backoff()
    id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledJobOptions:
    """What a scheduled job is told by its author; None: the defaults at hand decide.

    Attributes:
        name: unique; by default `Provider.method`, or the function's name.
        description: for people.
        enabled: whether it is active.
        cron: six fields, seconds first, or five without them; not together with `interval`.
        interval: so long between two ticks; with neither it runs only when it is asked to.
        run_on_start: whether it runs once as the worker starts.
        prevent_overlap: whether a tick is left out while the run before it goes on, on whatever worker.
        retries: so often a run that failed is tried again.
        retry_delay: the rest before each of those.
        timeout: a run that takes longer is ended.
        max_random_delay: up to so long each run is put off, by chance.
        queue_name: its return value becomes the payload of a job in this queue.
        queue_job_name: the name of that job; by default its own.
        queue_job_options: of that job.
        timezone: of `cron`, by its IANA name.
    """

    name: str | None = None
    description: str | None = None
    enabled: bool | None = None
    cron: str | None = None
    interval: Seconds | None = None
    run_on_start: bool = False
    prevent_overlap: bool | None = None
    retries: int | None = None
    retry_delay: Seconds | None = None
    timeout: Seconds | None = None
    max_random_delay: Seconds | None = None
    queue_name: str | None = None
    queue_job_name: str | None = None
    queue_job_options: QueueJobOptions | None = None
    timezone: str | None = None

    def over(self, defaults: ScheduledJobOptions) -> ScheduledJobOptions:
        """Give these options, and the defaults' where these say nothing."""
        missing: dict[str, Any] = {
            name: getattr(defaults, name)
            for name in self.__dataclass_fields__
            if getattr(self, name) is None and getattr(defaults, name) is not None
        }
        return replace(self, **missing) if missing else self


JOB_DEFAULTS = ScheduledJobOptions(
    enabled=True, prevent_overlap=True, retries=0, retry_delay=0.0, max_random_delay=0.0
)
"""The job's own defaults; a worker's settings (`[worker.job_defaults]`) go before them."""
