"""The background runtime: which jobs there are, where its queue is, how long it keeps what is done."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from upgrader.settings.database_url import check_database_url
from upgrader.settings.group import Count, OptionalTimeoutSeconds, PauseSeconds, SettingsGroup, no_boolean

LONGEST_QUEUE_BYTES = 40
"""PostgreSQL's names of channels have 63, of which Procrastinate takes 23 for a word of its own."""


def check_queue_name(value: str) -> str:
    """Give the name of a queue.

    Raises:
        ValueError: it is none.
    """
    if not re.fullmatch(r"[^\s,#\x00]+", value) or len(value.encode(errors="replace")) > LONGEST_QUEUE_BYTES:
        raise ValueError(
            f"{value!r} is no name of a queue: up to {LONGEST_QUEUE_BYTES} bytes, no spaces, commas or #"
        )
    return value


def _none_if_empty(value: object) -> object:
    return None if value == "" else value


def check_timezone(value: str) -> str:
    """Give the name of a time zone.

    Raises:
        ValueError: there is none of that name.
    """
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{value!r} is no time zone: write its IANA name, UTC or Europe/Berlin") from None
    return value


_QueueName = Annotated[str, AfterValidator(check_queue_name)]
_OptionalCount = Annotated[int, BeforeValidator(no_boolean), Field(ge=0, le=1_000_000_000)]
_Seconds = Annotated[float, BeforeValidator(no_boolean), Field(ge=0.1, le=86_400, allow_inf_nan=False)]
_Age = Annotated[float, BeforeValidator(no_boolean), Field(ge=0, le=10**10, allow_inf_nan=False)]
_Port = Annotated[int, BeforeValidator(no_boolean), Field(ge=0, le=65_535)]


class JobDefaults(SettingsGroup):
    """What holds for every scheduled job that says nothing of its own.

    These are the module's defaults of the reference; a job that is scheduled without a worker's settings has
    `ScheduledJobOptions`' own.

    Attributes:
        enabled: whether the job is active.
        prevent_overlap: whether a tick is left out while the run before it, on whatever worker, goes on.
        retries: so often a run that failed is tried again.
        retry_delay_seconds: the rest before each of those.
        timeout_seconds: how long a run may take; 0: as long as it takes.
        max_random_delay_seconds: up to so long each run is put off, by chance.
    """

    enabled: bool = True
    prevent_overlap: bool = True
    retries: Annotated[int, BeforeValidator(no_boolean), Field(ge=0, le=1_000)] = 1
    retry_delay_seconds: PauseSeconds = 5.0
    timeout_seconds: OptionalTimeoutSeconds = 0.0
    max_random_delay_seconds: PauseSeconds = 0.0


class RetentionSettings(SettingsGroup):
    """How long jobs that are over are kept; what is older, or one too many, is deleted. 0: no limit.

    Attributes:
        finished_age_seconds: of jobs that succeeded or were cancelled.
        finished_count: so many of them are kept.
        failed_age_seconds: of jobs that failed for good.
        failed_count: so many of them are kept.
        every_seconds: how often it is looked at.
    """

    finished_age_seconds: _Age = 14_400.0
    finished_count: _OptionalCount = 1_000
    failed_age_seconds: _Age = 604_800.0
    failed_count: _OptionalCount = 1_000
    every_seconds: _Seconds = 60.0


class WorkerSettings(SettingsGroup):
    """The worker, its scheduler and its queue.

    Attributes:
        modules: directories and importable packages with jobs, handlers and event subscribers.
        queue_enabled: whether jobs are queued, where the extra is installed; else they run in the process that
            schedules them.
        scheduler_enabled: whether this worker fires ticks.
        default_queue: the queue of whatever names none.
        queues: more queues that a worker works on, besides those that its modules name.
        concurrency: how many jobs a worker does at a time.
        timezone: of cron expressions; None: the system's.
        heartbeat_enabled: whether `worker.heartbeat` is scheduled.
        log_registered_jobs: whether each job that was found is logged at the start.
        log_buffered: whether lines from before the logger is set up are kept for it.
        shutdown_timeout_seconds: how long jobs in progress may take to finish after a signal.
        heartbeat_seconds: how often a worker says that it lives.
        stalled_seconds: a worker that was silent for so long is taken to be dead.
        rescue_seconds: how often jobs of dead workers are looked for.
        poll_seconds: how often the queue is asked where no notification came.
        queue_database_url: where the queue is, if not in the database; goes before the single values.
        queue_host, queue_port, queue_user, queue_password, queue_database, queue_sslmode: the same, one by one.
        metrics_port: where Prometheus may read; 0: nowhere.
        metrics_host: the address it listens on.
        deferred_window_cron: when deferred slow steps may begin to run; None: never by themselves.
        deferred_window_seconds: for how long.
        job_defaults: what holds for jobs that say nothing of their own.
        retention: how long jobs that are over are kept.
    """

    modules: tuple[str | Path, ...] = ()
    queue_enabled: bool = True
    scheduler_enabled: bool = True
    default_queue: _QueueName = "worker-default"
    queues: tuple[_QueueName, ...] = ()
    concurrency: Count = 10
    timezone: Annotated[
        Annotated[str, AfterValidator(check_timezone)] | None, BeforeValidator(_none_if_empty)
    ] = None
    heartbeat_enabled: bool = True
    log_registered_jobs: bool = True
    log_buffered: bool = True
    shutdown_timeout_seconds: PauseSeconds = 30.0
    heartbeat_seconds: _Seconds = 10.0
    stalled_seconds: _Seconds = 30.0
    rescue_seconds: _Seconds = 10.0
    poll_seconds: _Seconds = 5.0
    queue_database_url: Annotated[str, AfterValidator(check_database_url)] | None = Field(
        default=None, repr=False
    )
    queue_host: str | None = None
    queue_port: _Port = 0
    queue_user: str | None = None
    queue_password: str | None = Field(default=None, repr=False)
    queue_database: str | None = None
    queue_sslmode: str | None = None
    metrics_port: _Port = 0
    metrics_host: str = "127.0.0.1"
    deferred_window_cron: str | None = None
    deferred_window_seconds: _Age = 3_600.0
    job_defaults: JobDefaults = Field(default_factory=JobDefaults)
    retention: RetentionSettings = Field(default_factory=RetentionSettings)

    @model_validator(mode="after")
    def _dead_after_its_heartbeats(self) -> Self:
        if self.stalled_seconds <= self.heartbeat_seconds:
            raise PydanticCustomError(
                "conflict",
                "a worker would be taken to be dead between two of its heartbeats:"
                " silence of {stalled} s, and a heartbeat every {heartbeat} s; let the first be three times the second",
                {
                    "keys": ("worker.stalled_seconds", "worker.heartbeat_seconds"),
                    "stalled": f"{self.stalled_seconds:g}",
                    "heartbeat": f"{self.heartbeat_seconds:g}",
                },
            )
        return self
