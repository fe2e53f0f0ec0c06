"""A queue in a database that is not in UTF-8: what it cannot hold is told, or written in ASCII, and lost never."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.support.queue_hosts import TIGHT, consuming
from tests.support.server import PostgresServer, wait_until
from upgrader.settings import Settings
from upgrader.worker import Job, JobQueue, QueueWorkerHost, queue_job_handler, queue_worker, scheduled_job
from upgrader.worker.queue.arguments import QueueJobError
from upgrader.worker.scheduling.opening import open_scheduler


@queue_worker("names")
class Names(QueueWorkerHost):
    """Fails over a name that the database cannot hold."""

    @queue_job_handler("fail")
    def fail(self, job: Job[Any]) -> None:
        """Fail."""
        raise ValueError("中 is no name")


@scheduled_job(name="fails", interval=0.2, retries=0)
def fails() -> None:
    """Fail."""
    raise ValueError("中 is no name")


@pytest.fixture
def latin(server: PostgresServer) -> Iterator[str]:
    """Give a database in LATIN1."""
    with server.database(encoding="LATIN1") as url:
        yield url


def test_jobs_in_latin1(latin: str) -> None:
    """They run; what a job raised is kept in ASCII; a payload that cannot be held is refused with the way out."""
    with (
        open_scheduler(settings=Settings.model_validate({"database_url": latin, "worker": TIGHT})),
        consuming(latin, Names()),
        psycopg.connect(latin, autocommit=True) as connection,
    ):
        queue = JobQueue.at(latin)
        number = queue.add("names", "fail", {"name": "Größe"})
        with pytest.raises(QueueJobError, match="characters that the encoding of the database") as caught:
            queue.add("names", "fail", {"name": "中"})
        assert "worker.queue_database_url" in str(caught.value.hint)
        queue.close()
        errors = "select job_id, message from upgrader_worker.job_error"
        wait_until(lambda: connection.execute(errors).fetchone() is not None)
        assert connection.execute(errors).fetchall() == [(number, "ValueError: \\u4e2d is no name")]


def test_ticks_in_latin1(latin: str, caplog: pytest.LogCaptureFixture) -> None:
    """What became of a tick is kept, in ASCII."""
    settings = {"database_url": latin, "worker": {"queue_enabled": False}}
    settled = "select distinct outcome, detail from upgrader_worker.tick where outcome <> 'running'"
    with (
        open_scheduler(fails, settings=Settings.model_validate(settings)) as scheduler,
        psycopg.connect(latin, autocommit=True) as connection,
    ):
        scheduler.start()
        wait_until(lambda: connection.execute(settled).fetchone() is not None)
        assert connection.execute(settled).fetchall() == [("failed", "ValueError: \\u4e2d is no name")]
    assert "cannot use its database" not in caplog.text
