"""What is asked of a queue here: that it takes a job, in a transaction if so wished."""

from __future__ import annotations

from typing import Protocol

from sqlalchemy import Connection

from upgrader.worker.options import QueueJobOptions


class EnqueuesJobs(Protocol):
    """Takes jobs; `JobQueue` is one."""

    def add_options(
        self,
        queue: str | None,
        name: str,
        payload: object,
        options: QueueJobOptions,
        *,
        connection: Connection | None = None,
    ) -> int | None:
        """Enqueue a job.

        Args:
            queue: None: the default one.
            payload: what JSON holds.
            connection: enqueue it in the transaction that is open there; otherwise it takes one of its own.

        Returns:
            the job's number; None where one waits under the same id already.
        """
