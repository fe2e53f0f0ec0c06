"""A backfill on a server with a real standby, and with an archiver that fails: it waits, says so, and goes on."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.cluster import Cluster, running_cluster, running_standby
from tests.support.project import Project
from tests.support.results import document
from tests.support.server import PostgresServer, wait_until

ROWS = 20_000


@pytest.fixture(scope="module")
def primary(server: PostgresServer) -> Iterator[Cluster]:
    """A server with an archive command that fails where the file `broken` is."""
    settings = {"archive_mode": "on", "archive_command": "'test ! -f ../broken'"}
    with running_cluster(server.version, settings) as cluster:
        cluster.execute("create schema core")
        yield cluster


@pytest.fixture
def filling(primary: Cluster, tmp_path: Path) -> Iterator[Project]:
    """A project with a backfill of 20,000 rows that writes some 500 bytes of log for each."""
    project = Project.create(tmp_path, primary.url)
    project.configure(app_version="1.0.0")
    project.slow("1.0.0", 1, "FillThing", migrate="ctx.backfill('core.thing', set_={'n': 'n + 1'})")
    primary.execute("create table core.thing (id int primary key, n int default 0, filler text)")
    primary.execute(f"insert into core.thing select n, 0, repeat('x', 400) from generate_series(1, {ROWS}) n")
    yield project
    primary.execute("drop schema if exists upgrader cascade")
    primary.execute("drop table core.thing")


@contextmanager
def upgrading(project: Project) -> Iterator[subprocess.Popen[str]]:
    """Run an upgrade in the block."""
    process = project.start_cli("upgrade", "--include-slow", "--batch-size", "200", "--pause-ms", "20")
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def waiting_for(project: Project) -> str:
    """Give what the backfill waits for; nothing where it does not."""
    found = document(project.run_cli("backfill", "list", "--json")).get("backfills") or [{}]
    return found[0].get("waiting_for") or ""


def waiting_seconds(project: Project) -> float:
    """Give for how long it has waited."""
    (found,) = document(project.run_cli("backfill", "list", "--json"))["backfills"]
    return (datetime.now(UTC) - datetime.fromisoformat(found["waiting_since"])).total_seconds()


def test_standby_that_lags(filling: Project, primary: Cluster):
    """Its replay is paused: the backfill waits past the limit, and goes on when the standby has caught up."""
    limit = 2_000_000
    filling.configure(backfill={"replication_lag_bytes": limit, "replication_lag_seconds": 0})
    with running_standby(primary, name="reports") as standby:
        standby.execute("select pg_wal_replay_pause()")
        with upgrading(filling) as process:
            wait_until(lambda: waiting_for(filling).startswith("replication lag of reports: "))
            done = filling.query("select count(*) from core.thing where n = 1")
            wait_until(lambda: waiting_seconds(filling) > 2)  # it has looked again
            assert filling.query("select count(*) from core.thing where n = 1") == done
            assert 0 < done[0][0] < ROWS
            standby.execute("select pg_wal_replay_resume()")
            _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    assert "; waiting for replication lag of reports: " in err
    assert filling.query("select n, count(*) from core.thing group by n") == [(1, ROWS)]


def test_archiver_that_fails(filling: Project, primary: Cluster):
    """The files pile up to the limit, and no further; once they are archived it goes on."""
    filling.configure(backfill={"archive_files": 2})
    (primary.folder / "broken").touch()
    for _ in range(3):
        primary.execute("select pg_logical_emit_message(false, 'test', 'x'), pg_switch_wal()")
    with upgrading(filling) as process:
        wait_until(lambda: "which fails on 0000" in waiting_for(filling))
        (primary.folder / "broken").unlink()
        _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "files behind (limit 2)" in err
    assert filling.query("select n, count(*) from core.thing group by n") == [(1, ROWS)]
