"""A connection that is lost over an answer, a database that is away for long: no job is lost, none is begun for it."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from procrastinate.exceptions import ConnectorException

from tests.integration.worker.test_rescue import silence
from tests.support.queue_hosts import TIGHT, Mails, consuming, queue_settings
from tests.support.server import wait_until
from tests.support.worker_queue import SCHEMA, QueueGround
from upgrader.settings.worker import WorkerSettings
from upgrader.worker import Job, QueueWorkerHost, queue_job_handler, queue_worker
from upgrader.worker.queue.consumer import QueueConsumer
from upgrader.worker.queue.manager import QueueManager
from upgrader.worker.queue.pool import SeldomTold, make_connector, make_pool
from upgrader.worker.queue.upkeep import Upkeep

Ask = Callable[..., Awaitable[Any]]


def connector_of(consumer: QueueConsumer) -> Any:
    """Give what a consumer speaks to the queue with."""
    assert consumer._running is not None
    return consumer._running.manager.connector


def test_a_job_whose_taking_was_answered_in_vain_is_done(
    ground: QueueGround, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is this worker's by the table, and the worker never heard of it: it would be worked on for ever."""
    mails = Mails()
    with consuming(ground.url, mails) as consumer:
        connector = connector_of(consumer)
        ask: Ask = connector.execute_query_one_async
        lost: list[Any] = []

        async def deaf(**values: Any) -> Any:
            row = await ask(**values)
            if row["id"] is not None and not lost:
                lost.append(row["id"])
                raise ConnectorException
            return row

        monkeypatch.setattr(connector, "execute_query_one_async", deaf)
        number = ground.queue.add("mails", "send")
        mails.wait_for(1)
    assert lost == [number]
    assert [(job.id, job.attempt) for job in mails.seen] == [(number, 1)]
    assert f"job send [{number}] was given to this worker as the connection was lost" in caplog.text


def test_what_is_at_work_is_not_given_back(ground: QueueGround) -> None:
    """A job that takes longer than it takes to look for those that nobody heard of."""
    mails = Mails()
    with consuming(ground.url, mails, rescue_seconds=0.1) as consumer:
        asked: list[str] = []
        connector = connector_of(consumer)
        ask: Ask = connector.execute_query_all_async

        async def counted(**values: Any) -> Any:
            rows = await ask(**values)
            asked.extend(["looked"] if "known" in values else [])
            return rows

        connector.execute_query_all_async = counted
        ground.queue.add("mails", "hold")
        assert mails.begun.wait(30)
        before = len(asked)
        wait_until(lambda: len(asked) >= before + 3)
        mails.go_on.set()
        mails.wait_for(1)
        wait_until(lambda: ground.jobs() == [("hold", "succeeded")])
    assert [job.attempt for job in mails.seen] == [1]


def test_a_job_that_comes_back_while_it_is_at_work_ends_well(ground: QueueGround) -> None:
    """Others took this worker to be dead, and it takes the job itself once more: neither run is in the other's way."""
    mails = Mails()
    with consuming(ground.url, mails):
        number = ground.queue.add("mails", "hold")
        assert mails.begun.wait(30)
        mails.begun.clear()
        ground.connection.execute(
            f"update {SCHEMA}.procrastinate_jobs set status = 'todo', worker_id = null".encode()
        )
        assert mails.begun.wait(30)
        mails.go_on.set()
        mails.wait_for(2)
        wait_until(lambda: ground.jobs() == [("hold", "succeeded")])
    assert [job.id for job in mails.seen] == [number, number]
    assert ground.connection.execute(f"select message from {SCHEMA}.job_error".encode()).fetchall() == []


def test_the_end_of_a_job_is_written_down_however_long_it_takes(
    ground: QueueGround, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where that is longer than a worker may be silent: it was done, and is not begun again."""
    mails = Mails()
    with consuming(ground.url, mails, heartbeat_seconds=0.2, stalled_seconds=0.5) as consumer:
        connector = connector_of(consumer)
        ask: Ask = connector.execute_query_all_async
        tried: list[float] = []

        async def away(**values: Any) -> Any:
            if "status" in values and (not tried or tried[-1] - tried[0] < 1.5):
                tried.append(time.monotonic())
                raise ConnectorException
            return await ask(**values)

        monkeypatch.setattr(connector, "execute_query_all_async", away)
        ground.queue.add("mails", "send")
        wait_until(lambda: ground.jobs() == [("send", "succeeded")])
    assert len(mails.seen) == 1


def test_a_try_that_has_begun_is_not_ended_by_the_one_before(
    ground: QueueGround, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """That a job waits again was written down and the answer lost; it is at work here when that is said once more."""
    begun, go_on, tries = threading.Event(), threading.Event(), []

    @queue_worker("mails")
    class FailingOnce(QueueWorkerHost):
        @queue_job_handler("send")
        def send(self, job: Job[Any]) -> None:
            tries.append(job.attempt)
            if job.attempt == 1:
                raise ValueError
            begun.set()
            go_on.wait(60)

    with consuming(ground.url, FailingOnce()) as consumer:
        connector = connector_of(consumer)
        ask: Ask = connector.execute_query_all_async
        told: list[int] = []

        async def deaf(**values: Any) -> Any:
            rows = await ask(**values)
            if "seconds" in values:
                told.append(len(rows))
                if len(told) == 1:
                    assert await asyncio.to_thread(begun.wait, 30)
                    raise ConnectorException
            return rows

        monkeypatch.setattr(connector, "execute_query_all_async", deaf)
        ground.queue.add("mails", "send", attempts=5)
        wait_until(lambda: len(told) == 2)
        assert ground.jobs("status::text, attempts") == [("doing", 1)]
        go_on.set()
        wait_until(lambda: ground.jobs("status::text, attempts") == [("succeeded", 2)])
    assert (told, tries) == ([1, 0], [1, 2])
    assert "its end was written down as the connection was lost" in caplog.text


def test_an_end_that_cannot_be_written_down_is_told_of_once(
    ground: QueueGround, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever keeps it from being written, not only a connection that is lost; it is written once it can be."""
    mails = Mails()
    with consuming(ground.url, mails, concurrency=1):
        ground.connection.execute(
            f"alter table {SCHEMA}.procrastinate_jobs add constraint full_disk"
            " check (status <> 'succeeded') not valid".encode()
        )
        ground.queue.add("mails", "send")
        wait_until(lambda: "the end of a job cannot be written down" in caplog.text)
        wait_until(lambda: len(mails.seen) == 1)
        ground.connection.execute(
            f"alter table {SCHEMA}.procrastinate_jobs drop constraint full_disk".encode()
        )
        wait_until(lambda: ground.jobs() == [("send", "succeeded")])
    (line,) = [one.getMessage() for one in caplog.records if "cannot be written" in one.getMessage()]
    assert "full_disk" in line
    assert line.endswith("; trying again")


def test_what_the_database_could_not_be_told_is_named(
    ground: QueueGround, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that ends while the database is away says which of its jobs will be begun anew."""
    mails = Mails()
    consumer = QueueConsumer(queue_settings(ground.url), [mails])
    consumer.start()
    assert consumer.wait_until_registered()

    async def away(**_: Any) -> Any:
        raise ConnectorException

    monkeypatch.setattr("upgrader.worker.queue.consumer._MARGIN_SECONDS", 2.0)
    ground.queue.add("mails", "hold")
    assert mails.begun.wait(30)
    monkeypatch.setattr(connector_of(consumer), "execute_query_all_async", away)
    mails.go_on.set()
    done = consumer.stop(0.2)
    assert done.unwritten == ("hold",)
    assert done.given_back == ()
    assert ground.jobs() == [("hold", "doing")]


def test_a_worker_does_not_take_itself_to_be_dead(ground: QueueGround) -> None:
    """After a time without a database its last sign of life is old, and its jobs go on all the same."""
    mails = Mails()
    fresh = (
        f"select from {SCHEMA}.procrastinate_workers where last_heartbeat > now() - interval '20 s'".encode()
    )
    with consuming(ground.url, mails, heartbeat_seconds=20.0, stalled_seconds=30.0, rescue_seconds=0.2):
        ground.queue.add("mails", "hold")
        assert mails.begun.wait(30)
        silence(ground)
        wait_until(lambda: ground.connection.execute(fresh).fetchone() is not None)
        assert ground.jobs() == [("hold", "doing")]
        mails.go_on.set()
        wait_until(lambda: ground.jobs() == [("hold", "succeeded")])
    assert len(mails.seen) == 1


@pytest.mark.parametrize("away_seconds", [60.0, 0.0], ids=["it was there before", "it comes now"])
def test_others_are_given_the_time_to_say_that_they_live(ground: QueueGround, away_seconds: float) -> None:
    """A database that was away has heard nobody: whoever is back first does not take the jobs of all others."""
    now = 1_000.0
    ground.queue.add("mails", "send")
    ground.start()
    silence(ground)

    async def rescued() -> list[int]:
        nonlocal now
        connector = make_connector(SCHEMA)
        manager = QueueManager(connector, ground.url, poll_seconds=1)
        upkeep = Upkeep(manager, WorkerSettings.model_validate(TIGHT), clock=lambda: now)
        async with make_pool(ground.url, SCHEMA) as pool:
            await connector.open_async(pool)
            await manager.register_worker()
            await upkeep.say_alive()
            counts = []
            for seconds in (away_seconds, 1.0, 1.0, 1.0):
                now += seconds
                counts.append(await upkeep.rescue())
        return counts

    assert asyncio.run(rescued()) == [0, 0, 0, 1]


def test_the_pool_does_not_rest_for_long(ground: QueueGround) -> None:
    """However long the database is away: it doubles its rests, and begins anew with the shortest after ten seconds."""
    assert make_pool(ground.url, SCHEMA).reconnect_timeout <= 10


def test_the_pool_says_seldom_that_it_cannot_connect(ground: QueueGround) -> None:
    """It tries for as long as the database is away; pools of the application say what they like."""
    with consuming(ground.url, Mails()):
        assert any(isinstance(one, SeldomTold) for one in logging.getLogger("psycopg.pool").filters)
    seldom, name = SeldomTold(), make_pool(ground.url, SCHEMA).name
    line = {"msg": "error connecting in %r: %s", "levelno": logging.WARNING}
    said = [
        seldom.filter(logging.makeLogRecord({**line, "args": (pool, "refused")}))
        for pool in (name, name, "the application's", "the application's")
    ]
    assert said == [True, False, True, True]
