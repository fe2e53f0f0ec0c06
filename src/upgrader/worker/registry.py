"""The workers at work, in a table: each says every so often that it lives, so that `worker status` can tell."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import Any

import psycopg

from upgrader.database.connect import identifier
from upgrader.errors import UpgraderError
from upgrader.worker.ground import WorkerGround
from upgrader.worker.layout import is_up_to_date
from upgrader.worker.queue.connection import QueueConnection

_logger = logging.getLogger("upgrader.worker")

_FORGOTTEN_SECONDS = 86_400.0
"""A worker that died stands in the list for so long."""
LOST = "lost"
"""What became of a tick whose run was not over when its worker died: nobody writes that down."""


@dataclass(frozen=True, slots=True)
class KnownWorker:
    """A worker as it was entered.

    Attributes:
        schedules: whether it fires ticks.
        silent_seconds: since it last said that it lives.
        is_alive: whether that is no longer ago than it may be.
    """

    id: str
    host: str
    pid: int
    version: str
    queues: tuple[str, ...]
    concurrency: int
    schedules: bool
    started_at: datetime
    seen_at: datetime
    silent_seconds: float
    is_alive: bool


@dataclass(frozen=True, slots=True)
class Sign:
    """The last `worker.startup` or `worker.heartbeat` that went all the way through scheduler and queue."""

    name: str
    worker: str
    sent_at: datetime
    handled_at: datetime


@dataclass(frozen=True, slots=True)
class LastTick:
    """The newest tick of a scheduled job that was not left out for a run that went on, if there is one.

    Attributes:
        outcome: that of the tick; `lost` where it was running, and its worker is dead or cut off.
    """

    name: str
    due: datetime
    worker: str
    outcome: str
    finished_at: datetime | None
    detail: str | None


@dataclass(frozen=True, slots=True)
class WorkersReport:
    """What there is to say of the workers on a database.

    Attributes:
        is_first: no worker has ever run on it.
        ticks: of each job that is scheduled, or was.
    """

    database: str
    is_first: bool
    workers: tuple[KnownWorker, ...] = ()
    signs: tuple[Sign, ...] = ()
    ticks: tuple[LastTick, ...] = ()


class WorkerRegistry:
    """This process's row: entered, kept fresh by a thread, and taken out at the end."""

    def __init__(
        self, ground: WorkerGround, *, queues: Sequence[str], concurrency: int, schedules: bool
    ) -> None:
        """Connect to nothing yet."""
        self._ground = ground
        self._connection = QueueConnection(ground.connector)
        self._table = identifier(ground.schema, "worker")
        self._values = [
            ground.worker,
            socket.gethostname(),
            os.getpid(),
            version("upgrader"),
            list(queues),
            concurrency,
            schedules,
            ground.settings.worker.stalled_seconds,
        ]
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Enter it.

        Raises:
            DatabaseUnavailableError: the database cannot be reached.
        """
        self._say()
        self._thread = threading.Thread(target=self._repeat, name="upgrader-registry", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take it out; never raises."""
        self._stopping.set()
        if self._thread is None:  # it was never entered
            return
        self._thread.join(1.0)
        with suppress(UpgraderError, psycopg.Error), self._connection.use() as driver:
            driver.execute(f"delete from {self._table} where id = %s".encode(), [self._ground.worker])
        self._connection.close()

    def _say(self) -> None:
        """Say that it lives, also where somebody took its row out meanwhile; forget those that died long ago."""
        with self._connection.use() as driver:
            driver.execute(
                f"insert into {self._table}"
                " (id, host, pid, version, queues, concurrency, schedules, stalled_seconds)"
                " values (%s, %s, %s, %s, %s, %s, %s, %s)"
                " on conflict (id) do update set seen_at = clock_timestamp()".encode(),
                self._values,
            )
            driver.execute(
                f"delete from {self._table} where seen_at < now() - make_interval(secs => %s)".encode(),
                [_FORGOTTEN_SECONDS],
            )

    def _repeat(self) -> None:
        is_away = False
        while not self._stopping.wait(self._ground.settings.worker.heartbeat_seconds):
            try:
                self._say()
            except (UpgraderError, psycopg.Error) as error:
                if not is_away:
                    _logger.warning("this worker cannot say that it lives: %s", error)
                is_away = True
            else:
                is_away = False


def note_sign(driver: psycopg.Connection, schema: str, *, name: str, worker: str, sent_at: datetime) -> None:
    """Note that a `worker.startup` or `worker.heartbeat` was handled."""
    driver.execute(
        f"insert into {identifier(schema, 'sign')} (name, worker, sent_at) values (%s, %s, %s)"
        " on conflict (name) do update set worker = excluded.worker, sent_at = excluded.sent_at,"
        " handled_at = clock_timestamp() where excluded.sent_at >= sign.sent_at".encode(),
        [name, worker, sent_at],
    )


def find_workers(ground: WorkerGround) -> WorkersReport:
    """Give the workers on a database, and what they last did; writes nothing.

    Raises:
        LayoutError: the tables are a newer program's, or the role may not read them.
    """
    database = ground.connector.description
    with ground.connected() as driver:
        if not is_up_to_date(driver, ground.schema):
            return WorkersReport(database, is_first=True)
        schema = ground.schema
        workers = _rows(
            driver,
            "select id, host, pid, version, queues, concurrency, schedules, started_at, seen_at,"
            " extract(epoch from clock_timestamp() - seen_at)::float8,"
            " seen_at > clock_timestamp() - make_interval(secs => stalled_seconds)"
            f" from {identifier(schema, 'worker')} order by started_at, id",
        )
        signs = _rows(
            driver,
            f"select name, worker, sent_at, handled_at from {identifier(schema, 'sign')} order by name",
        )
        ticks = _rows(
            driver,
            f"select distinct on (name) name, due, worker, {_outcome(schema)}, finished_at, detail"
            # Those that are left out while a run goes on say nothing of it.
            f" from {identifier(schema, 'tick')} tick order by name, outcome = 'skipped', due desc",
        )
    return WorkersReport(
        database,
        is_first=False,
        workers=tuple(map(_known, workers)),
        signs=tuple(Sign(*row) for row in signs),
        ticks=tuple(LastTick(*row) for row in ticks),
    )


def _outcome(schema: str) -> str:
    """Give the SQL for what became of a tick; all that claim ticks by time are entered while they live."""
    return (
        "case when outcome = 'running' and not exists"
        f" (select from {identifier(schema, 'worker')} living where living.id = tick.worker"
        " and living.seen_at > clock_timestamp() - make_interval(secs => living.stalled_seconds))"
        f" then '{LOST}' else outcome end"
    )


def _known(row: tuple[Any, ...]) -> KnownWorker:
    name, host, pid, program, queues, *rest = row
    return KnownWorker(name, host, pid, program, tuple(queues), *rest)


def _rows(driver: psycopg.Connection, query: str) -> list[tuple[Any, ...]]:
    return driver.execute(query.encode()).fetchall()
