"""The database's time, with a database whose clock the test sets."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from upgrader.worker.database_clock import DatabaseClock

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class _Database:
    """Answers with a time."""

    now: datetime = START

    def execute(self, _: str) -> Any:
        return self

    def fetchone(self) -> tuple[datetime]:
        return (self.now.astimezone(timezone(timedelta(hours=5))),)


@dataclass
class _Machine:
    """A machine whose clock may be set, and one that nobody sets."""

    wall: datetime = START
    ticking: float = 1_000.0
    clock: DatabaseClock = field(init=False)

    def __post_init__(self) -> None:
        self.clock = DatabaseClock(local=lambda: self.wall, monotonic=lambda: self.ticking)

    def wait(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.ticking += seconds


def test_the_machines_time_until_there_was_a_look() -> None:
    """There is no other."""
    assert _Machine().clock() == START


def test_the_databases_time_afterwards(caplog: pytest.LogCaptureFixture) -> None:
    """Counted on, in UTC, and told once where the machine's is another."""
    machine = _Machine(wall=START + timedelta(hours=1))
    database: Any = _Database()
    with caplog.at_level(logging.INFO):
        machine.clock.look(database)
        machine.wait(10)
        assert machine.clock() == START + timedelta(seconds=10)
        assert machine.clock().tzinfo is UTC
        database.now += timedelta(seconds=10.5)
        machine.clock.look(database)
        assert machine.clock() == START + timedelta(seconds=10.5)
    assert [record.message for record in caplog.records] == [
        "this machine's clock is 3600 s ahead of the database's; schedules follow the database's"
    ]


def test_a_machines_clock_that_is_set(caplog: pytest.LogCaptureFixture) -> None:
    """The time goes on as before; that it should be looked at is known."""
    machine = _Machine()
    database: Any = _Database()
    machine.clock.look(database)
    assert not machine.clock.is_in_doubt
    machine.wall -= timedelta(minutes=1)
    assert machine.clock.is_in_doubt
    assert machine.clock() == START
    with caplog.at_level(logging.INFO):
        machine.clock.look(database)
        assert not machine.clock.is_in_doubt
        machine.wall += timedelta(minutes=1)
        machine.clock.look(database)
    assert [record.message for record in caplog.records] == [
        "this machine's clock is 60 s behind the database's; schedules follow the database's",
        "this machine's clock is that of the database again",
    ]
