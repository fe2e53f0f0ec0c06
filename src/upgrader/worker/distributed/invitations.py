"""Calls workers to a run through the queue: each invitation is a job, for one lane."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import psycopg

from upgrader.database.connect import identifier
from upgrader.errors import OperatorError, UpgraderError
from upgrader.settings import Settings
from upgrader.worker.distributed.names import QUEUE, TAKE_PART
from upgrader.worker.ground import is_queueing, open_ground
from upgrader.worker.queue.connection import QueueConnection
from upgrader.worker.queue.job_queue import JobQueue

_PRIORITY = 10  # before what can wait


class QueueInvitations:
    """The invitations of one process, in the queue that its settings name."""

    def __init__(self, queue: JobQueue, connection: QueueConnection) -> None:
        """Invite nobody yet."""
        self._queue = queue
        self._connection = connection
        self._numbers: set[int] = set()

    @classmethod
    @contextmanager
    def of_settings(cls, settings: Settings, *, directory: Path | None = None) -> Iterator[Self]:
        """Open the queue for the time of a block; its tables are made where they are missing.

        Raises:
            OperatorError: there is no queue: it is switched off, or the extra is not installed.
            LayoutError: its tables cannot be made.
        """
        if not is_queueing(settings):
            raise OperatorError(
                "a run is distributed over workers through the queue, and there is none",
                hint="pip install 'upgrader[worker]'"
                if settings.worker.queue_enabled
                else "set queue_enabled = true in [worker], or leave --distributed away",
            )
        with open_ground(settings, directory=directory) as ground:
            queue = JobQueue(ground.connector, schema=ground.schema)
            connection = QueueConnection(ground.connector)
            try:
                yield cls(queue, connection)
            finally:
                queue.close()
                connection.close()

    def invite(self, run_id: str, count: int) -> None:
        """See to it that so many invitations wait; those that do already are not doubled."""
        for number in range(count):
            added = self._queue.add(
                QUEUE, TAKE_PART, {"run_id": run_id}, id=f"{run_id}:{number}", priority=_PRIORITY
            )
            if added is not None:
                self._numbers.add(added)

    def withdraw(self) -> None:
        """Take back those that nobody has taken."""
        function = identifier(self._queue.schema, "procrastinate_cancel_job_v1").replace("%", "%%")
        with suppress(psycopg.Error, UpgraderError), self._connection.use() as driver:
            driver.execute(
                f"select {function}(id, false, true) from unnest(%s::bigint[]) id".encode(),
                [list(self._numbers)],
            )
        self._numbers.clear()
