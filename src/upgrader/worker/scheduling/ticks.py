"""Ticks, claimed in the database: however many workers there are, each is fired by one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

import psycopg
import sqlalchemy
from sqlalchemy import NullPool, create_engine, text

from upgrader.database.connect import Connector, identifier
from upgrader.database.encodings import storable
from upgrader.redaction import Redactor, clean_error_text
from upgrader.worker.database_clock import DatabaseClock
from upgrader.worker.queue.connection import QueueConnection

Added = TypeVar("Added")

KEPT_SECONDS = 3 * 86_400.0
"""How long ticks are kept, longer than any may be put off; the newest of each job always is."""
_LONGEST_DETAIL_BYTES = 1_000


class TickOutcome(StrEnum):
    """What became of a tick: `skipped` where the run before it went on, `queued` where it added a job."""

    RUNNING = "running"
    DONE = "done"
    QUEUED = "queued"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Tick:
    """A tick that was claimed."""

    name: str
    due: datetime
    worker: str
    outcome: TickOutcome
    finished_at: datetime | None
    detail: str | None


class TickBook:
    """The table of ticks. Threads may share it."""

    def __init__(
        self, connector: Connector, schema: str, *, worker: str, redactor: Redactor | None = None
    ) -> None:
        """Connect to nothing yet.

        Args:
            schema: as `worker_schema` gives it; its tables are there.
            worker: the id of the worker that claims.
            redactor: knows the secrets that must not be written into the table.
        """
        self._redactor = redactor or Redactor()
        self.schema = schema
        self._table = identifier(schema, "tick")
        self._worker = worker
        self._connection = QueueConnection(connector)
        self._engine = create_engine(
            "postgresql+psycopg://", creator=lambda: _in_transactions(connector), poolclass=NullPool
        )

    def claim(
        self,
        name: str,
        due: datetime,
        outcome: TickOutcome,
        detail: str | None = None,
        *,
        is_in_doubt: bool = False,
    ) -> bool:
        """Claim a tick; False where another worker has it, or this one.

        Args:
            is_in_doubt: this worker has tried before, and the connection was lost over the answer: the tick is its own
                where it stands under its name.
        """
        statement = self._insert("%s, %s, %s, %s, %s")
        if is_in_doubt:
            statement = statement.replace(
                "do nothing",
                "(name, due) do update set outcome = excluded.outcome where held.worker = excluded.worker",
            )
        return self._execute(statement, self._values(name, due, outcome, detail)) > 0

    def claim_with(
        self, name: str, due: datetime, add: Callable[[sqlalchemy.Connection], Added]
    ) -> tuple[bool, Added | None]:
        """Claim a tick and do something in the same transaction: both are there, or neither."""
        statement = text(self._insert(":name, :due, :worker, :outcome, :detail"))
        values = dict(
            zip(
                ("name", "due", "worker", "outcome", "detail"),
                self._values(name, due, TickOutcome.QUEUED, None),
                strict=True,
            )
        )
        with self.transaction() as connection:
            if connection.execute(statement, values).rowcount == 0:
                return False, None
            return True, add(connection)

    @contextmanager
    def transaction(self) -> Iterator[sqlalchemy.Connection]:
        """Give a connection in a transaction, which is committed at the end of the block."""
        with self._engine.begin() as connection:
            yield connection

    def set_clock(self, clock: DatabaseClock) -> None:
        """Let a clock look at the time of the table's database."""
        with self._connection.use() as driver:
            clock.look(driver)

    def is_claimed(self, name: str, due: datetime) -> bool:
        """Tell whether a tick has been claimed."""
        statement = f"select from {self._table} where name = %s and due = %s"
        return self._execute(statement, [name, due]) > 0

    def settle(self, name: str, due: datetime, outcome: TickOutcome, detail: str | None = None) -> None:
        """Note what became of a tick that this worker has claimed."""
        self._execute(
            f"update {self._table} set outcome = %s, detail = %s, finished_at = clock_timestamp()"
            " where name = %s and due = %s",
            [outcome.value, self._cleaned(detail), name, due],
        )

    def latest(self, names: Sequence[str]) -> dict[str, Tick]:
        """Give the newest tick of each job that has any."""
        statement = (
            f"select distinct on (name) name, due, worker, outcome, finished_at, detail from {self._table}"
            " where name = any(%s) order by name, due desc"
        )
        with self._connection.use() as driver:
            rows = driver.execute(statement.encode(), [list(names)]).fetchall()
        return {row[0]: Tick(row[0], row[1], row[2], TickOutcome(row[3]), row[4], row[5]) for row in rows}

    def prune(self, *, kept_seconds: float = KEPT_SECONDS) -> int:
        """Delete what is older, but the newest tick of each job; give how many."""
        return self._execute(
            f"delete from {self._table} old where claimed_at < now() - make_interval(secs => %s)"
            f" and exists (select from {self._table} newer where newer.name = old.name and newer.due > old.due)",
            [kept_seconds],
        )

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        self._connection.close()
        self._engine.dispose()

    def _insert(self, placeholders: str) -> str:
        return (
            f"insert into {self._table} as held (name, due, worker, outcome, detail) values ({placeholders})"
            " on conflict do nothing"
        )

    def _values(self, name: str, due: datetime, outcome: TickOutcome, detail: str | None) -> list[object]:
        return [name, due, self._worker, outcome.value, self._cleaned(detail)]

    def _cleaned(self, detail: str | None) -> str | None:
        if detail is None:
            return None
        return clean_error_text(detail, redactor=self._redactor, limit_bytes=_LONGEST_DETAIL_BYTES)

    def _execute(self, statement: str, parameters: Sequence[object]) -> int:
        with self._connection.use() as driver:
            sent = [storable(one, driver) if isinstance(one, str) else one for one in parameters]
            return driver.execute(statement.encode(), sent).rowcount


def _in_transactions(connector: Connector) -> psycopg.Connection:
    driver = connector.connect()
    driver.autocommit = False
    return driver
