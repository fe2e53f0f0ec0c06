"""A consumer has jobs done: by whom, in which order, how often, and when."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextvars import ContextVar
from datetime import UTC, date, datetime
from typing import Any

import psycopg
import pytest
from pydantic import BaseModel

from tests.support.queue_hosts import TIGHT, Mails, consuming, queue_settings
from tests.support.server import PostgresServer, wait_until
from tests.support.worker_queue import SCHEMA, QueueGround
from upgrader.errors import DatabaseUnavailableError, OperatorError
from upgrader.worker import Backoff, Job, QueueWorkerHost, current_job, queue_job_handler, queue_worker
from upgrader.worker.queue.consumer import QueueConsumer
from upgrader.worker.queue.job_queue import JobQueue
from upgrader.worker.running import JobEnd

_LONG_POLL = {"poll_seconds": 600.0}


def error_of(ground: QueueGround, number: int | None) -> str:
    """Give what the last try of a job raised."""
    rows = ground.connection.execute(
        f"select message from {SCHEMA}.job_error where job_id = %s".encode(), [number]
    ).fetchall()
    return "".join(str(message) for (message,) in rows)


def test_functions_and_coroutines_are_called(ground: QueueGround) -> None:
    """Each for the jobs of its name, with number, payload and try."""
    seen: dict[str, Job[Any]] = {}

    @queue_worker("mails")
    class Both(QueueWorkerHost):
        @queue_job_handler("send")
        def function(self, job: Job[Any]) -> None:
            seen["function"] = job

        @queue_job_handler("send.soon")
        async def coroutine(self, job: Job[Any]) -> None:
            seen["coroutine"] = job

    with consuming(ground.url, Both()):
        first = ground.queue.add("mails", "send", {"to": "a"})
        second = ground.queue.add("mails", "send.soon", [1, 2], attempts=2)
        wait_until(lambda: ground.jobs() == [("send", "succeeded"), ("send.soon", "succeeded")])
    assert seen == {
        "function": Job(first or 0, "mails", "send", {"to": "a"}),
        "coroutine": Job(second or 0, "mails", "send.soon", [1, 2], 1, 2),
    }


def test_a_job_that_nobody_handles_fails_with_the_list_of_handlers(
    ground: QueueGround, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and kept with the job; the one who looks on is told, too."""
    ends: list[JobEnd] = []
    with consuming(ground.url, Mails(), ended=ends.append):
        number = ground.queue.add("mails", "unknown")
        wait_until(lambda: ground.jobs() == [("unknown", "failed")])
    assert "no handler of 'unknown' in queue 'mails'" in error_of(ground, number)
    assert "its handlers are: fail, hold, send, send.soon" in error_of(ground, number)
    assert "its handlers are: fail, hold, send, send.soon" in caplog.text
    assert [end.job.name for end in ends] == ["unknown"]


@pytest.mark.parametrize(
    "payload",
    ["rubbish", "[1]", "null", "{}", '{"type": "abort_job_requested"}', '{"type": 1, "job_id": "a"}'],
)
def test_what_others_say_on_the_channel_of_a_queue_does_not_deafen_a_worker(
    ground: QueueGround, payload: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Every role of the database may NOTIFY on it: the worker looks for jobs, and hears of the next one."""
    mails = Mails()
    with consuming(ground.url, mails, **_LONG_POLL):
        ground.queue.add("mails", "send", 1)
        mails.wait_for(1)
        ground.connection.execute("select pg_notify('procrastinate_queue_v1#mails', %s)", [payload])
        ground.queue.add("mails", "send", 2)
        mails.wait_for(2)
    assert [record.levelname for record in caplog.records if record.levelno > logging.INFO] == []


@pytest.mark.parametrize("args", ['{"backoff": ["x"]}', '{"attempts": "three"}', "[1]", '{"backoff": 3}'])
def test_a_job_that_was_written_by_hand_and_cannot_be_read_fails(
    ground: QueueGround, args: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It keeps the reason, and the worker goes on."""
    mails = Mails()
    with consuming(ground.url, mails):
        number = ground.queue.add("mails", "hold", scheduled_at=datetime(2100, 1, 1, tzinfo=UTC))
        ground.connection.execute(
            f"update {SCHEMA}.procrastinate_jobs set args = %s, scheduled_at = null where id = %s".encode(),
            [args, number],
        )
        ground.queue.add("mails", "send")
        wait_until(lambda: ground.jobs() == [("hold", "failed"), ("send", "succeeded")])
    assert "the job's arguments cannot be read" in error_of(ground, number)
    assert "the job's arguments cannot be read" in caplog.text


def test_a_host_that_cannot_choose_a_handler_fails_the_job(
    ground: QueueGround, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever it raises is logged like any failure."""

    @queue_worker("mails")
    class Choosing(QueueWorkerHost):
        def handler_of(self, job: Job[Any]) -> Any:
            raise LookupError(f"no road to {job.name}")

    with consuming(ground.url, Choosing()):
        ground.queue.add("mails", "send")
        wait_until(lambda: ground.jobs() == [("send", "failed")])
    assert "failed after" in caplog.text
    assert "LookupError: no road to send" in caplog.text


def test_three_attempts_are_three_tries(ground: QueueGround) -> None:
    """Each knows which one it is; the third failure is the last."""
    mails = Mails()
    mails.fail_times = 99
    with consuming(ground.url, mails):
        number = ground.queue.add("mails", "fail", attempts=3)
        wait_until(lambda: ground.jobs() == [("fail", "failed")])
    assert [(job.attempt, job.attempts) for job in mails.seen] == [(1, 3), (2, 3), (3, 3)]
    assert ground.jobs("attempts") == [(3,)]
    assert error_of(ground, number) == "RuntimeError: no try 3"


def test_a_job_that_succeeds_at_the_second_try_is_done(ground: QueueGround) -> None:
    """It is not tried again."""
    mails = Mails()
    mails.fail_times = 1
    with consuming(ground.url, mails):
        ground.queue.add("mails", "fail", attempts=3)
        wait_until(lambda: ground.jobs() == [("fail", "succeeded")])
    assert len(mails.seen) == 2


def test_the_rests_between_tries_grow_and_are_kept_to(ground: QueueGround) -> None:
    """Though the worker asks the queue every ten minutes only: it knows when the next job is due."""
    mails = Mails()
    mails.fail_times = 99
    with consuming(ground.url, mails, **_LONG_POLL):
        ground.queue.add("mails", "fail", attempts=3, backoff=Backoff.exponential(0.4))
        wait_until(lambda: ground.jobs() == [("fail", "failed")])
    (times,) = ground.connection.execute(
        f"select array_agg(extract(epoch from at)::float8 order by at) from {SCHEMA}.procrastinate_events"
        " where type in ('started', 'deferred_for_retry')".encode()
    ).fetchall()
    first_start, first_end, second_start, second_end, third_start = times[0]
    assert first_start <= first_end
    assert 0.4 <= second_start - first_end < 60
    assert 0.8 <= third_start - second_end < 60


def test_new_jobs_and_delayed_ones_do_not_wait_for_the_next_poll(ground: QueueGround) -> None:
    """A notification comes for the one; the other is done at its time, not before."""
    mails = Mails()
    with consuming(ground.url, mails, **_LONG_POLL):
        ground.queue.add("mails", "send", "late", delay=1.0)
        ground.queue.add("mails", "send", "now")
        mails.wait_for(2)
    assert {job.data for job in mails.seen} == {"now", "late"}
    (waited,) = ground.connection.execute(
        f"select extract(epoch from s.at - d.at)::float8 from {SCHEMA}.procrastinate_events s"
        f" join {SCHEMA}.procrastinate_events d using (job_id) join {SCHEMA}.procrastinate_jobs j on j.id = s.job_id"
        " where s.type = 'started' and d.type = 'deferred' and j.scheduled_at is not null".encode()
    ).fetchone() or (0.0,)
    assert 1.0 <= waited < 60


def test_higher_priorities_go_first(ground: QueueGround) -> None:
    """Of equal ones the older."""
    for number, priority in enumerate([0, -5, 10, 0]):
        ground.queue.add("mails", "send", number, priority=priority)
    mails = Mails()
    with consuming(ground.url, mails, concurrency=1):
        mails.wait_for(4)
    assert [job.data for job in mails.seen] == [2, 0, 3, 1]


def test_a_retry_of_the_first_while_a_second_waits_under_its_id(ground: QueueGround) -> None:
    """Both come to their end; with Procrastinate alone the first would hang for ever."""
    begun, go_on, tries = threading.Event(), threading.Event(), []

    @queue_worker("mails")
    class Meeting(QueueWorkerHost):
        @queue_job_handler("meet")
        def meet(self, job: Job[Any]) -> None:
            begun.set()
            go_on.wait(30)
            tries.append(job.id)
            if len(tries) == 1:
                raise RuntimeError("the first one, while the second waits")

    with consuming(ground.url, Meeting(), concurrency=1):
        first = ground.queue.add("mails", "meet", id="one", attempts=2, backoff=Backoff(0.3))
        assert begun.wait(30)
        second = ground.queue.add("mails", "meet", id="one")
        assert second is not None
        assert ground.queue.add("mails", "meet", id="one") is None
        go_on.set()
        wait_until(lambda: ground.jobs() == [("meet", "succeeded")] * 2)
    assert tries == [first, second, first]


def test_as_many_jobs_as_allowed_at_a_time(ground: QueueGround) -> None:
    """No more than the concurrency; coroutines and functions count alike."""
    at_work, most = 0, 0
    lock, all_of_them = threading.Lock(), threading.Barrier(3, timeout=30)

    @queue_worker("mails")
    class Counting(QueueWorkerHost):
        @queue_job_handler("count")
        def count(self, job: Job[Any]) -> None:
            nonlocal at_work, most
            with lock:
                at_work += 1
                most = max(most, at_work)
            all_of_them.wait()
            with lock:
                at_work -= 1

    for _ in range(9):
        ground.queue.add("mails", "count")
    with consuming(ground.url, Counting(), concurrency=3):
        wait_until(lambda: {status for _, status in ground.jobs()} == {"succeeded"})
    assert most == 3


class Order(BaseModel):
    """A payload."""

    number: int
    due: date


@queue_worker("orders")
class Orders(QueueWorkerHost):
    """Takes a model, and one list of models."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    @queue_job_handler("one")
    def one(self, job: Job[Order]) -> None:
        self.seen.append(job.data)

    @queue_job_handler("many")
    async def many(self, job: Job[list[Order]]) -> None:
        self.seen.append(job.data)


def test_payloads_are_validated_against_the_annotation(ground: QueueGround) -> None:
    """The handler is given models; what is none of them fails before it is called."""
    orders, order = Orders(), Order(number=1, due=date(2026, 1, 2))
    with consuming(ground.url, orders):
        ground.queue.add("orders", "one", order)
        ground.queue.add("orders", "many", [order, {"number": "2", "due": "2026-01-03"}])
        wrong = ground.queue.add("orders", "one", {"number": "x"})
        wait_until(lambda: {status for _, status in ground.jobs()} == {"succeeded", "failed"})
        wait_until(lambda: len(orders.seen) == 2)
    assert order in orders.seen
    assert [order, Order(number=2, due=date(2026, 1, 3))] in orders.seen
    assert "number: Input should be a valid integer" in error_of(ground, wrong)
    assert "due: Field required" in error_of(ground, wrong)


def test_several_hosts_of_one_queue(ground: QueueGround) -> None:
    """Each has its own jobs; a queue without a name is the default one."""

    @queue_worker()
    class Default(Orders):
        """Of the default queue."""

    @queue_worker("mails")
    class More(QueueWorkerHost):
        @queue_job_handler("more")
        def more(self, job: Job[Any]) -> None:
            mails.seen.append(job)

    mails, default = Mails(), Default()
    with consuming(ground.url, mails, More(), default) as consumer:
        assert consumer.queues == ("mails", "worker-default")
        ground.queue.add("mails", "more")
        ground.queue.add("mails", "send")
        ground.queue.add(None, "one", {"number": 3, "due": "2026-01-01"})
        mails.wait_for(2)
        wait_until(lambda: len(default.seen) == 1)


def test_two_handlers_of_one_job_are_refused() -> None:
    """Before anything is connected to."""
    with pytest.raises(OperatorError, match="two handlers"):
        QueueConsumer(queue_settings("host=nowhere"), [Mails(), Mails()])


def test_a_name_that_no_queue_can_have_is_refused() -> None:
    """It would be worked on in vain; nothing is connected to."""
    with pytest.raises(OperatorError, match="'a b' is no name of a queue"):
        QueueConsumer(queue_settings("postgresql://nowhere"), [Mails()], queues=["mails", "a b"])


def test_other_queues_are_left_alone(ground: QueueGround) -> None:
    """A worker may be told which ones are its own."""
    mails, orders = Mails(), Orders()
    consumer = QueueConsumer(queue_settings(ground.url), [mails, orders], queues=["mails"])
    ground.queue.add("orders", "one")
    consumer.start()
    ground.queue.add("mails", "send")
    mails.wait_for(1)
    consumer.stop(1)
    assert ground.jobs() == [("one", "todo"), ("send", "succeeded")]


_TENANT: ContextVar[str] = ContextVar("tenant", default="none")


def test_each_job_has_a_context_of_its_own(ground: QueueGround) -> None:
    """What one sets the next does not see, thread or coroutine; each knows itself."""
    seen: list[tuple[str, str | None]] = []

    @queue_worker("mails")
    class Contexts(QueueWorkerHost):
        @queue_job_handler("function")
        def function(self, job: Job[Any]) -> None:
            self.look()

        @queue_job_handler("coroutine")
        async def coroutine(self, job: Job[Any]) -> None:
            self.look()

        def look(self) -> None:
            running = current_job()
            seen.append((_TENANT.get(), running.name if running else None))
            _TENANT.set("mine")

    for name in ("function", "function", "coroutine", "coroutine"):
        ground.queue.add("mails", name)
    with consuming(ground.url, Contexts(), concurrency=1):
        wait_until(lambda: len(seen) == 4)
    assert seen == [("none", name) for name in ("function", "function", "coroutine", "coroutine")]


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
@pytest.mark.parametrize("name", ["function", "coroutine", "awaitable"])
def test_a_job_cannot_end_the_worker(ground: QueueGround, error: BaseException, name: str) -> None:
    """Whatever it raises, it alone fails, and the next is done."""

    @queue_worker("mails")
    class Ending(Mails):
        @queue_job_handler("function")
        def function(self, job: Job[Any]) -> None:
            raise error

        @queue_job_handler("coroutine")
        async def coroutine(self, job: Job[Any]) -> None:
            raise error

        @queue_job_handler("awaitable")
        def awaitable(self, job: Job[Any]) -> Any:
            return self.coroutine(job)

    mails = Ending()
    with consuming(ground.url, mails):
        ground.queue.add("mails", name)
        wait_until(lambda: ground.jobs() == [(name, "failed")])
        ground.queue.add("mails", "send.soon")
        ground.queue.add("mails", "send")
        mails.wait_for(2)


def test_no_payload_is_logged(ground: QueueGround, caplog: pytest.LogCaptureFixture) -> None:
    """It may hold what is nobody's business; what failed is logged once, with its error."""
    mails = Mails()
    mails.fail_times = 9
    with caplog.at_level(logging.DEBUG), consuming(ground.url, mails):
        ground.queue.add("mails", "send", {"iban": "DE02-1203"})
        mails.wait_for(1)
        ground.queue.add("mails", "fail", {"iban": "DE02-1203"})
        wait_until(lambda: ("fail", "failed") in ground.jobs())
    assert "DE02-1203" not in caplog.text
    assert len([one for one in caplog.records if one.levelno >= logging.ERROR]) == 1


def test_secrets_are_taken_out_of_errors(ground: QueueGround) -> None:
    """What is kept of an error holds no password."""

    @queue_worker("mails")
    class Leaking(QueueWorkerHost):
        @queue_job_handler("leak")
        def leak(self, job: Job[Any]) -> None:
            raise ValueError("cannot connect to postgresql://app:hunter22@db/app")

    with consuming(ground.url, Leaking()):
        number = ground.queue.add("mails", "leak")
        wait_until(lambda: ground.jobs() == [("leak", "failed")])
    assert "cannot connect" in error_of(ground, number)
    assert "hunter22" not in error_of(ground, number)


def test_the_queue_may_be_in_another_database(ground: QueueGround, server: PostgresServer) -> None:
    """The worker makes it there, and works there."""
    mails = Mails()
    with server.database() as other, consuming(ground.url, mails, queue_database_url=other):
        queue = JobQueue.at(other)
        queue.add("mails", "send")
        mails.wait_for(1)
        queue.close()
    assert ground.jobs() == []


def test_a_database_that_cannot_be_reached_is_told_at_the_start() -> None:
    """Without its password."""
    url = "postgresql://worker:hunter22@127.0.0.1:1/none?connect_timeout=2"
    consumer = QueueConsumer(queue_settings(url), [Mails()])
    with pytest.raises(DatabaseUnavailableError) as caught:
        consumer.start()
    assert "hunter22" not in f"{caught.value} {caught.value.hint}"
    assert not consumer.is_running


def test_connections_that_are_lost_are_replaced(
    ground: QueueGround, connection: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """A job that was done meanwhile is not done again, and new ones are."""
    mails = Mails()
    with consuming(ground.url, mails, **{**TIGHT, "stalled_seconds": 20.0}):
        ground.queue.add("mails", "hold")
        mails.begun.wait(30)
        for _ in range(3):
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'upgrader/queue'"
                " and datname = current_database()"
            )
        mails.go_on.set()
        wait_until(lambda: ground.jobs() == [("hold", "succeeded")])
        ground.queue.add("mails", "send")
        mails.wait_for(2)
    assert [job.name for job in mails.seen] == ["hold", "send"]
