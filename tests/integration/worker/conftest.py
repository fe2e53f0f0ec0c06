"""Fixtures of the background runtime's tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from tests.support.schedulers import Schedulers
from tests.support.worker_queue import QueueGround
from upgrader.settings import Settings
from upgrader.worker.scheduling.opening import open_scheduler
from upgrader.worker.scheduling.scheduler import Scheduler


@pytest.fixture
def ground(database_url: str, connection: psycopg.Connection) -> Iterator[QueueGround]:
    """A database with a queue."""
    made = QueueGround.make(database_url, connection)
    yield made
    made.queue.close()


@pytest.fixture
def scheduler(database_url: str) -> Schedulers:
    """Gives a scheduler of classes and functions on the test's database."""

    @contextmanager
    def opened(*targets: Any, queue_enabled: bool = False, **worker: Any) -> Iterator[Scheduler]:
        settings = Settings.model_validate(
            {"database_url": database_url, "worker": {"queue_enabled": queue_enabled, **worker}}
        )
        with open_scheduler(*targets, settings=settings) as made:
            yield made

    return opened
