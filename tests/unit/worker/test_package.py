"""What the package hands out, beside what the scheduler package of the document exports."""

from __future__ import annotations

import inspect

import pytest

import upgrader.worker as worker
from upgrader.settings.worker import JobDefaults, WorkerSettings

_HERE = {
    "ScheduledJob": "scheduled_job",
    "QueueWorker": "queue_worker",
    "QueueJobHandler": "queue_job_handler",
    "ScheduledJobOptions": "ScheduledJobOptions",
    "DiscoveredScheduledJob": "DiscoveredScheduledJob",
    "SchedulerJobDescriptor": "SchedulerJobDescriptor",
    "SchedulerQueueJobInput": "QueueJobOptions",
    "QueueWorkerHost": "QueueWorkerHost",
    "SchedulerService": "Scheduler",
    "SchedulerQueueService": "JobQueue",
    "CronExpression": "CronExpression",
    "Job": "Job",
}
_OPTIONS = {
    "name": "name",
    "description": "description",
    "enabled": "enabled",
    "cron": "cron",
    "intervalMs": "interval",
    "runOnStart": "run_on_start",
    "preventOverlap": "prevent_overlap",
    "retries": "retries",
    "retryDelayMs": "retry_delay",
    "timeoutMs": "timeout",
    "maxRandomDelayMs": "max_random_delay",
    "queueName": "queue_name",
    "queueJobName": "queue_job_name",
    "queueJobOptions": "queue_job_options",
}


@pytest.mark.parametrize(("there", "here"), _HERE.items())
def test_each_export_is_handed_out(there: str, here: str) -> None:
    """By a name of the package's own; two modules are settings here."""
    assert here in worker.__all__, there
    assert here in dir(worker)
    assert callable(getattr(worker, here))


def test_the_decorator_and_its_options_have_each_option() -> None:
    """Both have the same ones, by name alone; what is given is what a discovered job has."""
    parameters = inspect.signature(worker.scheduled_job).parameters
    assert set(_OPTIONS.values()) | {"timezone"} == set(parameters)
    assert {one.kind for one in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}
    assert list(inspect.signature(worker.ScheduledJobOptions).parameters) == list(parameters)


def test_the_modules_options_are_settings() -> None:
    """With the defaults of the document's module; of the queue's name with that of its worker."""
    given = WorkerSettings()
    assert (given.scheduler_enabled, given.queue_enabled, given.log_registered_jobs) == (True, True, True)
    assert (given.default_queue, given.timezone, given.queues, given.modules) == (
        "worker-default",
        None,
        (),
        (),
    )
    assert (given.queue_database_url, given.queue_host, given.queue_database) == (None, None, None)
    assert given.job_defaults == JobDefaults(
        enabled=True,
        prevent_overlap=True,
        retries=1,
        retry_delay_seconds=5.0,
        timeout_seconds=0.0,
        max_random_delay_seconds=0.0,
    )
