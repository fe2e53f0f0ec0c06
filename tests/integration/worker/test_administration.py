"""What operators say to jobs, in the moment in which something else becomes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest

from tests.support.server import wait_until
from tests.support.worker_queue import SCHEMA, QueueGround
from upgrader.errors import OperatorError
from upgrader.worker.queue.administration import JobOrdered, JobStatus, QueueAdministration


@contextmanager
def meanwhile(
    ground: QueueGround, change: str, say: Callable[[QueueAdministration], JobOrdered]
) -> Iterator[Future[JobOrdered]]:
    """Say something while a transaction that changes all jobs is about to commit; give what comes of it."""
    with (
        psycopg.connect(ground.url) as other,
        psycopg.connect(ground.url, autocommit=True) as driver,
        ThreadPoolExecutor(1) as thread,
    ):
        other.execute(f"update {SCHEMA}.procrastinate_jobs set {change}".encode())
        said = thread.submit(say, QueueAdministration(driver, SCHEMA))
        waiting = "select from pg_stat_activity where pid = %s and wait_event_type = 'Lock'"
        pid = driver.info.backend_pid
        wait_until(lambda: ground.connection.execute(waiting, [pid]).fetchone() is not None)
        other.commit()
        yield said


def test_a_job_that_ends_as_it_is_cancelled(ground: QueueGround) -> None:
    """Nobody is told that it is cancelled: it has done what it does."""
    number = ground.queue.add("mails", "send")
    assert number is not None
    assert ground.start() == number
    with (
        meanwhile(ground, "status = 'succeeded'", lambda queue: queue.cancel(number)) as said,
        pytest.raises(OperatorError, match="is over, it succeeded"),
    ):
        said.result(60)


def test_a_job_that_two_operators_let_wait_again(ground: QueueGround) -> None:
    """One of them did it; what becomes of it meanwhile is not taken back by the other."""
    number = ground.queue.add("mails", "send")
    assert number is not None
    ground.connection.execute(f"update {SCHEMA}.procrastinate_jobs set status = 'failed'".encode())
    with meanwhile(ground, "status = 'todo'", lambda queue: queue.retry(number)) as said:
        ordered = said.result(60)
    assert (ordered.is_changed, ordered.job.status) == (False, JobStatus.WAITING)


def test_a_job_that_was_written_by_hand_is_shown(ground: QueueGround) -> None:
    """Among the others, with what stands there as its payload."""
    ground.queue.add("mails", "send", 1)
    number = ground.queue.add("mails", "send")
    ground.connection.execute(
        f"update {SCHEMA}.procrastinate_jobs set args = '[1]' where id = %s".encode(), [number]
    )
    shown = QueueAdministration(ground.connection, SCHEMA).jobs()
    assert [(job.payload, job.attempts) for job in shown] == [([1], 1), (1, 1)]
