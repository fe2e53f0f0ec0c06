"""A queue of a test's own: its schema, its jobs as rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg

from upgrader.database.connect import Connector
from upgrader.worker.queue.job_queue import JobQueue
from upgrader.worker.queue.layout import bring_up_to_date

SCHEMA = "upgrader_worker"


@dataclass(frozen=True)
class QueueGround:
    """A database with a queue in it, and one connection to look at it."""

    url: str
    connection: psycopg.Connection[Any]
    queue: JobQueue

    @classmethod
    def make(cls, url: str, connection: psycopg.Connection[Any]) -> QueueGround:
        """Make the queue's schema."""
        bring_up_to_date(connection, SCHEMA)
        return cls(url, connection, JobQueue(Connector(url)))

    def jobs(self, columns: str = "task_name, status::text") -> list[tuple[Any, ...]]:
        """Give columns of all jobs, in the order in which they were added."""
        return self.connection.execute(
            f"select {columns} from {SCHEMA}.procrastinate_jobs order by id".encode()
        ).fetchall()

    def start(self, *queues: str) -> int | None:
        """Let a worker take a job, and give its number."""
        row = self.connection.execute(
            f"with w as (insert into {SCHEMA}.procrastinate_workers default values returning id)"
            f" select f.id from w, {SCHEMA}.procrastinate_fetch_job_v2(%s, w.id) f".encode(),
            [list(queues) or None],
        ).fetchone()
        return None if row is None else row[0]

    def retry(self, number: int) -> None:
        """Let a job that is being worked on wait again, as Procrastinate does."""
        self.connection.execute(
            f"select {SCHEMA}.procrastinate_retry_job_v2(%s, now(), null, null, null)".encode(), [number]
        )

    def finish(self, number: int, status: str = "succeeded") -> None:
        """Let a job end."""
        self.connection.execute(
            f"select {SCHEMA}.procrastinate_finish_job_v1(%s, %s, false)".encode(), [number, status]
        )
