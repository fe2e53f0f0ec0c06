"""Fixtures of the background runtime's tests."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.support.worker_queue import QueueGround


@pytest.fixture
def ground(database_url: str, connection: psycopg.Connection) -> Iterator[QueueGround]:
    """A database with a queue."""
    made = QueueGround.make(database_url, connection)
    yield made
    made.queue.close()
