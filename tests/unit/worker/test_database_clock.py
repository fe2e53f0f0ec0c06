"""The database's time, with a database whose clock the test sets."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from upgrader.worker.database_clock import DatabaseClock

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATE = timedelta(seconds=0.02)
"""By so much the time is late on purpose."""


@dataclass
class _Database:
    """Answers with a time."""

    now: datetime = START
    machine: _Machine | None = None
    ways: list[tuple[float, float]] = field(default_factory=list)
    """Seconds that a question is on its way, and its answer, as long as there are any."""

    def execute(self, _: str) -> Any:
        there, back = self.ways.pop(0) if self.ways else (0.0, 0.0)
        self._wait(there)
        self._answer = self.now
        self._wait(back)
        return self

    def _wait(self, seconds: float) -> None:
        if self.machine is not None:
            self.machine.wait(seconds)
            self.now += timedelta(seconds=seconds)

    def fetchone(self) -> tuple[datetime]:
        return (self._answer.astimezone(timezone(timedelta(hours=5))),)


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
        assert machine.clock() == START + timedelta(seconds=10) - LATE
        assert machine.clock().tzinfo is UTC
        database.now += timedelta(seconds=10.5)
        machine.clock.look(database)
        assert machine.clock() == START + timedelta(seconds=10.5) - LATE
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
    assert machine.clock() == START - LATE
    with caplog.at_level(logging.INFO):
        machine.clock.look(database)
        assert not machine.clock.is_in_doubt
        machine.wall += timedelta(minutes=1)
        machine.clock.look(database)
    assert [record.message for record in caplog.records] == [
        "this machine's clock is 60 s behind the database's; schedules follow the database's",
        "this machine's clock is that of the database again",
    ]


@pytest.mark.parametrize("way", [(0.01, 0.0), (0.0, 0.01), (0.005, 0.005)])
def test_never_ahead_of_the_database(way: tuple[float, float]) -> None:
    """Whether the question was long on its way or the answer: at most as late as both took."""
    machine = _Machine()
    database = _Database(machine=machine, ways=[way])
    machine.clock.look(database)  # type: ignore[arg-type]  # answers like a connection
    assert -timedelta(seconds=0.01) - LATE <= machine.clock() - database.now <= -LATE


def test_the_quickest_answer_of_some() -> None:
    """A moment in which nothing went on does not leave the time late until the next look."""
    machine = _Machine()
    database = _Database(machine=machine, ways=[(0.0, 3.0), (0.0, 1.0), (0.0, 2.0), (0.0, 0.01)])
    machine.clock.look(database)  # type: ignore[arg-type]  # answers like a connection
    assert machine.clock() == database.now - timedelta(seconds=0.01) - LATE
    database.ways = [(0.0, 3.0)] * 20
    machine.clock.look(database)  # type: ignore[arg-type]  # answers like a connection
    assert len(database.ways) == 15
    assert machine.clock() == database.now - timedelta(seconds=3.0) - LATE
