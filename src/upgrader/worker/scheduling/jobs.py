"""A scheduled job: as its author declared it, and as a scheduler takes it, with all defaults filled in."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from upgrader.errors import LoadingError, Problem
from upgrader.worker.options import JOB_DEFAULTS, QueueJobOptions, ScheduledJobOptions, Seconds, seconds_of
from upgrader.worker.queue.arguments import QueueJobError, check_name, check_options, check_queue
from upgrader.worker.scheduling.cron import parse_cron
from upgrader.worker.scheduling.triggers import (
    SHORTEST_INTERVAL_SECONDS,
    CronTicks,
    IntervalTicks,
    Manual,
    Trigger,
)

BUILT_IN = "built in"
"""Where a job stands that every worker has."""
_LONGEST_NAME = 128
_LONGEST = timedelta(days=3_660).total_seconds()
_CHECKS: dict[str, Callable[[Any], object]] = {
    "queue_name": check_queue,
    "queue_job_name": check_name,
    "queue_job_options": check_options,
}
_DURATIONS = {"retry_delay": _LONGEST, "timeout": _LONGEST, "max_random_delay": 86_400.0}


@dataclass(frozen=True, slots=True)
class JobOrigin:
    """How another process finds a job's function: `owner` is the class, None for a plain function.

    Attributes:
        location: the directory that its module was loaded from; None where it is imported by its name.
        file: the module's path below that directory.
    """

    module: str
    owner: str | None
    attribute: str
    location: str | None = None
    file: str | None = None


@dataclass(frozen=True, slots=True)
class DiscoveredScheduledJob:
    """A function or method that `@scheduled_job` was put on.

    Attributes:
        name: as declared; else `Provider.method`, or the function's name.
        provider: the class that it is a method of; for a function its module.
        options: what was declared, without any defaults.
        call: runs it, without arguments.
        place: `file:line`.
        origin: None where no other process could find it: it runs in this one, even with a timeout.
    """

    name: str
    provider: str
    method: str
    options: ScheduledJobOptions
    call: Callable[[], Any] = field(compare=False)
    place: str
    origin: JobOrigin | None = None

    @property
    def is_coroutine(self) -> bool:
        """Whether it is an `async def`."""
        return inspect.iscoroutinefunction(self.call)


@dataclass(frozen=True, slots=True)
class ScheduledJob:
    """A job as a scheduler takes it.

    Attributes:
        trigger: when it is due.
        timeout_seconds: None: it runs as long as it takes.
        queue: where its return value goes; None: it runs in the process that fires it.
        queue_job_name: what the job is called there.
    """

    found: DiscoveredScheduledJob
    trigger: Trigger
    enabled: bool
    prevent_overlap: bool
    retries: int
    retry_delay_seconds: float
    timeout_seconds: float | None
    max_random_delay_seconds: float
    queue: str | None
    queue_job_name: str
    queue_job_options: QueueJobOptions

    @property
    def name(self) -> str:
        """Unique among the jobs of a scheduler."""
        return self.found.name

    @property
    def options(self) -> ScheduledJobOptions:
        """What was declared."""
        return self.found.options


@dataclass(frozen=True, slots=True)
class SchedulerJobDescriptor:
    """What a scheduler tells of a job.

    Attributes:
        provider, method: what runs.
        schedule: `cron …`, `every … s` or `manual`.
        queue: None: it runs inline, in the process that fires it; the two after it likewise.
        next_run: None for a manual job, for one that is switched off, and before the scheduler has started.
        last_outcome: of this scheduler's last run of it: `done`, `failed`, `skipped` or `queued`.
        running: how many runs of it this scheduler has going.
    """

    name: str
    description: str | None
    provider: str
    method: str
    enabled: bool
    schedule: str
    timezone: str | None
    run_on_start: bool
    prevent_overlap: bool
    retries: int
    retry_delay_seconds: float
    timeout_seconds: float | None
    max_random_delay_seconds: float
    queue: str | None
    queue_job_name: str | None
    queue_job_options: QueueJobOptions | None
    next_run: datetime | None = None
    last_run: datetime | None = None
    last_outcome: str | None = None
    running: int = 0


def resolve(
    found: Iterable[DiscoveredScheduledJob],
    *,
    defaults: ScheduledJobOptions | None = None,
    default_queue: str = "worker-default",
    timezone: str | None = None,
) -> tuple[ScheduledJob, ...]:
    """Give the jobs with all defaults filled in.

    Args:
        defaults: those of a worker's settings; they go before the job's own.
        default_queue: of a job that names its job in the queue and no queue.
        timezone: of cron expressions that name none.

    Raises:
        LoadingError: anything is wrong with any of them; it carries all problems.
    """
    jobs = list(found)
    problems = [*_collisions(jobs), *(problem for job in jobs for problem in _problems(job))]
    if problems:
        raise LoadingError(problems, where="the modules of jobs")
    resolved = tuple(_resolved(job, defaults, default_queue, timezone) for job in jobs)
    if problems := [problem for job in resolved for problem in _out_of_reach(job)]:
        raise LoadingError(problems, where="the modules of jobs")
    return resolved


def _resolved(
    job: DiscoveredScheduledJob,
    defaults: ScheduledJobOptions | None,
    default_queue: str,
    timezone: str | None,
) -> ScheduledJob:
    given = job.options
    filled = given.over(defaults).over(JOB_DEFAULTS) if defaults else given.over(JOB_DEFAULTS)
    is_queued = given.queue_name is not None or given.queue_job_name is not None
    return ScheduledJob(
        found=job,
        trigger=_trigger(given, timezone),
        enabled=bool(filled.enabled),
        prevent_overlap=bool(filled.prevent_overlap),
        retries=filled.retries or 0,
        retry_delay_seconds=_seconds(filled.retry_delay),
        timeout_seconds=_seconds(filled.timeout) or None,
        max_random_delay_seconds=_seconds(filled.max_random_delay),
        queue=(given.queue_name or default_queue) if is_queued else None,
        queue_job_name=given.queue_job_name or job.name,
        queue_job_options=given.queue_job_options or QueueJobOptions(),
    )


def _trigger(options: ScheduledJobOptions, timezone: str | None) -> Trigger:
    if options.cron is not None:
        return CronTicks(options.cron, options.timezone or timezone)
    return Manual() if options.interval is None else IntervalTicks(seconds_of(options.interval))


def _seconds(value: Seconds | None) -> float:
    return 0.0 if value is None else seconds_of(value)


def _collisions(jobs: Sequence[DiscoveredScheduledJob]) -> Iterator[Problem]:
    by_name: dict[str, list[DiscoveredScheduledJob]] = {}
    for job in jobs:
        by_name.setdefault(job.name, []).append(job)
    for name, namesakes in by_name.items():
        if len(namesakes) > 1:
            places = tuple(job.place for job in namesakes)
            yield Problem(
                f"{len(namesakes)} jobs are called {name!r}", places, "give each a name of its own", True
            )


def _problems(job: DiscoveredScheduledJob) -> Iterator[Problem]:
    options = job.options
    complaints = (
        *_of_the_name(job),
        *_of_the_schedule(options),
        *_of_the_rest(options),
        *_of_the_queue(options),
    )
    for message, remedy in complaints:
        yield Problem(f"job {job.name!r}: {message}", (job.place,), remedy)


def _out_of_reach(job: ScheduledJob) -> Iterator[Problem]:
    """Tell of a timeout that could not end its job."""
    found = job.found
    if job.timeout_seconds is not None and found.origin is None and not found.is_coroutine:
        yield Problem(
            f"job {job.name!r} has a timeout, and stands where the process that it would run in cannot find it",
            (found.place,),
            "move it to the top level of a module that can be imported, make it an async def, or give timeout=0",
        )


_Complaint = tuple[str, str]


def _of_the_name(job: DiscoveredScheduledJob) -> Iterator[_Complaint]:
    if not isinstance(job.name, str) or not job.name.strip() or len(job.name) > _LONGEST_NAME:
        yield "this is no name", f"give a text of up to {_LONGEST_NAME} characters"


def _of_the_schedule(options: ScheduledJobOptions) -> Iterator[_Complaint]:
    if options.cron is not None and options.interval is not None:
        yield "it has both cron and interval", "keep one of the two"
    yield from _of_the_cron(options)
    if options.interval is not None:
        seconds = _number(options.interval)
        if seconds is None or not SHORTEST_INTERVAL_SECONDS <= seconds <= _LONGEST:
            yield (
                f"interval={options.interval!r} is no time between two ticks",
                f"give seconds, {SHORTEST_INTERVAL_SECONDS:g} at least, or a timedelta",
            )


def _of_the_cron(options: ScheduledJobOptions) -> Iterator[_Complaint]:
    zone = options.timezone
    if zone is not None and not _is_zone(zone):
        yield f"timezone={zone!r} is no time zone", "give its IANA name: UTC or Europe/Berlin"
        zone = None
    if options.cron is None:
        return
    try:
        parse_cron(options.cron)
    except (ValueError, AttributeError) as error:
        yield f"cron: {error}", "six fields with seconds first (0 30 3 * * mon-fri), or five without"
        return
    if CronTicks(options.cron, zone).next_after(datetime.now(UTC)) is None:
        yield f"cron={options.cron!r} never comes", "correct day and month"


def _of_the_rest(options: ScheduledJobOptions) -> Iterator[_Complaint]:
    retries = options.retries
    if retries is not None and (type(retries) is not int or not 0 <= retries <= 1_000):
        yield f"retries={retries!r} is no number of retries", "give a whole number from 0 to 1000"
    for name, longest in _DURATIONS.items():
        value = getattr(options, name)
        seconds = _number(value)
        if value is not None and (seconds is None or not 0 <= seconds <= longest):
            yield f"{name}={value!r} is no length of time", f"give seconds up to {longest:g}, or a timedelta"


def _of_the_queue(options: ScheduledJobOptions) -> Iterator[_Complaint]:
    is_queued = options.queue_name is not None or options.queue_job_name is not None
    if options.queue_job_options is not None and not is_queued:
        yield "it has queue_job_options and no queue", "give queue_name, or take them out"
    for name, check in _CHECKS.items():
        value = getattr(options, name)
        try:
            if value is not None:
                check(value)
        except QueueJobError as error:
            yield f"{name}: {error}", error.hint or ""
        except (TypeError, ValueError, AttributeError):  # whatever an author wrote
            yield f"{name}={value!r} is nothing that a queue could take", "see the options of JobQueue.add"


def _is_zone(name: object) -> bool:
    try:
        ZoneInfo(name)  # type: ignore[arg-type]  # whatever an author wrote
    except (KeyError, ValueError, OSError, TypeError):
        return False
    return True


def _number(value: object) -> float | None:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
