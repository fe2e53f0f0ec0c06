"""Scheduled jobs with a queue: what stands with the job that a tick adds, and that both are there or neither."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.schedulers import Schedulers, ticks_of
from tests.support.server import wait_until
from tests.support.worker_queue import QueueGround
from upgrader.database.connect import Connector
from upgrader.settings import Settings
from upgrader.worker import Backoff, JobQueue, QueueJobOptions, scheduled_job
from upgrader.worker.discovery import discover
from upgrader.worker.ground import open_ground
from upgrader.worker.scheduling.jobs import resolve
from upgrader.worker.scheduling.opening import scheduler_on
from upgrader.worker.scheduling.ticks import TickBook, TickOutcome

_JOBS = (
    "select queue_name, task_name, args, priority, queueing_lock is not null,"
    " extract(epoch from scheduled_at - now())::float8 from upgrader_worker.procrastinate_jobs order by id"
)


def test_the_options_of_its_job_stand_with_it(
    scheduler: Schedulers, connection: psycopg.Connection[Any]
) -> None:
    """Priority, delay, attempts, the rests between them, and an id: while one waits under it no other is added."""

    class Jobs:
        @scheduled_job(
            name="digest",
            interval=0.5,
            queue_name="mail",
            queue_job_options=QueueJobOptions(
                priority=7, delay=timedelta(hours=1), attempts=3, backoff=Backoff.exponential(2.0), id="one"
            ),
        )
        def digest(self) -> str:
            return "news"

        @scheduled_job(name="plain", interval=0.5, queue_name="letters")
        def plain(self) -> None: ...

    with scheduler(Jobs, queue_enabled=True) as made:
        made.start()
        wait_until(lambda: len([row for row in ticks_of(connection) if row[0] == "digest"]) >= 2)
        wait_until(lambda: len([row for row in ticks_of(connection) if row[0] == "plain"]) >= 1)
        made.stop(timeout_seconds=10)
    jobs = connection.execute(_JOBS.encode()).fetchall()
    (digest,) = [row for row in jobs if row[0] == "mail"]
    args = {"payload": "news", "attempts": 3, "backoff": [2.0, 2.0, 86400.0], "id": "one"}
    assert digest[:5] == ("mail", "digest", args, 7, True)
    assert 3500 < digest[5] <= 3600
    assert next(row for row in jobs if row[0] == "letters") == (
        "letters",
        "plain",
        {"payload": None},
        0,
        False,
        None,
    )


def test_tick_and_job_are_there_or_neither(
    scheduler: Schedulers, connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is lost after tick and job were written: neither is there, and both come with the next try."""
    made_payloads: list[int] = []
    added: list[int | None] = []
    missed = datetime.now(UTC) - timedelta(minutes=1)

    class Jobs:
        @scheduled_job(name="count", cron=f"{missed:%S %M %H} * * *", timezone="UTC", queue_name="mail")
        def count(self) -> int:
            made_payloads.append(1)
            return len(made_payloads)

    add = JobQueue.add_options

    def lost_once(self: JobQueue, *values: Any, **more: Any) -> int | None:
        added.append(add(self, *values, **more))
        if len(added) == 1:
            raise psycopg.OperationalError("the connection is lost")
        before.append(connection.execute(_JOBS.encode()).fetchall())
        return added[-1]

    before: list[list[Any]] = []
    monkeypatch.setattr(JobQueue, "add_options", lost_once)
    with scheduler(Jobs, queue_enabled=True) as made:
        connection.execute(
            "insert into upgrader_worker.tick (name, due, worker, outcome)"
            " values ('count', now() - interval '6 minutes', 'other', 'queued')"
        )
        made.start()
        wait_until(lambda: len(ticks_of(connection)) == 2)
        assert made.stop(timeout_seconds=10) == ()
    jobs = connection.execute(_JOBS.encode()).fetchall()
    assert {outcome for *_, outcome in ticks_of(connection)} == {"queued"}
    assert before == [[]]
    assert [job[2]["payload"] for job in jobs] == [1]
    assert (len(added), len(made_payloads)) == (2, 1)


def test_a_tick_that_is_anothers_adds_no_job(
    ground: QueueGround, scheduler: Schedulers, connection: psycopg.Connection[Any]
) -> None:
    """Its job is there already."""

    class Jobs:
        @scheduled_job(name="any")
        def any(self) -> None: ...

    due = datetime.now(UTC)
    with scheduler(Jobs):
        for worker, expected in (("one", True), ("other", False)):
            book = TickBook(Connector(ground.url), "upgrader_worker", worker=worker)
            is_claimed, _ = book.claim_with(
                "any", due, lambda caller: ground.queue.add("mail", "send", connection=caller)
            )
            book.close()
            assert is_claimed is expected
    assert ground.jobs() == [("send", "todo")]


def test_a_payload_comes_of_whatever_runs_the_method(
    tmp_path: Path, database_url: str, connection: psycopg.Connection[Any]
) -> None:
    """A function, a coroutine, and a child process, whose model is one of the module that it has loaded itself."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "counts.py").write_text(
        """
from pydantic import BaseModel
from upgrader.worker import scheduled_job

class Count(BaseModel):
    count: int

class Counts:
    @scheduled_job(name="a", queue_name="q")
    def function(self):
        return Count(count=1)

    @scheduled_job(name="b", queue_name="q")
    async def coroutine(self):
        return Count(count=2)

    @scheduled_job(name="c", queue_name="q", timeout=60)
    def child(self):
        return Count(count=3)

    @scheduled_job(name="d", queue_name="q", timeout=60)
    async def cancellable(self):
        return Count(count=4)
""",
        encoding="utf-8",
    )
    settings = Settings.model_validate({"database_url": database_url})
    jobs = resolve(discover(["jobs"], base=tmp_path).jobs)
    with open_ground(settings) as ground, scheduler_on(ground, jobs) as made:
        for name in "abcd":
            assert made.trigger_now(name).outcome is TickOutcome.QUEUED
    added = connection.execute(_JOBS.encode()).fetchall()
    assert [(job[1], job[2]["payload"]) for job in added] == [
        (name, {"count": number}) for number, name in enumerate("abcd", start=1)
    ]
