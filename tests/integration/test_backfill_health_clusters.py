"""What is read of an archiver that fails and of a standby that lags: real ones, on servers of the test's own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import psycopg
import pytest

from tests.support.cluster import Cluster, running_cluster, running_standby
from tests.support.server import PostgresServer, wait_until
from upgrader.backfill.brake import Brake, BrakeLimits
from upgrader.database.health import Health, HealthReader, Reading

_WRITE = "insert into thing select n, repeat('x', 1000) from generate_series(1, 5000) n"


@pytest.fixture(scope="module")
def archiving(server: PostgresServer) -> Iterator[Cluster]:
    """A server whose archive command fails until the file `works` is there."""
    command = "'test -f ../works'"
    with running_cluster(server.version, {"archive_mode": "on", "archive_command": command}) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def primary(server: PostgresServer) -> Iterator[Cluster]:
    """A server with a table."""
    with running_cluster(server.version) as cluster:
        cluster.execute("create table thing (id int, text text)")
        yield cluster


@pytest.fixture(scope="module")
def standby(primary: Cluster) -> Iterator[Cluster]:
    """A standby of it that streams."""
    with running_standby(primary, name="reports") as cluster:
        yield cluster


def read(cluster: Cluster) -> Health:
    """Take all readings of a server once."""
    with psycopg.connect(cluster.url, autocommit=True) as driver:
        return HealthReader(lambda: driver).read(0)


def test_archiver_that_fails(archiving: Cluster):
    """The files that wait are counted from the one that it fails on; once it works, there are none."""
    for _ in range(5):
        archiving.execute("select pg_logical_emit_message(false, 'test', 'x'), pg_switch_wal()")
    wait_until(lambda: is_failing(archiving))
    found = read(archiving)
    assert found.archiving is not None
    assert found.archiving.files_behind in (4, 5)  # a position right after a switch counts to the file before
    (one,) = Brake(BrakeLimits(archive_files=4)).hindrances(found, now=0.0)
    assert one.reading is Reading.ARCHIVING
    assert "fails on 00000001" in one.text
    (archiving.folder / "works").touch()
    archiving.execute("select pg_logical_emit_message(false, 'test', 'x'), pg_switch_wal()")
    wait_until(lambda: files_behind(archiving) == 0)
    assert not is_failing(archiving)


def test_archiver_that_archived_nothing_yet(archiving: Cluster):
    """Without statistics the files in the folder are counted, by a role that may list them; else it is unknown."""
    (archiving.folder / "works").touch()
    archiving.execute("select pg_logical_emit_message(false, 'test', 'x'), pg_switch_wal()")
    wait_until(lambda: files_behind(archiving) == 0)
    archiving.execute("select pg_stat_reset_shared('archiver')")
    archiving.execute("create role plain login")
    assert files_behind(archiving) == 0
    plain = archiving.url.replace("postgresql://postgres", "postgresql://plain")
    with psycopg.connect(plain, autocommit=True) as driver:
        found = HealthReader(lambda: driver).read(0)
    assert found.archiving is not None
    assert found.archiving.files_behind is None
    assert Reading.ARCHIVING in found.unknown


def test_standby_that_replays_nothing(primary: Cluster, standby: Cluster):
    """Its lag grows in bytes and in seconds, and is gone when it goes on."""
    standby.execute("select pg_wal_replay_pause()")
    primary.execute(_WRITE)
    wait_until(lambda: lag_bytes(primary) > 4_000_000)
    wait_until(lambda: lag_seconds(primary) > 1.5)
    (one,) = Brake(BrakeLimits()).hindrances(read(primary), now=0.0)
    assert one.text.startswith("replication lag of reports: ")
    assert one.text.endswith(" s (limit 1.5 s)")
    standby.execute("select pg_wal_replay_resume()")
    wait_until(lambda: lag_bytes(primary) == 0)
    assert Brake(BrakeLimits()).hindrances(read(primary), now=0.0) == ()


def test_standby_that_stands_still(primary: Cluster, standby: Cluster):
    """A receiver that hangs tells no seconds; the bytes grow all the same."""
    ((pid,),) = standby.execute("select pid from pg_stat_wal_receiver")
    assert isinstance(pid, int)
    os.kill(pid, signal.SIGSTOP)
    try:
        primary.execute(_WRITE)
        wait_until(lambda: lag_bytes(primary) > 4_000_000)
        (one,) = Brake(BrakeLimits(4_000_000, 0)).hindrances(read(primary), now=0.0)
        assert one.text.startswith("replication lag of reports: ")
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: lag_bytes(primary) == 0)


def test_role_that_does_not_see_how_far_a_standby_is(primary: Cluster, standby: Cluster):
    """There is one, and no more is known."""
    del standby
    primary.execute("create role plain login")
    plain = primary.url.replace("postgresql://postgres", "postgresql://plain")
    with psycopg.connect(plain, autocommit=True) as driver:
        found = HealthReader(lambda: driver).read(0)
    assert [one.lag_bytes for one in found.standbys] == [None]
    assert Reading.REPLICATION in found.unknown


def test_query_on_a_standby_keeps_dead_rows(primary: Cluster, standby: Cluster):
    """With feedback from the standby: the horizon stands still, and is told as a transaction of its queries."""
    standby.configure(hot_standby_feedback="on")
    standby.execute("select pg_reload_conf()")
    brake = Brake(BrakeLimits(transaction_seconds=60))
    with psycopg.connect(standby.url) as query:
        query.execute("set transaction isolation level repeatable read")
        query.execute("select count(*) from thing")
        wait_until(lambda: any(one.held_xmin is not None for one in read(primary).standbys))
        assert brake.hindrances(read(primary), now=0.0) == ()
        primary.execute("insert into thing values (0, '')")
        (one,) = brake.hindrances(read(primary), now=60.0)
        assert "the queries of the standby reports" in one.text


def test_prepared_transaction(primary: Cluster):
    """It has no session; it keeps dead rows like any other one."""
    with psycopg.connect(primary.url) as session:
        session.execute("insert into thing values (0, '')")
        session.execute("prepare transaction 'left over'")
    try:
        oldest = read(primary).oldest_transaction
        assert oldest is not None
        assert (oldest.name, oldest.state) == ("the prepared transaction left over", "prepared")
    finally:
        primary.execute("rollback prepared 'left over'")


def is_failing(cluster: Cluster) -> bool:
    """Tell whether the archiver's last try failed."""
    found = read(cluster).archiving
    return found is not None and found.is_failing


def files_behind(cluster: Cluster) -> int | None:
    """Give how far the archiver is behind."""
    found = read(cluster).archiving
    return found.files_behind if found is not None else None


def lag_bytes(primary: Cluster) -> int:
    """Give how far the standby is behind."""
    return sum(one.lag_bytes or 0 for one in read(primary).standbys)


def lag_seconds(primary: Cluster) -> float:
    """Give for how long it is behind, as it tells itself."""
    return sum(one.lag_seconds or 0.0 for one in read(primary).standbys)
