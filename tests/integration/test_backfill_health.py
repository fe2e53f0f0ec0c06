"""What is read of a database's health: each situation is a real one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg
import pytest

from tests.support.server import Role, wait_until
from upgrader.database.health import OF_TABLE, HealthReader, Reading

OWN = "upgrader/4711"


@pytest.fixture
def table(connection: psycopg.Connection) -> int:
    """The oid of a table of 5,000 rows."""
    connection.execute("create table thing (id int primary key, text text) with (autovacuum_enabled = off)")
    connection.execute("insert into thing select n, repeat('x', 500) from generate_series(1, 5000) n")
    return oid(connection, "thing")


@pytest.fixture
def reader(connection: psycopg.Connection) -> HealthReader:
    """Takes readings on the superuser's connection."""
    return HealthReader(lambda: connection, own=(OWN,))


def oid(connection: psycopg.Connection, name: str) -> int:
    """Give the oid of a table."""
    row = connection.execute("select %s::regclass::oid::bigint", [name]).fetchone()
    assert row is not None
    return int(row[0])


@contextmanager
def executing(url: str, *statements: str, application_name: str = "app") -> Iterator[psycopg.Connection]:
    """Let another session execute these in one transaction, the last one in the background; it is cancelled then."""
    with psycopg.connect(url, application_name=application_name) as other:
        *first, last = statements
        for statement in first:
            other.execute(statement.encode())

        def run() -> None:
            with suppress(psycopg.Error):
                other.execute(last.encode())

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield other
        finally:
            other.cancel()
            thread.join(60)
            other.rollback()


def test_quiet_database(reader: HealthReader, table: int):
    """No standby, no archive, no vacuum of this table: nothing is unknown to a superuser."""
    health = reader.read(table)
    assert health.vacuums == ()
    assert health.lock_waits.pids == ()
    assert health.unknown == frozenset()


def test_open_transaction(reader: HealthReader, table: int, database_url: str):
    """One that wrote, or looks at an old state, keeps dead rows; one that stands between two statements does not."""
    with psycopg.connect(database_url, application_name="report") as other:
        other.execute("select count(*) from thing")
        assert reader.read(table).oldest_transaction is None
        other.execute("update thing set text = 'y' where id = 1")
        oldest = reader.read(table).oldest_transaction
        assert oldest is not None
        assert oldest.name == f"pid {other.info.backend_pid} (report)"
        assert oldest.state == "idle in transaction"
        before = oldest.seconds
        wait_until(lambda: (reader.read(table).oldest_transaction or oldest).seconds > before + 0.2)
        other.rollback()
        assert reader.read(table).oldest_transaction is None
        other.execute("set transaction isolation level repeatable read")
        other.execute("select count(*) from thing")
        assert reader.read(table).oldest_transaction is not None


def test_own_transaction_does_not_count(reader: HealthReader, table: int, database_url: str):
    """Neither the run's own sessions nor those in another database."""
    with psycopg.connect(database_url, application_name=OWN) as own:
        own.execute("update thing set text = 'y' where id = 1")
        assert reader.read(table).oldest_transaction is None


def test_session_that_waits_for_the_table(reader: HealthReader, table: int, database_url: str):
    """ALTER TABLE behind a reader; one that waits for another table, or is the run's own, does not count."""
    alter = "alter table thing add column more int"
    with psycopg.connect(database_url) as holder:
        holder.execute("select from thing limit 1")
        with executing(database_url, alter) as waiting:
            wait_until(lambda: reader.read(table).lock_waits.longest_seconds > 0.2)
            assert reader.read(table).lock_waits.pids == (waiting.info.backend_pid,)
            assert reader.read(oid(reader.driver(), "pg_class")).lock_waits.pids == ()
        with executing(database_url, alter, application_name=OWN) as own:
            wait_until(lambda: is_waiting(reader, own))
            assert reader.read(table).lock_waits.pids == ()


def test_session_that_waits_for_a_row(reader: HealthReader, table: int, database_url: str):
    """It waits for the end of a transaction; its lock on the row's place tells the table."""
    with psycopg.connect(database_url) as holder:
        holder.execute("update thing set text = 'y' where id = 1")
        with executing(database_url, "update thing set text = 'z' where id = 1") as waiting:
            wait_until(lambda: reader.read(table).lock_waits.longest_seconds > 0.2)
            assert reader.read(table).lock_waits.pids == (waiting.info.backend_pid,)


def test_partitions_belong_to_their_table(
    reader: HealthReader, connection: psycopg.Connection, database_url: str
):
    """Who waits for a partition of a partition waits for the table that is walked, and for no other one."""
    connection.execute(
        "create table event (id int) partition by range (id);"
        " create table event_1 partition of event for values from (0) to (10) partition by range (id);"
        " create table event_1_1 partition of event_1 for values from (0) to (10);"
        " create table event_2 partition of event for values from (10) to (20)"
    )
    with psycopg.connect(database_url) as holder:
        holder.execute("lock table event_1_1")
        with executing(database_url, "lock table event_1_1") as waiting:
            pids = (waiting.info.backend_pid,)
            for name in ("event", "event_1", "event_1_1"):
                wait_until(lambda name=name: reader.read(oid(connection, name)).lock_waits.pids == pids)  # type: ignore[misc]  # its default is what it is
            assert reader.read(oid(connection, "event_2")).lock_waits.pids == ()


@pytest.mark.parametrize("is_privileged", [True, False])
def test_vacuum_at_work(
    connection: psycopg.Connection,
    table: int,
    database_url: str,
    make_role: Callable[..., Role],
    is_privileged: bool,
):
    """Also for a role that may not see what others vacuum: it sees the lock that the vacuum holds."""
    url = database_url if is_privileged else make_role().url(database_url)
    connection.execute("update thing set text = 'y'")
    with psycopg.connect(url, autocommit=True) as driver, vacuuming(database_url, "thing") as pid:
        reader = HealthReader(lambda: driver)
        wait_until(lambda: reader.read(table, OF_TABLE).vacuums != ())
        (vacuum,) = reader.read(table, OF_TABLE).vacuums
        assert vacuum.pid == pid
        assert vacuum.is_automatic is (False if is_privileged else None)
        assert (vacuum.percent is not None) is is_privileged
        assert reader.read(oid(connection, "pg_class"), OF_TABLE).vacuums == ()
        assert reader.read(table).oldest_transaction is None


def test_role_that_sees_nobody_else(
    table: int, database_url: str, make_role: Callable[..., Role], connection: psycopg.Connection
):
    """Of others' transactions it knows nothing, and that is told; pg_monitor is enough to know all."""
    role = make_role()
    with (
        psycopg.connect(role.url(database_url), autocommit=True) as driver,
        psycopg.connect(database_url) as other,
    ):
        other.execute("update thing set text = 'y' where id = 1")
        reader = HealthReader(lambda: driver)
        health = reader.read(table)
        assert health.oldest_transaction is None
        assert health.unknown == {Reading.TRANSACTIONS}
        connection.execute(f"grant pg_monitor to {role.name}".encode())
        health = reader.read(table)
        assert health.oldest_transaction is not None
        assert health.unknown == frozenset()


def test_refused_reading_is_not_asked_for_again_for_a_minute(
    table: int, database_url: str, make_role: Callable[..., Role], connection: psycopg.Connection
):
    """What the server refuses stands in its log: once a minute, not once a second."""
    connection.execute("revoke execute on function pg_lock_status() from public")
    now = 100.0
    with psycopg.connect(make_role("in role pg_monitor").url(database_url), autocommit=True) as driver:
        reader = HealthReader(lambda: driver, clock=lambda: now)
        assert reader.read(table).unknown == {Reading.LOCK_WAITS}
        connection.execute("grant execute on function pg_lock_status() to public")
        now = 159.0
        assert reader.read(table).unknown == {Reading.LOCK_WAITS}
        now = 161.0
        assert reader.read(table).unknown == frozenset()


def test_connection_that_is_lost(table: int, database_url: str):
    """Everything is unknown, nothing raises: the run notices where it writes its history."""
    with psycopg.connect(database_url, autocommit=True) as driver:
        driver.close()
        assert HealthReader(lambda: driver).read(table).unknown == frozenset(Reading)


def is_waiting(reader: HealthReader, session: psycopg.Connection) -> bool:
    """Tell whether a session waits for a lock."""
    query = "select from pg_locks where not granted and pid = %s"
    return reader.driver().execute(query, [session.info.backend_pid]).fetchone() is not None


@contextmanager
def vacuuming(url: str, table: str) -> Iterator[int]:
    """Let a vacuum take its time in another session; give its pid."""
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("set vacuum_cost_delay = 100; set vacuum_cost_limit = 1")
        thread = threading.Thread(target=_vacuum, args=(other, table))
        thread.start()
        try:
            yield other.info.backend_pid
        finally:
            other.cancel()
            thread.join(60)


def _vacuum(session: psycopg.Connection, table: str) -> None:
    with suppress(psycopg.errors.QueryCanceled):
        session.execute(f"vacuum {table}".encode())
