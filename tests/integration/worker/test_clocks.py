"""Workers on machines whose clocks are wrong: schedules follow the database's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.support.server import wait_until
from upgrader.settings import Settings
from upgrader.worker import scheduled_job
from upgrader.worker.database_clock import DatabaseClock
from upgrader.worker.discovery import discover_in
from upgrader.worker.ground import make_tables, open_ground
from upgrader.worker.scheduling.jobs import resolve
from upgrader.worker.scheduling.opening import scheduler_on
from upgrader.worker.scheduling.scheduler import Scheduler


class Often:
    """A job that is due every so often."""

    @scheduled_job(name="often", interval=0.2)
    def run(self) -> None:
        """Do nothing."""


@contextmanager
def scheduler_of(database_url: str, *, ahead: timedelta) -> Iterator[Scheduler]:
    """Give a scheduler on a machine whose clock is wrong."""
    settings = Settings.model_validate({"database_url": database_url, "worker": {"queue_enabled": False}})
    jobs = resolve(discover_in([Often]).jobs, default_queue="worker-default", timezone=None)
    with open_ground(settings, makes_tables=False) as real:
        ground = replace(real, clock=DatabaseClock(local=lambda: datetime.now(UTC) + ahead))
        make_tables(ground)
        with scheduler_on(ground, jobs) as made:
            yield made


def ticks(connection: psycopg.Connection[Any]) -> list[tuple[bool, bool]]:
    """Give of each tick whether it was claimed when it was due, and within a moment of it."""
    return connection.execute(
        "select due <= claimed_at, claimed_at < due + interval '10 seconds' from upgrader_worker.tick"
    ).fetchall()


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(hours=-1)])
def test_a_clock_that_is_wrong(
    database_url: str, connection: psycopg.Connection[Any], ahead: timedelta
) -> None:
    """Its worker fires what is due, neither the ticks of an hour to come nor those of the past."""
    with scheduler_of(database_url, ahead=ahead) as made:
        made.start()
        wait_until(lambda: len(ticks(connection)) >= 3)
    assert set(ticks(connection)) == {(True, True)}


def test_a_database_whose_clock_is_set_back(database_url: str, connection: psycopg.Connection[Any]) -> None:
    """Jobs do not rest until the time comes again that it was."""
    with scheduler_of(database_url, ahead=timedelta()) as made:
        clock = made._parts.clock
        assert clock._seen is not None
        clock._seen = (clock._seen[0] + timedelta(hours=1), clock._seen[1])  # as if it had been so
        made._states["often"].next_due = clock()
        made._set_clock()
        due = made._states["often"].next_due
        assert due is not None
        assert due - datetime.now(UTC) < timedelta(seconds=5)
