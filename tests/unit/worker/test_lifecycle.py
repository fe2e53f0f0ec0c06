"""The two jobs that every worker has: when they are scheduled, and what they say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from upgrader.settings import Settings
from upgrader.worker.ground import WorkerGround
from upgrader.worker.lifecycle import WorkerLifecycleJob, WorkerLifecyclePayload, WorkerLifecycleProcessor
from upgrader.worker.options import ScheduledJobOptions


def _ground(*, is_queueing: bool = True, **worker: Any) -> WorkerGround:
    nowhere: Any = None  # nothing is connected to
    settings = Settings.model_validate({"worker": worker})
    return WorkerGround(settings, nowhere, "upgrader_worker", "host-1-ab", is_queueing)


def _options(ground: WorkerGround) -> dict[str, ScheduledJobOptions]:
    return {job.name: job.options for job in WorkerLifecycleJob(ground).scheduled()}


def test_what_is_scheduled() -> None:
    """One at each start, of each worker; one every thirty seconds, of which no two wait."""
    found = _options(_ground(default_queue="ours"))
    startup, heartbeat = found["worker.startup.scheduler"], found["worker.heartbeat.scheduler"]
    assert len(found) == 2
    assert (startup.run_on_start, startup.cron, startup.interval) == (True, None, None)
    assert startup.prevent_overlap is False
    assert (startup.queue_name, startup.queue_job_name) == ("ours", "worker.startup")
    assert (heartbeat.run_on_start, heartbeat.cron) == (False, "*/30 * * * * *")
    assert (heartbeat.queue_name, heartbeat.queue_job_name) == ("ours", "worker.heartbeat")
    assert heartbeat.queue_job_options is not None
    assert heartbeat.queue_job_options.id == "worker.heartbeat"


@pytest.mark.parametrize(
    ("is_queueing", "heartbeat_enabled", "expected"),
    [(True, True, [True, True]), (True, False, [True, False]), (False, True, [False, False])],
)
def test_when_they_are_switched_on(is_queueing: bool, heartbeat_enabled: bool, expected: list[bool]) -> None:
    """Both where there is a queue; the heartbeat where it is wanted, too."""
    found = _options(_ground(is_queueing=is_queueing, heartbeat_enabled=heartbeat_enabled))
    assert [one.enabled for one in found.values()] == expected


def test_what_they_say() -> None:
    """The time, and by which worker; the processor has a handler for each."""
    jobs = WorkerLifecycleJob(_ground())
    for payload in (jobs.announce_startup(), jobs.heartbeat()):
        assert isinstance(payload, WorkerLifecyclePayload)
        assert payload.worker == "host-1-ab"
        assert datetime.now(UTC) - payload.timestamp < timedelta(minutes=1)
    assert WorkerLifecycleProcessor.job_handlers() == {
        "worker.startup": "handle_startup",
        "worker.heartbeat": "handle_heartbeat",
    }
