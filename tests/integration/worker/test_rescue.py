"""A worker that dies gives its jobs back: whoever lives does them, within seconds, each once by one of them."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine

from tests.support.queue_hosts import TIGHT, Mails, consuming, queue_settings
from tests.support.queue_process import wait_for_held, worker_process
from tests.support.server import wait_until
from tests.support.worker_queue import SCHEMA, QueueGround
from upgrader.settings.worker import WorkerSettings
from upgrader.worker import Job, QueueJobOptions, QueueWorkerHost, queue_job_handler, queue_worker
from upgrader.worker.ground import open_ground
from upgrader.worker.queue.manager import QueueManager
from upgrader.worker.queue.pool import make_connector, make_pool
from upgrader.worker.queue.upkeep import MOST_RESCUES, Upkeep
from upgrader.worker.scheduling.recurring import RecurringJobs
from upgrader.worker.scheduling.ticks import TickBook

_RESCUE_SECONDS = 5.0


def run_upkeep(url: str, duty: str, *, times: int = 1, **worker: Any) -> list[Any]:
    """Call one duty, several at once, as several workers would."""
    settings = WorkerSettings.model_validate({**TIGHT, **worker})

    async def one() -> Any:
        connector = make_connector(SCHEMA)
        manager = QueueManager(connector, url, poll_seconds=1)
        async with make_pool(url, SCHEMA) as pool:
            await connector.open_async(pool)
            return await getattr(Upkeep(manager, settings), duty)()

    async def all_of_them() -> list[Any]:
        return await asyncio.gather(*(one() for _ in range(times)))

    return asyncio.run(all_of_them())


def silence(ground: QueueGround, seconds: float = 60.0) -> None:
    """Let every worker have been silent for so long."""
    ground.connection.execute(
        f"update {SCHEMA}.procrastinate_workers set last_heartbeat = now() - make_interval(secs => %s)".encode(),
        [seconds],
    )


def test_the_job_of_a_killed_worker_is_done_by_another_within_five_seconds(
    ground: QueueGround, tmp_path: Path
) -> None:
    """With tight settings: a heartbeat each second, silence of three, looked for each second."""
    number = ground.queue.add("mails", "hold", id="one")
    mails = Mails()
    mails.go_on.set()
    with worker_process(ground.url, tmp_path) as process:
        wait_for_held(tmp_path, number)
        with consuming(ground.url, mails):
            process.send_signal(signal.SIGKILL)
            process.wait(30)
            killed = time.monotonic()
            mails.wait_for(1)
            seconds = time.monotonic() - killed
            wait_until(lambda: ground.jobs() == [("hold", "succeeded")])
    assert seconds < _RESCUE_SECONDS
    assert [(job.id, job.attempt) for job in mails.seen] == [(number, 1)]


def test_a_worker_that_starts_later_does_it_too(ground: QueueGround, tmp_path: Path) -> None:
    """Nobody has to live while the other dies."""
    number = ground.queue.add("mails", "hold")
    with worker_process(ground.url, tmp_path) as process:
        wait_for_held(tmp_path, number)
        process.kill()
        process.wait(30)
    mails = Mails()
    mails.go_on.set()
    with consuming(ground.url, mails):
        mails.wait_for(1)


def test_several_rescuers_at_once_move_each_job_once(ground: QueueGround) -> None:
    """And nobody is in another's way."""
    for _ in range(40):
        ground.queue.add("mails", "send")
        ground.start()
    silence(ground)
    assert sum(run_upkeep(ground.url, "rescue", times=6)) == 40
    assert set(ground.jobs("status::text, attempts, worker_id")) == {("todo", 0, None)}
    events = ground.connection.execute(
        f"select count(*) from {SCHEMA}.procrastinate_events where type = 'deferred_for_retry'".encode()
    ).fetchall()
    assert events == [(40,)]


def test_a_rescued_job_does_not_meet_the_one_that_waits_under_its_id(ground: QueueGround) -> None:
    """Both wait then, and a third is refused still."""
    first = ground.queue.add("mails", "send", id="one")
    assert ground.start() == first
    second = ground.queue.add("mails", "send", id="one")
    silence(ground)
    assert run_upkeep(ground.url, "rescue") == [1]
    assert ground.jobs("id, status::text") == [(first, "todo"), (second, "todo")]
    assert ground.queue.add("mails", "send", id="one") is None
    mails = Mails()
    with consuming(ground.url, mails):
        mails.wait_for(2)


def test_jobs_of_living_workers_are_left_alone(ground: QueueGround) -> None:
    """Also where they take long."""
    ground.queue.add("mails", "send")
    ground.start()
    silence(ground, 2.0)
    assert run_upkeep(ground.url, "rescue") == [0]
    assert ground.jobs() == [("send", "doing")]


def test_a_job_whose_worker_was_deleted_is_rescued(ground: QueueGround) -> None:
    """Whoever deleted the worker's row."""
    ground.queue.add("mails", "send")
    ground.start()
    ground.connection.execute(f"delete from {SCHEMA}.procrastinate_workers".encode())
    assert run_upkeep(ground.url, "rescue") == [1]


def test_a_job_that_workers_die_of_fails_in_the_end(ground: QueueGround) -> None:
    """And says so; otherwise it would end every worker for ever."""
    number = ground.queue.add("mails", "send")
    for _ in range(MOST_RESCUES + 1):
        assert ground.start() == number
        silence(ground)
        run_upkeep(ground.url, "rescue")
    assert ground.jobs() == [("send", "failed")]
    assert ground.connection.execute(
        f"select message, rescued from {SCHEMA}.job_error".encode()
    ).fetchall() == [("the worker that had it fell silent", MOST_RESCUES + 1)]


def test_a_cancelled_job_of_a_dead_worker_is_not_begun_again(ground: QueueGround) -> None:
    """Somebody wanted it to end."""
    number = ground.queue.add("mails", "send")
    ground.start()
    ground.connection.execute(
        f"select {SCHEMA}.procrastinate_cancel_job_v1(%s, true, false)".encode(), [number]
    )
    silence(ground)
    run_upkeep(ground.url, "rescue")
    assert ground.jobs() == [("send", "aborted")]


def test_dead_workers_are_forgotten(ground: QueueGround) -> None:
    """Once nothing of theirs is left."""
    ground.queue.add("mails", "send")
    ground.start()
    silence(ground)
    for _ in range(2):
        run_upkeep(ground.url, "rescue")
    assert ground.connection.execute(f"select from {SCHEMA}.procrastinate_workers".encode()).fetchall() == []


def test_a_worker_that_was_frozen_does_not_end_a_job_that_another_has_taken_over(
    ground: QueueGround, tmp_path: Path, connection: psycopg.Connection
) -> None:
    """The process is stopped for longer than silence is allowed, then goes on: what it says comes too late."""
    number = ground.queue.add("mails", "hold")
    mails = Mails()
    with worker_process(ground.url, tmp_path) as process:
        wait_for_held(tmp_path, number)
        os.kill(process.pid, signal.SIGSTOP)
        with consuming(ground.url, mails):
            assert mails.begun.wait(60)
            (tmp_path / "go").touch()
            os.kill(process.pid, signal.SIGCONT)
            wait_until(lambda: (tmp_path / "done").exists())
            next_one = ground.queue.add("mails", "send")  # whoever does it: the frozen one is at work again
            wait_until(lambda: ("send", "succeeded") in ground.jobs())
            assert ground.jobs()[0] == ("hold", "doing")
            mails.go_on.set()
            wait_until(lambda: ground.jobs() == [("hold", "succeeded"), ("send", "succeeded")])
    assert next_one is not None


def test_a_worker_that_others_took_to_be_dead_goes_on(ground: QueueGround) -> None:
    """Its row is made anew: it can take jobs again."""
    mails = Mails()
    with consuming(ground.url, mails, concurrency=1):
        ground.connection.execute(f"delete from {SCHEMA}.procrastinate_workers".encode())
        ground.queue.add("mails", "send")
        mails.wait_for(1)


def test_a_job_is_cancelled_while_it_is_worked_on(ground: QueueGround) -> None:
    """A coroutine is cancelled."""
    begun, ended = threading.Event(), threading.Event()

    @queue_worker("mails")
    class Waiting(QueueWorkerHost):
        @queue_job_handler("wait")
        async def wait(self, job: Job[Any]) -> None:
            begun.set()
            try:
                await asyncio.sleep(600)
            finally:
                ended.set()

    with consuming(ground.url, Waiting()):
        number = ground.queue.add("mails", "wait")
        assert begun.wait(30)
        ground.connection.execute(
            f"select {SCHEMA}.procrastinate_cancel_job_v1(%s, true, false)".encode(), [number]
        )
        assert ended.wait(30)
        wait_until(lambda: ground.jobs() == [("wait", "aborted")])


def test_a_function_is_asked_to_end_where_it_is_cancelled(ground: QueueGround) -> None:
    """It ends by itself; until then it counts as being worked on."""
    mails = Mails()
    with consuming(ground.url, mails) as consumer:
        number = ground.queue.add("mails", "hold")
        assert mails.begun.wait(30)
        ground.connection.execute(
            f"select {SCHEMA}.procrastinate_cancel_job_v1(%s, true, false)".encode(), [number]
        )
        wait_until(lambda: all(job.stop_requested for job in consumer.at_work))
        assert ground.jobs() == [("hold", "doing")]
        mails.go_on.set()
        wait_until(lambda: ground.jobs() == [("hold", "succeeded")])


@pytest.mark.parametrize("finished", [True, False])
def test_retention_by_age(ground: QueueGround, finished: bool) -> None:
    """Finished and failed jobs have ages of their own; those that wait or are worked on are kept."""
    for name in ("old", "young"):
        for status in ("succeeded", "failed"):
            number = ground.queue.add("mails", name)
            assert number is not None
            ground.start()
            ground.finish(number, status)
    ground.connection.execute(
        f"update {SCHEMA}.procrastinate_events e set at = at - interval '2 hours' from {SCHEMA}.procrastinate_jobs j"
        " where j.id = e.job_id and j.task_name = 'old'".encode()
    )
    ground.queue.add("mails", "working")
    ground.start()
    ground.queue.add("mails", "waiting")
    limits = {"finished_age_seconds": 3600.0, "failed_age_seconds": 0.0}
    if not finished:
        limits = {"finished_age_seconds": 0.0, "failed_age_seconds": 3600.0}
    assert run_upkeep(ground.url, "retain", retention=limits) == [1]
    gone = ("old", "succeeded" if finished else "failed")
    assert gone not in ground.jobs()
    assert len(ground.jobs()) == 5


def test_retention_by_count_keeps_the_last(ground: QueueGround) -> None:
    """In the order in which they ended, finished and failed ones apart; several workers may do it at once."""
    numbers = [ground.queue.add("mails", f"{status}") for status in ("succeeded", "failed") for _ in range(5)]
    for _ in numbers:
        ground.start()
    for number, (status,) in zip(reversed(numbers), reversed(ground.jobs("task_name")), strict=True):
        ground.finish(number or 0, status)
    limits = {"finished_count": 2, "failed_count": 3}
    assert sum(run_upkeep(ground.url, "retain", times=4, retention=limits)) == 5
    assert ground.jobs("id, task_name") == [
        *((number, "succeeded") for number in numbers[:2]),
        *((number, "failed") for number in numbers[5:8]),
    ]


def test_retention_holds_however_a_job_was_added(ground: QueueGround) -> None:
    """By itself, in a transaction, with options, at each tick: whoever works on the queue deletes what is over."""
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(ground.url))
    mails, retention = Mails(), {"finished_count": 1, "every_seconds": 0.1}
    settings = queue_settings(ground.url)
    clock = [datetime.now(UTC).replace(microsecond=0)]
    with open_ground(settings) as worker:
        ticks = TickBook(worker.connector, worker.schema, worker=worker.worker)
        recurring = RecurringJobs(worker, queue=ground.queue, ticks=ticks, clock=lambda: clock[0])
        ground.queue.add_cron("mails", "send", "recurring", cron="* * * * * *")
        while not ground.jobs():  # its ticks begin with the moment in which it was added
            recurring.add_due()
            clock[0] += timedelta(seconds=1)
        ticks.close()
    ground.queue.add("mails", "send", "by itself")
    with engine.begin() as connection:
        ground.queue.add("mails", "send", "in a transaction", connection=connection)
    ground.queue.add_options(
        "mails", "send", "with options", QueueJobOptions(id="one", priority=-1, attempts=3)
    )
    assert len(ground.jobs()) == 4
    # One at a time: of two that run beside each other, either may end last.
    with consuming(ground.url, mails, concurrency=1, retention=retention):
        mails.wait_for(4)
        wait_until(lambda: ground.jobs("args ->> 'payload', status::text") == [("with options", "succeeded")])
    assert {job.data for job in mails.seen} == {"recurring", "by itself", "in a transaction", "with options"}
    engine.dispose()


def test_a_heartbeat_takes_no_place_of_a_job(ground: QueueGround) -> None:
    """The last one is kept beside what the limits say."""
    for name in ("send", "worker.heartbeat"):
        number = ground.queue.add("mails", name)
        ground.start()
        ground.finish(number or 0)
    assert run_upkeep(ground.url, "retain", retention={"finished_count": 1}) == [0]
    assert ground.jobs() == [("send", "succeeded"), ("worker.heartbeat", "succeeded")]


def test_a_worker_that_has_ended_is_not_said_to_live(ground: QueueGround) -> None:
    """Its row would stand until others take it to be dead."""

    async def run() -> None:
        connector = make_connector(SCHEMA)
        manager = QueueManager(connector, ground.url, poll_seconds=1)
        async with make_pool(ground.url, SCHEMA) as pool:
            await connector.open_async(pool)
            number = await manager.register_worker()
            upkeep = Upkeep(manager, WorkerSettings())
            await upkeep.say_alive()
            await manager.unregister_worker(number)
            await upkeep.say_alive()

    asyncio.run(run())
    assert ground.connection.execute(f"select from {SCHEMA}.procrastinate_workers".encode()).fetchall() == []


def test_no_limit_deletes_nothing(ground: QueueGround) -> None:
    """0 is no limit."""
    for _ in range(3):
        number = ground.queue.add("mails", "send")
        ground.start()
        ground.finish(number or 0)
    nothing = dict.fromkeys(
        ("finished_age_seconds", "finished_count", "failed_age_seconds", "failed_count"), 0
    )
    assert run_upkeep(ground.url, "retain", retention=nothing) == [0]
    assert len(ground.jobs()) == 3


def test_heartbeats_do_not_fill_the_history(ground: QueueGround) -> None:
    """Of those that succeeded the last is kept, whatever the limits, while other jobs are all there."""

    @queue_worker("mails")
    class Hearts(QueueWorkerHost):
        @queue_job_handler("worker.heartbeat")
        async def beat(self, job: Job[Any]) -> None:
            return

        @queue_job_handler("send")
        async def send(self, job: Job[Any]) -> None:
            return

    with consuming(ground.url, Hearts(), concurrency=1):
        for _ in range(10):
            ground.queue.add("mails", "worker.heartbeat")
            ground.queue.add("mails", "send")
        wait_until(lambda: ground.jobs().count(("send", "succeeded")) == 10)
        assert ground.jobs().count(("worker.heartbeat", "succeeded")) <= 2
    run_upkeep(ground.url, "retain")
    assert ground.jobs().count(("worker.heartbeat", "succeeded")) == 1
