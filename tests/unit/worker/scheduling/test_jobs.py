"""Scheduled jobs with their defaults: the job's own, and the module's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from upgrader.errors import LoadingError
from upgrader.settings import Settings
from upgrader.worker.options import QueueJobOptions, ScheduledJobOptions
from upgrader.worker.scheduling.jobs import DiscoveredScheduledJob, JobOrigin, ScheduledJob, resolve
from upgrader.worker.scheduling.opening import jobs_of_worker
from upgrader.worker.scheduling.triggers import CronTicks, IntervalTicks, Manual


def _resolved(
    defaults: ScheduledJobOptions | None = None, zone_of_settings: str | None = None, **options: object
) -> ScheduledJob:
    given = ScheduledJobOptions(**options)  # type: ignore[arg-type]  # options of all kinds
    (job,) = resolve([_discovered(given)], defaults=defaults, timezone=zone_of_settings)
    return job


def _discovered(options: ScheduledJobOptions) -> DiscoveredScheduledJob:
    origin = JobOrigin("package.module", "P", "run")
    return DiscoveredScheduledJob("P.run", "P", "run", options, lambda: None, "file.py:1", origin)


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
    """Cron, interval in seconds or as a timedelta, or neither."""
    assert _resolved(cron="0 3 * * *").trigger == CronTicks("0 3 * * *", None)
    assert _resolved(interval=timedelta(minutes=2)).trigger == IntervalTicks(120.0)
    assert _resolved(interval=0.5).trigger == IntervalTicks(0.5)
    assert _resolved().trigger == Manual()


@pytest.mark.parametrize(
    ("of_the_job", "of_the_settings", "holds"),
    [
        ("Asia/Tokyo", "UTC", "Asia/Tokyo"),
        (None, "Asia/Tokyo", "Asia/Tokyo"),
        ("UTC", None, "UTC"),
        (None, None, None),
    ],
)
def test_whose_time_zone_holds(
    of_the_job: str | None, of_the_settings: str | None, holds: str | None
) -> None:
    """The job's own goes before the settings'; without either it is the system's."""
    job = _resolved(None, of_the_settings, cron="0 3 * * *", timezone=of_the_job)
    assert job.trigger == CronTicks("0 3 * * *", holds)
    if holds == "Asia/Tokyo":
        assert job.trigger.next_after(datetime(2026, 11, 20, tzinfo=UTC)) == datetime(
            2026, 11, 20, 18, tzinfo=UTC
        )


def test_a_workers_jobs_have_the_defaults_of_its_settings() -> None:
    """One retry after five seconds where nothing is set; else what is, each of them."""

    def of_a_worker(**job_defaults: object) -> ScheduledJob:
        settings = Settings.model_validate({"worker": {"job_defaults": job_defaults}})
        (job,) = jobs_of_worker([_discovered(ScheduledJobOptions())], settings)
        return job

    job = of_a_worker()
    assert (job.enabled, job.prevent_overlap, job.retries, job.retry_delay_seconds) == (True, True, 1, 5.0)
    assert (job.timeout_seconds, job.max_random_delay_seconds) == (None, 0.0)
    told = of_a_worker(
        enabled=False,
        prevent_overlap=False,
        retries=3,
        retry_delay_seconds=7,
        timeout_seconds=9,
        max_random_delay_seconds=11,
    )
    assert (told.enabled, told.prevent_overlap, told.retries, told.retry_delay_seconds) == (
        False,
        False,
        3,
        7.0,
    )
    assert (told.timeout_seconds, told.max_random_delay_seconds) == (9.0, 11.0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"queue_name": "two words"}, "queue_name: 'two words' is no name of a queue"),
        ({"queue_name": 5}, "queue_name=5 is nothing that a queue could take"),
        ({"queue_job_name": " "}, "queue_job_name: ' ' is no name of a job"),
        ({"queue_name": "mail", "queue_job_options": QueueJobOptions(attempts=0)}, "cannot be tried 0 times"),
        ({"queue_name": "mail", "queue_job_options": QueueJobOptions(priority=2**31)}, "is out of range"),
        (
            {"queue_name": "mail", "queue_job_options": QueueJobOptions(delay=-1)},
            "cannot wait for -1.0 seconds",
        ),
        ({"queue_name": "mail", "queue_job_options": QueueJobOptions(id="")}, "'' is no id"),
        (
            {"queue_name": "mail", "queue_job_options": QueueJobOptions(scheduled_at=datetime(2026, 1, 1))},
            "scheduled_at has no time zone",
        ),
        ({"queue_name": "mail", "queue_job_options": {"priority": 1}}, "is nothing that a queue could take"),
        ({"queue_job_options": QueueJobOptions(priority=1)}, "it has queue_job_options and no queue"),
    ],
)
def test_what_no_queue_could_take_is_told_as_it_is_loaded(options: dict[str, object], said: str) -> None:
    """Not by its first tick, at night."""
    with pytest.raises(LoadingError) as raised:
        _resolved(**options)
    (problem,) = raised.value.problems
    assert said in problem.message
    assert problem.places == ("file.py:1",)
    assert problem.remedy


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
