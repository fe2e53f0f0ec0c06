"""Waiting until the database is good; nothing sleeps here."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from upgrader.errors import (
    ConnectionLostError,
    DatabaseUnavailableError,
    RunError,
    UnknownWorkspaceError,
)
from upgrader.status.health import Health
from upgrader.status.report import ScopeStatus, StatusReport
from upgrader.status.waiting import StatusPoll, StatusWait

LONG = 3600.0


def report(health: Health) -> StatusReport:
    return StatusReport(
        database="db",
        app_version="1.0.0",
        target=None,
        is_first=False,
        instance=ScopeStatus(health, None, None, 0, "start"),
        summary={},
        judged={},
        out_of_scope=0,
        rows=(),
    )


class Database:
    """Shows one thing after the other, to whoever looks; an error ends the connection."""

    def __init__(self, *shown: Health | Exception, stops_after: int = 100) -> None:
        self.shown = list(shown)
        self.connections = 0
        self.polls: list[StatusPoll] = []
        self.stops_after = stops_after

    @contextmanager
    def reading(self) -> Iterator[Callable[[], StatusReport]]:
        self.connections += 1
        yield self.look

    def look(self) -> StatusReport:
        one = self.shown.pop(0)
        if isinstance(one, Exception):
            raise one
        return report(one)

    def pause(self, seconds: float) -> bool:
        assert 0 < seconds <= 1
        return len(self.polls) >= self.stops_after

    def wait(self, seconds: float = LONG, *, include_slow: bool = False) -> Health | None:
        found = StatusWait(self.reading, self.polls.append, self.pause).until_good(
            seconds, include_slow=include_slow
        )
        return found.instance.health if found else None


def test_it_waits_until_the_report_is_good_on_one_connection() -> None:
    database = Database(Health.BEHIND, Health.FAILED, Health.UP_TO_DATE)
    assert database.wait() is Health.UP_TO_DATE
    assert database.connections == 1
    assert [poll.is_good for poll in database.polls] == [False, False, True]


def test_slow_steps_are_waited_for_only_where_asked() -> None:
    assert Database(Health.SLOW_PENDING).wait() is Health.SLOW_PENDING
    assert Database(Health.SLOW_PENDING, Health.UP_TO_DATE).wait(include_slow=True) is Health.UP_TO_DATE


def test_no_time_looks_once() -> None:
    database = Database(Health.BEHIND)
    assert database.wait(0) is Health.BEHIND
    assert [poll.seconds_left for poll in database.polls] == [0.0]


def test_a_database_that_is_not_up_yet_is_waited_for() -> None:
    """Neither at first, nor when it goes away in between, whoever notices it."""
    lost = psycopg.OperationalError("server closed the connection unexpectedly")
    database = Database(
        DatabaseUnavailableError("refused"),
        Health.BEHIND,
        lost,
        psycopg.InterfaceError("the connection is closed"),
        OperationalError("select", None, lost),
        Health.AHEAD,
    )
    assert database.wait() is Health.AHEAD
    assert database.connections == 5
    errors = [type(poll.error) for poll in database.polls if poll.error]
    assert errors == [DatabaseUnavailableError, *[ConnectionLostError] * 3]


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        (DatabaseUnavailableError("refused"), DatabaseUnavailableError),
        (psycopg.OperationalError("gone"), RunError),
    ],
)
def test_no_connection_when_the_time_is_over_is_an_error(trouble: Exception, told: type[Exception]) -> None:
    with pytest.raises(told):
        Database(trouble).wait(0)


@pytest.mark.parametrize("trouble", [UnknownWorkspaceError("x"), psycopg.errors.InsufficientPrivilege("no")])
def test_what_waiting_does_not_mend_is_told_at_once(trouble: Exception) -> None:
    with pytest.raises(type(trouble)):
        Database(trouble).wait()


def test_a_stop_ends_it_with_what_was_seen_last() -> None:
    gone = DatabaseUnavailableError("refused")
    assert Database(Health.BEHIND, stops_after=1).wait() is Health.BEHIND
    assert Database(Health.BEHIND, gone, stops_after=2).wait() is Health.BEHIND
    assert Database(gone, stops_after=1).wait() is None
