"""What a run of a scheduled job comes to, and what is told of jobs and their runs."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from upgrader.errors import OperatorError
from upgrader.worker.scheduling.job_state import JobState
from upgrader.worker.scheduling.jobs import BUILT_IN, ScheduledJob, SchedulerJobDescriptor
from upgrader.worker.scheduling.ticks import TickOutcome

_logger = logging.getLogger("upgrader.worker.scheduler")


class UnknownJobError(OperatorError):
    """There is no scheduled job of that name."""


@dataclass(frozen=True, slots=True)
class JobRun:
    """How a run went that somebody asked for.

    Attributes:
        result: what the job returned.
        queue_job_id: the number of the job that was queued; None where none was, or one waits under its id.
        error: what it failed with.
        seconds: that it took.
    """

    name: str
    outcome: TickOutcome
    result: Any = None
    queue_job_id: int | None = None
    error: Exception | None = None
    seconds: float = 0.0


def describe(state: JobState, *, is_queued: bool, next_run: datetime | None) -> SchedulerJobDescriptor:
    """Put together what a scheduler tells of a job."""
    job = state.job
    return SchedulerJobDescriptor(
        name=job.name,
        description=job.options.description,
        provider=job.found.provider,
        method=job.found.method,
        enabled=job.enabled,
        schedule=job.trigger.description,
        timezone=getattr(job.trigger, "timezone", None),
        run_on_start=job.options.run_on_start,
        prevent_overlap=job.prevent_overlap,
        retries=job.retries,
        retry_delay_seconds=job.retry_delay_seconds,
        timeout_seconds=job.timeout_seconds,
        max_random_delay_seconds=job.max_random_delay_seconds,
        queue=job.queue if is_queued else None,
        queue_job_name=job.queue_job_name if is_queued else None,
        queue_job_options=job.queue_job_options if is_queued else None,
        next_run=next_run,
        last_run=state.last_run,
        last_outcome=state.last_outcome.value if state.last_outcome else None,
        running=state.running,
    )


def how_to_switch_on(job: ScheduledJob) -> str:
    """Say what an operator can do about a job that is switched off."""
    if job.found.place == BUILT_IN:
        return (
            "it needs a queue: install the extra (pip install 'upgrader[worker]'), and do not switch queue_enabled or"
            " heartbeat_enabled off in [worker]"
        )
    return f"give it enabled=True: {job.found.place}"


def refused(run: JobRun, job: ScheduledJob, error: Exception) -> JobRun:
    """Give a run whose payload could not be added to its queue."""
    _logger.error(
        "job %s could not be added to queue %s: %s", job.name, job.queue, error, extra={"job": job.name}
    )
    return JobRun(run.name, TickOutcome.FAILED, error=error, seconds=run.seconds)


def log_queued(job: ScheduledJob, number: int | None) -> None:
    """Say that a job was added to its queue, or waits there already."""
    fields = {"job": job.queue_job_name, "queue": job.queue, "job_id": number}
    if number is None:
        _logger.info("job %s waits in queue %s already", job.queue_job_name, job.queue, extra=fields)
    else:
        _logger.info("job %s [%d] added to queue %s", job.queue_job_name, number, job.queue, extra=fields)


def detail_of(run: JobRun) -> str | None:
    """Give what a run failed with."""
    return None if run.error is None else f"{type(run.error).__name__}: {run.error}"


def log_left_out(run: JobRun, *, again: bool = False) -> None:
    """Say that a run was left out; of several in a row only the first is worth a word."""
    if run.outcome is TickOutcome.SKIPPED:
        _logger.log(
            logging.DEBUG if again else logging.INFO,
            "job %s is left out this time: the run before it goes on",
            run.name,
            extra={"job": run.name},
        )
