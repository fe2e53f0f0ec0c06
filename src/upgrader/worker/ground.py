"""What everything in a worker stands on: the database of queue and ticks, its tables, and who this process is."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import psycopg

from upgrader.database.connect import Connector
from upgrader.database.failures import translating
from upgrader.errors import OperatorError
from upgrader.model import PreflightCheck
from upgrader.preflight.pooling import ProxyKind, look_for_proxy
from upgrader.settings import Settings
from upgrader.worker import layout
from upgrader.worker.database_clock import DatabaseClock
from upgrader.worker.names import worker_schema
from upgrader.worker.queue.connection import queue_connector


@dataclass(frozen=True, slots=True)
class WorkerGround:
    """The way to the database, and the names in it.

    Attributes:
        schema: of queue, ticks and workers.
        worker: an id for this process, unlike any other's.
        is_queueing: whether jobs are queued.
        clock: by which ticks are due.
    """

    settings: Settings
    connector: Connector
    schema: str
    worker: str
    is_queueing: bool
    clock: DatabaseClock = field(default_factory=DatabaseClock)

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
    """Bring the tables up to date: ours, and those of the queue where jobs are queued.

    Raises:
        OperatorError: a proxy that takes sessions apart stands before the database: nothing was written.
        LayoutError: they cannot be made, or are a newer program's.
    """
    with ground.connected() as driver:
        refuse_pooler(ground, driver)
        ground.clock.look(driver)
        layout.bring_up_to_date(driver, ground.schema)
        if ground.is_queueing:
            from upgrader.worker.queue import layout as queue_layout

            queue_layout.bring_up_to_date(driver, ground.schema)


def refuse_pooler(ground: WorkerGround, driver: psycopg.Connection) -> None:
    """Refuse a database behind a proxy that gives parts of a session to other clients.

    Notifications of new jobs get lost there, the locks that keep runs of a job apart stay with whoever comes next,
    and the application's sessions find the worker's `search_path`.

    Raises:
        OperatorError: there is one.
    """
    if PreflightCheck.POOLING_PROXY in ground.settings.preflight.ignore:
        return
    kind = look_for_proxy(driver, ground.connector).kind
    if kind is ProxyKind.TRANSACTIONS:
        what = (
            "pools by transaction or statement: a worker's locks, settings and notifications would be others'"
        )
    elif kind is ProxyKind.SESSIONS_ONE:
        what = "has no connection for a second session: a worker needs several"
    else:
        return
    raise OperatorError(
        f"a proxy stands before {ground.connector.description} that {what}",
        hint="give a direct URL in worker.queue_database_url: host and port of the PostgreSQL server itself (5432 as"
        " a rule), not the pooler's, or those of a pool by sessions; the application may add jobs through the pooler",
    )


def is_queueing(settings: Settings) -> bool:
    """Tell whether jobs are queued: it is not switched off, and the extra is installed."""
    return settings.worker.queue_enabled and find_spec("procrastinate") is not None


def worker_id() -> str:
    """Name this process: `host-4711-9f3c`; two in containers may have the same host and number."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
