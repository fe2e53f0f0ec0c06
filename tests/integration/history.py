"""A database with a history, for tests of the floors below the runner."""

from __future__ import annotations

import psycopg

from upgrader.database.connect import Connector
from upgrader.events import EventSink, ignore_events
from upgrader.history.layout import bring_up_to_date
from upgrader.history.run_lock import RunLock


def make_history(url: str, schema: str = "upgrader") -> None:
    """Make the history schema."""
    with Connector(url).connect() as driver:
        bring_up_to_date(driver, schema)


def make_lock(
    url: str, *, schema: str = "upgrader", run_id: str = "run1", emit: EventSink = ignore_events
) -> RunLock:
    """Connect a run lock; it is not taken yet."""
    return RunLock(Connector(url, f"upgrader/{run_id}"), schema, run_id=run_id, emit=emit)


def backend_pid(driver: psycopg.Connection) -> int:
    """Give the server process behind a connection."""
    return driver.info.backend_pid
