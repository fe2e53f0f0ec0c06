"""Signs of life: what workers say of themselves through scheduler and queue, and what `worker status` tells."""

from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.project import Project
from tests.support.results import document
from tests.support.server import wait_until
from tests.support.workers import working

JOBS = """
from upgrader.worker import scheduled_job

@scheduled_job(name="often", interval=0.5)
def often(): ...
"""

_QUICK = {"UPGRADER_WORKER__HEARTBEAT_SECONDS": "0.2", "UPGRADER_WORKER__STALLED_SECONDS": "5"}


@pytest.fixture
def jobs(project: Project) -> Project:
    """A project with one scheduled job."""
    project.write("jobs/mine.py", JOBS)
    project.configure(worker={"modules": ["jobs"]})
    return project


def test_status_tells_the_living_from_the_dead(jobs: Project) -> None:
    """Before any worker, with one at work, and after it was killed; the startup came through the queue."""
    first = jobs.run_cli("worker", "status")
    assert (first.returncode, "no worker has ever run" in first.stdout) == (0, True)
    assert jobs.query("select to_regnamespace('upgrader_worker') is null") == [(True,)]
    with working(jobs, **_QUICK) as started:
        wait_until(lambda: jobs.query("select from upgrader_worker.tick where name = 'often'") != [])
        wait_until(lambda: jobs.query("select from upgrader_worker.sign where name = 'worker.startup'") != [])
        found = document(jobs.run_cli("worker", "status", "--json"))
        (worker,) = found["workers"]
        assert (worker["alive"], worker["pid"]) == (True, started.process.pid)
        assert worker["silent_seconds"] < 5
        assert "worker.startup" in [sign["name"] for sign in found["signs"]]  # a heartbeat may have come, too
        assert found["signs"][0]["worker"] == worker["id"]
        assert "often" in [tick["name"] for tick in found["ticks"]]
        started.kill()
        wait_until(lambda: not document(jobs.run_cli("worker", "status", "--json"))["workers"][0]["alive"])
    shown = jobs.run_cli("worker", "status").stdout
    assert "0 workers at work" in shown
    assert "dead or cut off" in shown


def test_each_worker_announces_itself(jobs: Project) -> None:
    """Two that start at once: for each a job with the time, which some worker handles, logs and notes."""
    announced = (
        "select args->'payload' from upgrader_worker.procrastinate_jobs"
        " where task_name = 'worker.startup' and queue_name = 'worker-default' and status = 'succeeded'"
    )
    with working(jobs) as one, working(jobs) as other:
        wait_until(lambda: len(jobs.query(announced)) == 2)
        ids = {id_ for (id_,) in jobs.query("select id from upgrader_worker.worker")}
        payloads = [payload for (payload,) in jobs.query(announced)]
        told = one.end() + other.end()
    assert {payload["worker"] for payload in payloads} == ids
    for payload in payloads:
        at = datetime.fromisoformat(payload["timestamp"])
        assert abs(datetime.now(UTC) - at) < timedelta(minutes=5)
        assert f"worker {payload['worker']} started at {at.isoformat()}" in told
    assert (
        told.count(
            "job worker.startup.scheduler (WorkerLifecycleJob.announce_startup): manual, on start, into queue"
            " worker-default as worker.startup"
        )
        == 2
    )
    shown = jobs.run_cli("worker", "status", env={"COLUMNS": "200"}).stdout
    assert any(f"by {id_}, handled" in shown for id_ in ids)


def test_the_heartbeat_comes_through_the_queue(jobs: Project) -> None:
    """Its payload has a time, which `worker status` shows; it can be switched off."""
    beats = (
        "select args->'payload'->>'timestamp' from upgrader_worker.procrastinate_jobs"
        " where task_name = 'worker.heartbeat' and queue_name = 'worker-default'"
    )

    def sent_at() -> datetime:
        signs = document(jobs.run_cli("worker", "status", "--json"))["signs"]
        (sent,) = [one["sent_at"] for one in signs if one["name"] == "worker.heartbeat"]
        return datetime.fromisoformat(sent)

    def is_shown() -> bool:
        told = [datetime.fromisoformat(beat) for (beat,) in jobs.query(beats)]
        return any(abs(sent_at() - one) < timedelta(seconds=1) for one in told)

    with working(jobs):
        assert jobs.run_cli("jobs", "trigger", "worker.heartbeat.scheduler").returncode == 0
        wait_until(
            lambda: jobs.query("select from upgrader_worker.sign where name = 'worker.heartbeat'") != []
        )
        wait_until(is_shown)
        assert abs(datetime.now(UTC) - sent_at()) < timedelta(minutes=1)
        assert "last worker.heartbeat: " in jobs.run_cli("worker", "status").stdout
    off = jobs.run_cli(
        "jobs", "trigger", "worker.heartbeat.scheduler", env={"UPGRADER_WORKER__HEARTBEAT_ENABLED": "false"}
    )
    assert (off.returncode, "switched off" in off.stderr) == (2, True)
    assert "do not switch queue_enabled or heartbeat_enabled off" in off.stderr


def test_a_run_whose_worker_died_is_told_as_lost(project: Project) -> None:
    """It is running as long as the worker lives; nobody writes down what becomes of it then."""
    project.write(
        "jobs/long.py",
        """
        import time
        from pathlib import Path
        from upgrader.worker import scheduled_job

        @scheduled_job(name="long", interval=0.5)
        def long():
            Path("begun").touch()
            time.sleep(600)
        """,
    )
    project.configure(worker={"modules": ["jobs"]})

    def outcome() -> str:
        (tick,) = document(project.run_cli("worker", "status", "--json"))["ticks"]
        return str(tick["outcome"])

    with working(project, UPGRADER_WORKER__QUEUE_ENABLED="false", **_QUICK) as worker:
        wait_until((project.directory / "begun").exists)
        wait_until(lambda: project.query("select from upgrader_worker.tick where outcome = 'skipped'") != [])
        worker.process.send_signal(signal.SIGSTOP)  # no tick more, and not yet silent for too long
        project.query("update upgrader_worker.worker set stalled_seconds = 600 returning 1")
        assert outcome() == "running"
        worker.kill()
        project.query("update upgrader_worker.worker set stalled_seconds = 0.1 returning 1")
        wait_until(lambda: outcome() == "lost")
    assert (
        "lost: its worker is dead or cut off"
        in project.run_cli("worker", "status", env={"COLUMNS": "200"}).stdout
    )
    project.query("delete from upgrader_worker.worker returning 1")  # after a day it is forgotten
    assert outcome() == "lost"
