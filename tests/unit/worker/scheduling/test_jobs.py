"""Scheduled jobs with their defaults: the job's own, and the module's."""

from __future__ import annotations

from datetime import timedelta

import pytest

from upgrader.worker.options import QueueJobOptions, ScheduledJobOptions
from upgrader.worker.scheduling.jobs import DiscoveredScheduledJob, JobOrigin, ScheduledJob, resolve
from upgrader.worker.scheduling.triggers import CronTicks, IntervalTicks, Manual


def _resolved(
    defaults: ScheduledJobOptions | None = None, timezone: str | None = None, **options: object
) -> ScheduledJob:
    given = ScheduledJobOptions(**options)  # type: ignore[arg-type]  # options of all kinds
    origin = JobOrigin("package.module", "P", "run")
    found = DiscoveredScheduledJob("P.run", "P", "run", given, lambda: None, "file.py:1", origin)
    (job,) = resolve([found], defaults=defaults, timezone=timezone)
    return job


MODULE = ScheduledJobOptions(
    enabled=True, prevent_overlap=True, retries=1, retry_delay=5.0, timeout=60.0, max_random_delay=2.0
)


def test_a_jobs_own_defaults() -> None:
    """Those of the table of `ScheduledJobOptions`: no retries, no timeout, no jitter."""
    job = _resolved()
    assert (job.enabled, job.prevent_overlap, job.retries, job.retry_delay_seconds) == (True, True, 0, 0.0)
    assert (job.timeout_seconds, job.max_random_delay_seconds, job.queue) == (None, 0.0, None)
    assert job.trigger == Manual()


def test_the_modules_defaults_go_before_them() -> None:
    """Those of the table of `SchedulerModuleOptions`: one retry after five seconds."""
    job = _resolved(MODULE)
    assert (job.retries, job.retry_delay_seconds, job.timeout_seconds) == (1, 5.0, 60.0)
    assert job.max_random_delay_seconds == 2.0


def test_what_the_job_says_goes_before_all() -> None:
    job = _resolved(
        MODULE, enabled=False, prevent_overlap=False, retries=0, retry_delay=timedelta(minutes=1), timeout=0
    )
    assert (job.enabled, job.prevent_overlap, job.retries) == (False, False, 0)
    assert (job.retry_delay_seconds, job.timeout_seconds) == (60.0, None)


def test_what_makes_it_due() -> None:
    """Cron, interval or neither; the time zone is the job's own, else the settings'."""
    assert _resolved(cron="0 3 * * *", timezone="UTC").trigger == CronTicks("0 3 * * *", "UTC")
    job = _resolved(None, "UTC", cron="0 3 * * *")
    assert job.trigger == CronTicks("0 3 * * *", "UTC")
    assert _resolved(interval=timedelta(minutes=2)).trigger == IntervalTicks(120.0)


@pytest.mark.parametrize(
    ("options", "queue", "name"),
    [
        ({}, None, "P.run"),
        ({"queue_name": "mail"}, "mail", "P.run"),
        ({"queue_name": "mail", "queue_job_name": "send"}, "mail", "send"),
        ({"queue_job_name": "send"}, "worker-default", "send"),
    ],
)
def test_where_it_runs(options: dict[str, object], queue: str | None, name: str) -> None:
    """A job that names its job in the queue and no queue goes to the default one."""
    job = _resolved(**options)
    assert (job.queue, job.queue_job_name) == (queue, name)
    assert job.queue_job_options == QueueJobOptions()
