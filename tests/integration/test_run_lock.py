"""One upgrade at a time, and none before the last one has really ended."""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import psycopg
import pytest

from tests.integration.history import backend_pid, make_history, make_lock
from tests.support.server import PostgresServer, Role, wait_until
from upgrader.database.connect import Connector
from upgrader.errors import LockHeldError, RunSupersededError
from upgrader.events import Notice, Waiting
from upgrader.history import run_lock
from upgrader.history.keys import LockKeys
from upgrader.history.run_lock import RunLock
from upgrader.testing import RecordingSink

LONG_SECONDS = 60.0


def never() -> bool:
    return False


def acquire(lock: RunLock, *, wait_seconds: float = 0.0) -> None:
    lock.acquire(wait_seconds=wait_seconds, is_stopping=never)


@pytest.fixture
def locks(database_url: str) -> Iterator[Callable[..., RunLock]]:
    """Makes run locks that are closed at the end."""
    with ExitStack() as stack:

        def make(**options: object) -> RunLock:
            lock = make_lock(options.pop("url", database_url), **options)
            stack.callback(lock.close)
            return lock

        yield make


class _Acquiring(threading.Thread):
    """Acquires a lock beside the test."""

    def __init__(self, lock: RunLock, *, wait_seconds: float = LONG_SECONDS) -> None:
        super().__init__(daemon=True)
        self.stopping = threading.Event()
        self.error: Exception | None = None
        self._lock, self._wait_seconds = lock, wait_seconds
        self.start()

    def run(self) -> None:
        try:
            self._lock.acquire(wait_seconds=self._wait_seconds, is_stopping=self.stopping.is_set)
        except Exception as error:
            self.error = error

    def end(self) -> None:
        self.join(LONG_SECONDS)
        assert not self.is_alive()
        if self.error is not None:
            raise self.error


class TestRunLock:
    def test_second_run_is_told_who_holds_it(self, locks: Callable[..., RunLock], database_url: str):
        """The error names the session, the process and its machine, and how to end it."""
        make_history(database_url)
        first, second = locks(run_id="first"), locks(run_id="second")
        acquire(first)
        first.announce("1.22.0")

        with pytest.raises(LockHeldError) as told:
            acquire(second)

        pid = backend_pid(first.driver)
        message = str(told.value)
        assert message.startswith(f"another upgrade is running: database session pid {pid}, on ")
        assert f"on {socket.gethostname()}, pid {os.getpid()}, upgrader/first, since " in message
        assert re.search(r"since \d+ s, silent for \d+ s$", message)
        assert f"SELECT pg_terminate_backend({pid});" in str(told.value.hint)
        assert "--wait-lock SECONDS" in str(told.value.hint)

    def test_holder_without_a_history(self, locks: Callable[..., RunLock]):
        """Before there is a history, the session alone is named."""
        first, second = locks(run_id="first"), locks(run_id="second")
        acquire(first)

        with pytest.raises(LockHeldError, match=rf"pid {backend_pid(first.driver)}.* upgrader/first"):
            acquire(second)

    def test_announcement_of_an_earlier_run_is_not_believed(
        self, locks: Callable[..., RunLock], database_url: str
    ):
        """Who announced itself last is not named for a session that is another one."""
        make_history(database_url)
        earlier = locks(run_id="earlier")
        acquire(earlier)
        earlier.announce("1.0.0")
        earlier.close()
        first, second = locks(run_id="first"), locks(run_id="second")
        acquire(first, wait_seconds=LONG_SECONDS)

        with pytest.raises(LockHeldError) as told:
            acquire(second)

        assert f"on {socket.gethostname()}" not in str(told.value)

    def test_free_again_when_its_holder_ends(self, locks: Callable[..., RunLock]):
        """The lock lives as long as its session."""
        first, second = locks(), locks()
        acquire(first)
        first.close()

        acquire(second, wait_seconds=LONG_SECONDS)

    def test_waits(self, locks: Callable[..., RunLock]):
        """A run that waits says for whom, and begins when the other has ended."""
        sink = RecordingSink()
        first, second = locks(run_id="first"), locks(run_id="second", emit=sink)
        acquire(first)
        waiting = _Acquiring(second)
        wait_until(lambda: bool(sink.events))
        assert waiting.is_alive()
        first.close()
        waiting.end()

        told = sink.of(Waiting)[0]
        assert told.reason == "run-lock"
        assert told.message.startswith("waiting for another upgrade to end: database session pid ")
        third = locks()
        with pytest.raises(LockHeldError):
            acquire(third)

    def test_waits_no_longer_than_asked(self, locks: Callable[..., RunLock]):
        """After its time a run gives up."""
        sink = RecordingSink()
        first, second = locks(), locks(emit=sink)
        acquire(first)

        with pytest.raises(LockHeldError):
            acquire(second, wait_seconds=0.3)

        assert sink.of(Waiting)

    def test_waiting_ends_when_asked_to_stop(self, locks: Callable[..., RunLock]):
        """A signal ends the wait."""
        sink = RecordingSink()
        first, second = locks(), locks(emit=sink)
        acquire(first)
        waiting = _Acquiring(second)
        wait_until(lambda: bool(sink.events))
        waiting.stopping.set()

        with pytest.raises(LockHeldError):
            waiting.end()

    def test_another_schema_is_another_lock(self, locks: Callable[..., RunLock]):
        """Two products in one database do not get in each other's way."""
        acquire(locks(schema="one"))
        acquire(locks(schema="two"))

    def test_another_database_is_another_lock(self, locks: Callable[..., RunLock], server: PostgresServer):
        """Two databases of one server neither."""
        acquire(locks())
        with server.database() as other, make_lock(other).driver as driver:
            assert driver.execute(
                "select pg_try_advisory_lock(%s)", [LockKeys.of("upgrader").run]
            ).fetchone() == (True,)

    def test_role_that_may_not_see_the_holder(
        self, locks: Callable[..., RunLock], make_role: Callable[..., Role], database_url: str
    ):
        """A role that may not look into the holder's session learns its number at least."""
        make_history(database_url)
        first, second = locks(), locks(url=make_role().url(database_url))
        acquire(first)
        first.announce("1.0.0")

        with pytest.raises(LockHeldError, match=rf"database session pid {backend_pid(first.driver)}") as told:
            acquire(second)
        assert f"pg_terminate_backend({backend_pid(first.driver)})" in str(told.value.hint)

    def test_keys_differ(self):
        """Every purpose and every schema has a key of its own, which fits into 64 bits."""
        keys = [
            key
            for schema in ("upgrader", "other", "")
            for key in (LockKeys.of(schema).run, LockKeys.of(schema).fence, LockKeys.of(schema).barrier)
        ]
        assert len(set(keys)) == 9
        assert all(-(2**63) <= key < 2**63 for key in keys)
        assert LockKeys.of("upgrader") == LockKeys.of("upgrader")


class TestFence:
    def test_waits_for_what_a_killed_run_left(self, locks: Callable[..., RunLock], database_url: str):
        """A new run waits for the connection of the last one, whatever wait was asked for, and names it."""
        sink = RecordingSink()
        first, second = locks(run_id="first"), locks(run_id="second", emit=sink)
        acquire(first)
        orphan = Connector(database_url, "upgrader/first").connect()
        orphan.execute(first.on_connect.encode())
        orphan.execute("select 'the last statement'")
        first.close()

        waiting = _Acquiring(second, wait_seconds=LONG_SECONDS)
        wait_until(lambda: any(event.reason == "fence" for event in sink.of(Waiting)))
        assert waiting.is_alive()
        # One whose process is stopped is never noticed by the server: who waits is told what ends it.
        ends = f"it is ended after 1 min 0 s, or by SELECT pg_terminate_backend({orphan.info.backend_pid});"
        wait_until(lambda: any(event.message.endswith(ends) for event in sink.of(Waiting)))
        orphan.close()
        waiting.end()

        told = next(event for event in sink.of(Waiting) if event.reason == "fence")
        assert told.message.startswith(
            f"waiting for pid {backend_pid_of(told.message)}, left by a killed run"
        )
        assert "select 'the last statement'" in told.message

    @pytest.mark.parametrize("last", ["select 1", "begin"], ids=["idle", "in-a-transaction"])
    def test_ends_a_session_whose_process_stands_still(
        self,
        locks: Callable[..., RunLock],
        database_url: str,
        connection: psycopg.Connection,
        monkeypatch: pytest.MonkeyPatch,
        last: str,
    ):
        """A frozen process's session would stay for ever: it is ended after a while, and what it had is undone."""
        monkeypatch.setattr(run_lock, "_ABANDONED_SECONDS", 2.0)
        connection.execute("create table thing (id int)")
        sink = RecordingSink()
        first, second = locks(run_id="first"), locks(run_id="second", emit=sink)
        acquire(first)
        with closing(Connector(database_url, "upgrader/first").connect()) as orphan:
            orphan.execute(first.on_connect.encode())
            orphan.execute(last.encode())
            orphan.execute("insert into thing values (1)")
            first.close()
            began = time.monotonic()
            acquire(second, wait_seconds=LONG_SECONDS)

            assert time.monotonic() - began >= 1.5
            (told,) = sink.of(Notice)
            assert told.message.startswith(f"ended pid {orphan.info.backend_pid}, left by a killed run")
            assert told.level == "warning"
            with pytest.raises(psycopg.OperationalError):
                orphan.execute("select 1")
        assert connection.execute("select count(*) from thing").fetchone() == (int(last != "begin"),)

    def test_never_ends_a_session_that_works(
        self, locks: Callable[..., RunLock], database_url: str, monkeypatch: pytest.MonkeyPatch
    ):
        """A long statement of a killed run is waited for, however long it takes."""
        monkeypatch.setattr(run_lock, "_ABANDONED_SECONDS", 0.5)
        sink = RecordingSink()
        first, second = locks(run_id="first"), locks(run_id="second", emit=sink)
        acquire(first)
        with closing(Connector(database_url, "upgrader/first").connect()) as orphan:
            orphan.execute(first.on_connect.encode())
            working = threading.Thread(target=lambda: orphan.execute("select pg_sleep(3)"))
            working.start()
            first.close()
            waiting = _Acquiring(second)
            working.join()
            orphan.close()
            waiting.end()
        assert not sink.of(Notice)

    def test_without_the_right_to_end_it(
        self,
        locks: Callable[..., RunLock],
        make_role: Callable[..., Role],
        database_url: str,
        monkeypatch: pytest.MonkeyPatch,
    ):
        """A role that may see the other's session and not end it goes on waiting, and says what ends it."""
        monkeypatch.setattr(run_lock, "_ABANDONED_SECONDS", 0.5)
        sink = RecordingSink()
        role = make_role("in role pg_monitor")
        first, second = locks(run_id="first"), locks(run_id="second", url=role.url(database_url), emit=sink)
        acquire(first)
        with closing(Connector(database_url, "upgrader/first").connect()) as orphan:
            orphan.execute(first.on_connect.encode())
            first.close()
            waiting = _Acquiring(second)
            wait_until(lambda: sum("or by SELECT" in event.message for event in sink.of(Waiting)) >= 2)
            assert waiting.is_alive()
            assert not sink.of(Notice)
        waiting.end()

    def test_is_free_for_the_new_runs_connections(self, locks: Callable[..., RunLock], database_url: str):
        """Once it was free it is given back: the new run's own connections hold it then."""
        lock = locks()
        acquire(lock)

        with Connector(database_url).connect() as one, Connector(database_url).connect() as two:
            for driver in (one, two):
                driver.execute("set lock_timeout = '5s'")
                driver.execute(lock.on_connect.encode())

    def test_waiting_ends_when_asked_to_stop(self, locks: Callable[..., RunLock], database_url: str):
        """A signal ends the wait; the error says what was waited for."""
        sink = RecordingSink()
        first, second = locks(), locks(emit=sink)
        with Connector(database_url).connect() as orphan:
            orphan.execute(first.on_connect.encode())
            waiting = _Acquiring(second)
            wait_until(lambda: bool(sink.events))
            waiting.stopping.set()

            with pytest.raises(
                LockHeldError, match=rf"a killed upgrade has not ended yet.*pid {backend_pid(orphan)}"
            ):
                waiting.end()


class TestLostLock:
    def test_living_session_is_fine(self, locks: Callable[..., RunLock]):
        """While the lock's session lives, looking after it changes nothing."""
        lock = locks()
        acquire(lock)
        for _ in range(3):
            lock.check()

    def test_notice_is_no_loss(self, locks: Callable[..., RunLock], connection: psycopg.Connection):
        """Something that the server has to say is not the end of the session."""
        lock = locks()
        acquire(lock)
        lock.driver.execute("listen news")
        connection.execute("notify news")
        lock.check()
        lock.check()

    def test_terminated_session(self, locks: Callable[..., RunLock], connection: psycopg.Connection):
        """A session that was ended from outside is noticed before the next step, and stays noticed."""
        lock = locks()
        acquire(lock)
        connection.execute("select pg_terminate_backend(%s)", [backend_pid(lock.driver)])

        def is_lost() -> bool:
            try:
                lock.check()
            except RunSupersededError:
                return True
            return False

        wait_until(is_lost)
        with pytest.raises(RunSupersededError, match="another upgrade may begin"):
            lock.check()


class TestConcurrentIndexes:
    def test_are_not_held_up(
        self, locks: Callable[..., RunLock], database_url: str, connection: psycopg.Connection
    ):
        """CREATE INDEX CONCURRENTLY ends while one run holds the lock, another waits, and the fence is held."""
        connection.execute("create table thing (id int)")
        sink = RecordingSink()
        first, second = locks(), locks(emit=sink)
        acquire(first)
        waiting = _Acquiring(second)
        wait_until(lambda: bool(sink.events))

        with Connector(database_url).connect() as builder:
            builder.execute(first.on_connect.encode())
            builder.execute("set statement_timeout = '30s'")
            builder.execute("create index concurrently thing_id on thing (id)")

        assert waiting.is_alive()
        waiting.stopping.set()
        with pytest.raises(LockHeldError):
            waiting.end()


def backend_pid_of(message: str) -> str:
    found = re.search(r"pid (\d+)", message)
    assert found is not None
    return found.group(1)
