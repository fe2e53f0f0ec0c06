"""Jobs that recur: `JobQueue.add_cron`."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine

from tests.support.project import Project
from tests.support.server import wait_until
from upgrader.errors import LayoutError
from upgrader.settings import Settings
from upgrader.worker import Backoff, JobQueue, QueueJobError
from upgrader.worker.ground import open_ground
from upgrader.worker.scheduling.recurring import RecurringJobs
from upgrader.worker.scheduling.ticks import TickBook


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC).replace(microsecond=0)

    def __call__(self) -> datetime:
        return self.now


Opened = tuple[RecurringJobs, JobQueue]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recurring(database_url: str, clock: Clock) -> Callable[[], Any]:
    """Gives what adds recurring jobs, as a worker has it, with its queue."""

    @contextmanager
    def opened() -> Iterator[Opened]:
        with open_ground(Settings.model_validate({"database_url": database_url})) as ground:
            queue = JobQueue(ground.connector, schema=ground.schema)
            ticks = TickBook(ground.connector, ground.schema, worker=ground.worker)
            yield RecurringJobs(ground, queue=queue, ticks=ticks, clock=clock), queue
            ticks.close()
            queue.close()

    return opened


def added(connection: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    return connection.execute(
        "select queue_name, task_name, args -> 'payload', priority from upgrader_worker.procrastinate_jobs order by id"
    ).fetchall()


def test_a_row_that_was_written_by_hand_leaves_the_others_alone(
    recurring: Callable[[], Any],
    clock: Clock,
    connection: psycopg.Connection[Any],
    caplog: pytest.LogCaptureFixture,
):
    """It is told of once, and nothing is added of it."""
    with recurring() as (jobs, queue):
        for name in ("bad", "good"):
            queue.add_cron("mail", name, cron="* * * * * *", timezone="UTC")
        connection.execute("update upgrader_worker.recurring_job set args = '[1]' where name = 'bad'")
        for _ in range(3):
            clock.now += timedelta(seconds=1)
            jobs.add_due()
    assert {name for _, name, *_ in added(connection)} == {"good"}
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert "mail/bad cannot be added" in line


def test_a_job_is_added_at_each_tick(
    recurring: Callable[[], Any], clock: Clock, connection: psycopg.Connection[Any]
):
    """With its payload and options; a tick that is over is not added again, by whatever worker."""
    with recurring() as (first, queue), recurring() as (second, _):
        key = queue.add_cron(
            "mail", "digest", {"to": "all"}, cron="*/10 * * * * *", timezone="UTC", priority=3, attempts=2,
            backoff=Backoff(5),
        )  # fmt: skip
        assert key == "mail/digest"
        first.add_due()
        assert added(connection) == []
        clock.now += timedelta(seconds=10)
        first.add_due()
        second.add_due()
        first.add_due()
        assert added(connection) == [("mail", "digest", {"to": "all"}, 3)]
        clock.now += timedelta(seconds=35)
        second.add_due()  # of those that were missed the latest
        assert len(added(connection)) == 2
        assert connection.execute(
            "select args ->> 'attempts' from upgrader_worker.procrastinate_jobs limit 1"
        ).fetchone() == ("2",)


def test_a_key_is_changed_and_removed(
    recurring: Callable[[], Any], clock: Clock, connection: psycopg.Connection[Any]
):
    """Adding under a key that is there replaces it; once removed nothing is added."""
    with recurring() as (made, queue):
        queue.add_cron("mail", "digest", 1, cron="*/10 * * * * *", key="mine")
        queue.add_cron("mail", "digest", 2, cron="*/10 * * * * *", key="mine")
        clock.now += timedelta(seconds=10)
        made.add_due()
        assert [payload for _, _, payload, _ in added(connection)] == [2]
        assert queue.remove_cron("mine") is True
        assert queue.remove_cron("mine") is False
        clock.now += timedelta(seconds=10)
        made.add_due()
        assert len(added(connection)) == 1


def test_one_waits_under_its_id(
    recurring: Callable[[], Any], clock: Clock, connection: psycopg.Connection[Any]
):
    """Where nobody works on them they do not pile up."""
    with recurring() as (made, queue):
        queue.add_cron("mail", "digest", cron="*/10 * * * * *", id="digest")
        for _ in range(3):
            clock.now += timedelta(seconds=10)
            made.add_due()
        assert len(added(connection)) == 1


def test_it_is_part_of_the_callers_transaction(recurring: Callable[[], Any], database_url: str):
    """What is rolled back recurs never."""
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(database_url))
    with recurring() as (made, queue):
        with engine.connect() as connection:
            queue.add_cron("mail", "never", cron="* * * * * *", connection=connection)
            connection.rollback()
            queue.add_cron("mail", "often", cron="* * * * * *", connection=connection)
            connection.commit()
        assert [job.name for job in made._jobs()] == ["often"]
    engine.dispose()


@pytest.mark.parametrize(
    ("cron", "timezone"), [("* * *", None), ("61 * * * * *", None), ("* * * * * *", "Europe/Nowhere")]
)
def test_what_is_no_schedule_is_refused(cron: str, timezone: str | None):
    """Before anything is sent."""
    with pytest.raises(QueueJobError):
        JobQueue().add_cron("mail", "digest", cron=cron, timezone=timezone)


def test_a_database_without_workers_is_told(database_url: str):
    """The tables are made by a worker."""
    queue = JobQueue.at(database_url)
    with pytest.raises(LayoutError, match="there is no queue"):
        queue.add_cron("mail", "digest", cron="* * * * * *")
    queue.close()


def test_a_worker_adds_them(project: Project):
    """A real one, which is told while it works; the job is done by its handler."""
    project.write(
        "jobs/mine.py",
        """
        from upgrader.worker import QueueWorkerHost, queue_job_handler, queue_worker

        @queue_worker("mail")
        class Mail(QueueWorkerHost):
            @queue_job_handler("digest")
            def digest(self, job):
                pass
        """,
    )
    project.configure(worker={"modules": ["jobs"], "poll_seconds": 0.2})
    process: subprocess.Popen[str] = project.start_cli("worker")
    try:
        wait_until(
            lambda: project.query("select to_regclass('upgrader_worker.job_error') is null") == [(False,)]
        )
        queue = JobQueue.at(project.database_url)
        queue.add_cron("mail", "digest", cron="* * * * * *")
        wait_until(
            lambda: (
                project.query(
                    "select count(*) >= 2 from upgrader_worker.procrastinate_jobs"
                    " where task_name = 'digest' and status = 'succeeded'"
                )
                == [(True,)]
            )
        )
        queue.close()
    finally:
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 0, told
