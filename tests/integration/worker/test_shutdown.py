"""A worker that ends: jobs in progress are finished in time, or given back; nothing is done less than once."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.queue_hosts import Mails, consuming, queue_settings
from tests.support.queue_process import wait_for_held, worker_process
from tests.support.server import wait_until
from tests.support.worker_queue import SCHEMA, QueueGround
from upgrader.worker import Job, QueueWorkerHost, current_job, queue_job_handler, queue_worker
from upgrader.worker.queue.consumer import QueueConsumer, QueueStop
from upgrader.worker.queue.manager import QueueManager
from upgrader.worker.queue.pool import make_connector
from upgrader.worker.queue.upkeep import Upkeep

# A busy machine: what is bounded by one second has ended long before this.
_SOON_SECONDS = 8.0


def stop(consumer: QueueConsumer, seconds: float) -> tuple[QueueStop, float]:
    """Stop it, and give how, and how long it took."""
    started = time.monotonic()
    return consumer.stop(seconds), time.monotonic() - started


def started(ground: QueueGround, *hosts: QueueWorkerHost) -> QueueConsumer:
    """Start a consumer that the test stops."""
    consumer = QueueConsumer(queue_settings(ground.url), hosts)
    consumer.start()
    assert consumer.wait_until_registered()
    return consumer


def workers(ground: QueueGround) -> int:
    """Give how many workers are entered in the queue's table."""
    (row,) = ground.connection.execute(
        f"select count(*) from {SCHEMA}.procrastinate_workers".encode()
    ).fetchall()
    return int(row[0])


def test_a_worker_without_jobs_ends_at_once(ground: QueueGround) -> None:
    """And is not in the table of workers any more."""
    consumer = started(ground, Mails())
    done, seconds = stop(consumer, 30)
    assert done == QueueStop()
    assert seconds < _SOON_SECONDS
    assert workers(ground) == 0


def test_a_lost_cancellation_does_not_hold_up_the_end(ground: QueueGround) -> None:
    """As `asyncio.wait_for` loses one that comes as what it waits for does: of a worker that ends as it begins."""

    class Deaf(Upkeep):
        """Does not hear of the first cancellation."""

        async def say_alive(self) -> None:
            if at_work.is_set():
                return
            at_work.set()
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(60)

    async def ended() -> None:
        manager = QueueManager(make_connector(SCHEMA), ground.url, poll_seconds=1)
        upkeep = Deaf(manager, queue_settings(ground.url, heartbeat_seconds=2.0).worker)
        upkeep.begin()
        await at_work.wait()
        await asyncio.wait_for(upkeep.end(), 10)

    at_work = asyncio.Event()
    asyncio.run(ended())


def test_jobs_in_progress_are_finished_and_no_more_are_taken(ground: QueueGround) -> None:
    """Their end is waited for."""
    mails = Mails()
    consumer = started(ground, mails)
    ground.queue.add("mails", "hold")
    assert mails.begun.wait(30)
    ending = threading.Thread(target=consumer.stop, args=(60,))
    ending.start()
    wait_until(lambda: all(job.stop_requested for job in consumer.at_work))
    ground.queue.add("mails", "send")
    mails.go_on.set()
    ending.join(60)
    assert ground.jobs() == [("hold", "succeeded"), ("send", "todo")]


def test_a_function_that_does_not_end_in_time_is_given_back(ground: QueueGround) -> None:
    """The time is kept to; the job has not used up a try, and another worker does it."""
    mails = Mails()
    consumer = started(ground, mails)
    number = ground.queue.add("mails", "hold", id="one")
    assert mails.begun.wait(30)
    done, seconds = stop(consumer, 1.0)
    assert 1.0 <= seconds < _SOON_SECONDS
    assert [job.id for job in done.given_back] == [number]
    assert done.is_whole
    assert ground.jobs("status::text, attempts, worker_id") == [("todo", 0, None)]
    other = Mails()
    other.go_on.set()
    with consuming(ground.url, other):
        other.wait_for(1)
        wait_until(lambda: ground.jobs() == [("hold", "succeeded")])
    assert other.seen[0].attempt == 1
    mails.go_on.set()


def test_a_given_back_job_does_not_meet_the_one_that_waits_under_its_id(ground: QueueGround) -> None:
    """Both wait then."""
    mails = Mails()
    consumer = started(ground, mails)
    ground.queue.add("mails", "hold", id="one")
    assert mails.begun.wait(30)
    assert ground.queue.add("mails", "hold", id="one", delay=600) is not None
    stop(consumer, 0.2)
    assert ground.jobs() == [("hold", "todo"), ("hold", "todo")]
    mails.go_on.set()


def test_a_coroutine_that_does_not_end_in_time_is_cancelled(ground: QueueGround) -> None:
    """Its `finally` is run before it is given back."""
    begun, cleared = threading.Event(), threading.Event()

    @queue_worker("mails")
    class Waiting(QueueWorkerHost):
        @queue_job_handler("wait")
        async def wait(self, job: Job[Any]) -> None:
            begun.set()
            try:
                await asyncio.sleep(600)
            finally:
                cleared.set()

    consumer = started(ground, Waiting())
    ground.queue.add("mails", "wait")
    assert begun.wait(30)
    done, seconds = stop(consumer, 0.5)
    assert seconds < _SOON_SECONDS
    assert cleared.is_set()
    assert len(done.given_back) == 1
    assert ground.jobs("status::text, attempts") == [("todo", 0)]


def test_a_coroutine_that_blocks_its_loop_does_not_hold_the_worker(ground: QueueGround) -> None:
    """The worker goes on saying that it lives, and ends in time."""
    begun, go_on = threading.Event(), threading.Event()

    @queue_worker("mails")
    class Blocking(QueueWorkerHost):
        @queue_job_handler("block")
        async def block(self, job: Job[Any]) -> None:
            begun.set()
            go_on.wait(60)

    consumer = started(ground, Blocking())
    number = ground.queue.add("mails", "block")
    assert begun.wait(30)
    heard = f"select last_heartbeat from {SCHEMA}.procrastinate_workers".encode()
    before = ground.connection.execute(heard).fetchall()
    wait_until(lambda: ground.connection.execute(heard).fetchall() != before)
    done, seconds = stop(consumer, 0.5)
    go_on.set()
    assert seconds < _SOON_SECONDS
    assert [job.id for job in done.given_back] == [number]
    assert ground.jobs("status::text") == [("todo",)]


def test_a_long_job_can_ask_whether_it_should_end(ground: QueueGround) -> None:
    """As soon as the worker is told to end, a job that asks knows."""
    begun = threading.Event()

    @queue_worker("mails")
    class Asking(QueueWorkerHost):
        @queue_job_handler("ask")
        def ask(self, job: Job[Any]) -> None:
            running = current_job()
            assert running is not None
            begun.set()
            assert running.stop.wait(60)

    consumer = started(ground, Asking())
    ground.queue.add("mails", "ask")
    assert begun.wait(30)
    done, seconds = stop(consumer, 60)
    assert done.given_back == ()
    assert seconds < _SOON_SECONDS
    assert ground.jobs() == [("ask", "succeeded")]


def test_a_worker_that_waits_for_its_last_job_is_not_taken_to_be_dead(ground: QueueGround) -> None:
    """It goes on saying that it lives, for longer than silence is allowed: nobody else takes the job."""

    def heard() -> Any:
        return ground.connection.execute(
            f"select last_heartbeat from {SCHEMA}.procrastinate_workers w"
            f" join {SCHEMA}.procrastinate_jobs j on j.worker_id = w.id".encode()
        ).fetchall()

    mails, other = Mails(), Mails()
    consumer = started(ground, mails)
    ground.queue.add("mails", "hold")
    assert mails.begun.wait(30)
    ending = threading.Thread(target=consumer.stop, args=(60,))
    ending.start()
    with consuming(ground.url, other):
        for _ in range(5):  # seconds; three of silence are allowed
            before = heard()
            wait_until(lambda before=before: heard() != before)  # type: ignore[misc]  # a lambda with a default
        mails.go_on.set()
        ending.join(60)
    assert ground.jobs() == [("hold", "succeeded")]
    assert not other.seen


@pytest.mark.parametrize("timeout", ["1", "30"])
def test_a_process_ends_after_sigterm(ground: QueueGround, tmp_path: Path, timeout: str) -> None:
    """With a function in progress that does not end, after the timeout; else as soon as it has ended."""
    number = ground.queue.add("mails", "hold")
    with worker_process(ground.url, tmp_path, timeout) as process:
        wait_for_held(tmp_path, number)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        if timeout == "30":
            (tmp_path / "go").touch()
        assert process.wait(60) == 0
        assert time.monotonic() - began < 25
    assert ground.jobs() == [("hold", "todo" if timeout == "1" else "succeeded")]
