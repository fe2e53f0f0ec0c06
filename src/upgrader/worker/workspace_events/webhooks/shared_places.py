"""The places of endpoints that all workers of a queue share: a row for each, in the queue's database."""

from __future__ import annotations

import hashlib
import json
import logging
import random
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TypeVar

import psycopg
from psycopg.rows import TupleRow

from upgrader.database.connect import Connector, identifier
from upgrader.errors import DatabaseUnavailableError
from upgrader.worker.queue.connection import QueueConnection
from upgrader.worker.workspace_events.webhooks.places import Place, Places, PlacesHere

T = TypeVar("T")

_MOST_TRIES = 50
_LONGEST_REST_SECONDS = 0.02
_TELL_AGAIN_SECONDS = 60.0
_log = logging.getLogger("upgrader.events")


class SharedPlaces:
    """Changes a row if nobody else did so in between, else looks again.

    No transaction is open while it is thought about: a worker that is cut off from the database holds up nobody.
    Where the database cannot be asked, this process counts for itself: limits hold less strictly then, and no
    request is lost for it.
    """

    def __init__(self, connector: Connector, *, schema: str, otherwise: Places | None = None) -> None:
        """Connect to nothing yet.

        Args:
            schema: of the runtime's tables.
            otherwise: where it is counted while the database is away; by default in this process.
        """
        self._connection = QueueConnection(connector)
        self._otherwise = otherwise or PlacesHere()
        self._told_at: float | None = None
        table = identifier(schema, "webhook_place").replace("%", "%%")
        self._read = (
            f"select state, version, extract(epoch from clock_timestamp())::float8 from {table}"
            " where endpoint = %s"
        ).encode()
        self._write = (
            f"update {table} set state = %s, version = version + 1, used_at = clock_timestamp()"
            " where endpoint = %s and version = %s"
        ).encode()
        self._add = f"insert into {table} (endpoint) values (%s) on conflict do nothing".encode()
        self._forget = (
            f"delete from {table} where endpoint in (select endpoint from {table}"
            " where used_at < clock_timestamp() - interval '1 day' for update skip locked)"
        ).encode()

    def change(self, endpoint: str, change: Callable[[Place, float], T]) -> T:
        """Change a place, while no other worker does."""
        key = hashlib.sha256(endpoint.encode()).hexdigest()  # URLs may hold a token
        rests = 0
        while True:
            try:
                with self._connection.use() as driver:
                    told = self._try(driver, key, change)
            except (psycopg.Error, DatabaseUnavailableError) as error:
                self._tell(error)
                return self._otherwise.change(endpoint, change)
            if told:
                return told[0]
            rests += 1
            if rests == _MOST_TRIES:
                self._tell("other workers were quicker each time")
                return self._otherwise.change(endpoint, change)
            time.sleep(random.uniform(0.0, _LONGEST_REST_SECONDS))

    def close(self) -> None:
        """Close the connection; the next change opens another."""
        self._connection.close()

    def _try(
        self, driver: psycopg.Connection[TupleRow], key: str, change: Callable[[Place, float], T]
    ) -> tuple[T] | None:
        """Give what `change` gives; None where another was quicker."""
        row = driver.execute(self._read, [key]).fetchone()
        if row is None:
            driver.execute(self._add, [key])
            driver.execute(self._forget)  # so often is often enough
            return None
        state, version, now = row
        place = Place(**state)
        given = change(place, now)
        written = driver.execute(self._write, [json.dumps(asdict(place)), key, version])
        return (given,) if written.rowcount == 1 else None

    def _tell(self, error: Exception | str) -> None:
        now = time.monotonic()
        if self._told_at is None or now - self._told_at > _TELL_AGAIN_SECONDS:
            self._told_at = now
            _log.warning("limits of webhooks hold in this process alone for the time being: %s", error)
