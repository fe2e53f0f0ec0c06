"""What everything in a worker stands on: the database of queue and ticks, its tables, and who this process is."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psycopg

from upgrader.database.connect import Connector
from upgrader.database.failures import translating
from upgrader.settings import Settings
from upgrader.worker import layout
from upgrader.worker.names import worker_schema
from upgrader.worker.queue.connection import queue_connector


@dataclass(frozen=True, slots=True)
class WorkerGround:
    """The way to the database, and the names in it.

    Attributes:
        schema: of queue, ticks and workers.
        worker: an id for this process, unlike any other's.
        is_queueing: whether jobs are queued.
    """

    settings: Settings
    connector: Connector
    schema: str
    worker: str
    is_queueing: bool

    @contextmanager
    def connected(self) -> Iterator[psycopg.Connection]:
        """Give a connection in autocommit for the time of a block.

        Raises:
            DatabaseUnavailableError: there is none to be had.
        """
        with translating():
            driver = self.connector.connect()
            try:
                yield driver
            finally:
                driver.close()


@contextmanager
def open_ground(
    settings: Settings,
    *,
    directory: Path | None = None,
    notify: Callable[[str], None] | None = None,
    makes_tables: bool = True,
) -> Iterator[WorkerGround]:
    """Give the ground for the time of a block; an embedded server runs as long.

    Args:
        directory: what an embedded server's directory is relative to; the working directory by default.
        notify: told what is done to the machine for an embedded server.
        makes_tables: bring the tables up to date; without it nothing is written.

    Raises:
        DatabaseUnavailableError: it cannot be reached.
        LayoutError: its tables cannot be made, or are a newer program's.
    """
    name = f"upgrader/worker/{os.getpid()}"
    with queue_connector(settings, application_name=name, directory=directory, notify=notify) as connector:
        ground = WorkerGround(
            settings, connector, worker_schema(settings.history_schema), worker_id(), is_queueing(settings)
        )
        if makes_tables:
            make_tables(ground)
        yield ground


def make_tables(ground: WorkerGround) -> None:
    """Bring the tables up to date: ours, and those of the queue where jobs are queued."""
    with ground.connected() as driver:
        layout.bring_up_to_date(driver, ground.schema)
        if ground.is_queueing:
            from upgrader.worker.queue import layout as queue_layout

            queue_layout.bring_up_to_date(driver, ground.schema)


def is_queueing(settings: Settings) -> bool:
    """Tell whether jobs are queued: it is not switched off, and the extra is installed."""
    return settings.worker.queue_enabled and find_spec("procrastinate") is not None


def worker_id() -> str:
    """Name this process: `host-4711-9f3c`; two in containers may have the same host and number."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
