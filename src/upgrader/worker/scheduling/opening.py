"""A scheduler put together from settings: for a worker, for `jobs trigger`, for any application."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from upgrader.redaction import Redactor
from upgrader.settings import Settings
from upgrader.settings.worker import JobDefaults
from upgrader.worker.discovery import discover_in
from upgrader.worker.ground import WorkerGround, open_ground
from upgrader.worker.options import ScheduledJobOptions
from upgrader.worker.queue.job_queue import JobQueue
from upgrader.worker.registry import WorkerRegistry
from upgrader.worker.running import Ended
from upgrader.worker.scheduling.jobs import DiscoveredScheduledJob, ScheduledJob, resolve
from upgrader.worker.scheduling.scheduler import Scheduler
from upgrader.worker.scheduling.session_locks import SessionLocks
from upgrader.worker.scheduling.ticks import TickBook


@contextmanager
def open_scheduler(
    *targets: Any, settings: Settings, directory: Path | None = None, ended: Ended | None = None
) -> Iterator[Scheduler]:
    """Give a scheduler of decorated classes and functions, for the time of a block; `start` it, or `trigger_now`.

    Once it is started it stands among the workers of `upgrader worker status`: it fires ticks, as they do. The jobs
    have their own defaults: `[worker.job_defaults]` is for those of a worker.

    Args:
        targets: classes with methods, and functions, that `@scheduled_job` was put on.
        settings: say where the database is: `Settings(database_url="postgresql://…")`.
        ended: told of the end of each run.

    Raises:
        LoadingError: something is wrong with the jobs.
        OperatorError: the database cannot be used.
    """
    jobs = resolve(
        discover_in(targets).jobs,
        default_queue=settings.worker.default_queue,
        timezone=settings.worker.timezone,
    )
    with open_ground(settings, directory=directory) as ground:
        registry = WorkerRegistry(ground, queues=(), concurrency=0, schedules=True)
        try:
            with scheduler_on(ground, jobs, ended=ended, starting=registry.start) as made:
                yield made
        finally:
            registry.stop()


@contextmanager
def scheduler_on(
    ground: WorkerGround,
    jobs: Iterable[ScheduledJob],
    *,
    ended: Ended | None = None,
    starting: Callable[[], None] | None = None,
) -> Iterator[Scheduler]:
    """Give a scheduler on a ground that is there, for the time of a block; it is stopped at its end.

    Args:
        starting: called before it fires anything.
    """
    queue = None
    if ground.is_queueing:
        queue = JobQueue(
            ground.connector,
            schema=ground.schema,
            default_queue=ground.settings.worker.default_queue,
        )
    scheduler = Scheduler(
        jobs,
        ticks=TickBook(
            ground.connector,
            ground.schema,
            worker=ground.worker,
            redactor=Redactor().with_secrets(*ground.settings.secrets),
        ),
        locks=SessionLocks(ground.connector),
        worker=ground.worker,
        queue=queue,
        ended=ended,
        clock=ground.clock,
        starting=starting,
    )
    try:
        yield scheduler
    finally:
        scheduler.stop(timeout_seconds=0.0)
        if queue is not None:
            queue.close()


def jobs_of_worker(found: Iterable[DiscoveredScheduledJob], settings: Settings) -> tuple[ScheduledJob, ...]:
    """Give the jobs of a worker: what they do not say, its settings do.

    Raises:
        LoadingError: something is wrong with any of them; it carries all problems.
    """
    return resolve(
        found,
        defaults=module_defaults(settings.worker.job_defaults),
        default_queue=settings.worker.default_queue,
        timezone=settings.worker.timezone,
    )


def module_defaults(defaults: JobDefaults) -> ScheduledJobOptions:
    """Put the settings' defaults into a job's terms."""
    return ScheduledJobOptions(
        enabled=defaults.enabled,
        prevent_overlap=defaults.prevent_overlap,
        retries=defaults.retries,
        retry_delay=defaults.retry_delay_seconds,
        timeout=defaults.timeout_seconds,
        max_random_delay=defaults.max_random_delay_seconds,
    )
