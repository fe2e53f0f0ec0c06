"""Backfills at work, looked at and told what to do from another terminal."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from tests.support.project import Project
from tests.support.results import assert_code, assert_error, document
from tests.support.server import Role, wait_until

ROWS = 3_000
STEP = "1.0.0_FillThing_1"
SLOWLY = ("--batch-size", "10", "--pause-ms", "20")


@pytest.fixture
def filling(project: Project) -> Project:
    """A project with a backfill that counts how often each row is changed."""
    project.configure(app_version="1.0.0")
    with project.connect() as connection:
        connection.execute(
            "create schema core; create table core.thing (id int primary key, n int default 0)"
        )
        connection.execute("insert into core.thing select generate_series(1, %s)", [ROWS])
        connection.execute("analyze core.thing")
    project.slow("1.0.0", 1, "FillThing", migrate="ctx.backfill('core.thing', set_={'n': 'n + 1'})")
    return project


@contextmanager
def upgrading(project: Project, *flags: str) -> Iterator[subprocess.Popen[str]]:
    """Run an upgrade in the block, from its first batch on."""
    process = project.start_cli("upgrade", "--include-slow", *flags)
    try:
        wait_until(lambda: process.poll() is not None or bool(listed(project)))
        assert process.poll() is None, process.communicate()
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def listed(project: Project) -> list[dict[str, Any]]:
    """Give what `backfill list` tells; nothing where there is no history yet."""
    found: list[dict[str, Any]] = document(project.run_cli("backfill", "list", "--json"))["backfills"]
    return found


def shown(project: Project, name: str = "FillThing") -> dict[str, Any]:
    """Give what `backfill show` tells."""
    found: dict[str, Any] = document(project.run_cli("backfill", "show", name, "--json"))["backfill"]
    return found


def rows_done(project: Project) -> int:
    """Give how many rows are changed and committed."""
    return int(project.query("select count(*) from core.thing where n > 0")[0][0])


def each_row_once(project: Project) -> bool:
    """Tell whether the backfill has been at every row, and at none twice."""
    return project.query("select n, count(*) from core.thing group by n") == [(1, ROWS)]


def rests(project: Project) -> bool:
    """Tell whether nothing has moved while the state was read twice."""
    before = rows_done(project)
    with project.connect() as connection:
        connection.execute("select pg_sleep(0.3)")  # more than ten batches of a backfill that goes on
    return rows_done(project) == before


def test_pause_and_resume(filling: Project):
    """It rests within a batch, tells who paused it, holds no transaction open; it goes on and does each row once."""
    with upgrading(filling, *SLOWLY) as process:
        assert shown(filling)["state"] == "running"
        done = filling.run_cli("backfill", "pause", "FillThing/core.thing")
        assert_code(done, 0)
        assert "its run rests after the batch at hand" in done.stdout
        wait_until(lambda: rests(filling))
        found = shown(filling)
        assert (found["state"], found["wanted"], found["has_run"]) == ("paused", "pause", True)
        assert found["wanted_by"].startswith("postgres on ")
        assert 0 < found["rows_done"] == rows_done(filling) < ROWS
        assert (
            filling.query(
                "select state from pg_stat_activity where application_name = %s and xact_start is not null",
                f"upgrader/{found['run_id']}",
            )
            == []
        )
        assert "already" in filling.run_cli("backfill", "pause", "FillThing").stdout
        assert "goes on" in filling.run_cli("backfill", "resume", str(found["id"])).stdout
        wait_until(lambda: shown(filling)["state"] == "running")
        assert_code(filling.run_cli("backfill", "resume", "FillThing"), 0)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "waiting for `upgrader backfill resume" in err
    assert each_row_once(filling)
    assert listed(filling) == []


def test_cancel_while_it_is_paused(filling: Project):
    """The step is interrupted and says by whom, its run ends with 1; the next run goes on where it was."""
    with upgrading(filling, *SLOWLY) as process:
        assert_code(filling.run_cli("backfill", "pause", "FillThing"), 0)
        wait_until(lambda: rests(filling))
        done = filling.run_cli("backfill", "cancel", "FillThing", "--json")
        assert document(done)["changed"] is True
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    ((status, error),) = filling.query(
        "select status, error_message from upgrader.history where not is_initial"
    )
    assert status == "interrupted"
    assert error.startswith("cancelled by postgres on ")
    found = shown(filling)
    assert (found["state"], found["wanted"]) == ("stopped", None)
    assert 0 < found["rows_done"] < ROWS
    assert_error(filling.run_cli("backfill", "cancel", "FillThing"), 2, "has no run that works on it")
    again = filling.run_cli("upgrade", "--include-slow")
    assert_code(again, 0)
    assert each_row_once(filling)


def test_cancel_while_it_works(filling: Project):
    """Within a batch, also one that rests for a minute before the next."""
    with upgrading(filling, "--batch-size", "10", "--pause-ms", "60000") as process:
        wait_until(lambda: shown(filling)["rows_done"] >= 10)
        assert_code(filling.run_cli("backfill", "cancel", "FillThing"), 0)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 1, err
    assert rows_done(filling) <= 20
    assert "cancelled by postgres on " in err


def test_pause_between_two_runs(filling: Project):
    """Of a run that is gone: the next one waits, and says so, until somebody resumes it."""
    with upgrading(filling, *SLOWLY) as process:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 143
    assert shown(filling)["state"] == "stopped"
    told = filling.run_cli("backfill", "list")
    assert "its run is gone, the next `upgrader upgrade` goes on from here" in told.stdout
    done = filling.run_cli("backfill", "pause", "FillThing")
    assert "the next run waits when it gets there" in done.stdout
    before = rows_done(filling)
    with upgrading(filling) as process:
        wait_until(lambda: shown(filling)["has_run"])
        assert shown(filling)["state"] == "paused"
        assert rests(filling)
        assert rows_done(filling) == before
        assert_code(filling.run_cli("backfill", "resume", "FillThing"), 0)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert each_row_once(filling)


def test_wait_for_an_old_transaction(filling: Project):
    """It says for what and since when, in its own display and in another terminal; then it goes on."""
    filling.configure(backfill={"transaction_seconds": 0.2})
    with psycopg.connect(filling.database_url, application_name="report") as report:
        report.execute("select pg_current_xact_id()")
        with upgrading(filling, *SLOWLY) as process:
            wait_until(lambda: shown(filling)["state"] == "waiting")
            found = shown(filling)
            told = filling.run_cli("backfill", "list").stdout
            assert f"pid {report.info.backend_pid} (report)" in found["waiting_for"]
            assert found["waiting_since"] is not None
            assert f"{found['id']}: waiting for the end of a transaction that keeps dead rows" in told
            wait_until(lambda: rests(filling))
            report.rollback()
            _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "; waiting for the end of a transaction that keeps dead rows: pid" in err
    assert each_row_once(filling)


def test_allowed_rate(filling: Project):
    """So many rows a second, rests included."""
    with upgrading(filling, "--max-rows-per-second", "1000") as process:
        _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    ((seconds,),) = filling.query(
        "select extract(epoch from finished_at - started_at)::float8 from upgrader.history where not is_initial"
    )
    assert 2.0 <= seconds <= 30.0


def test_name_that_is_none(filling: Project):
    """Exit 2 with the ones that there are, and with what there is to know where there are none."""
    for verb in ("show", "pause", "resume", "cancel"):
        assert_error(
            filling.run_cli("backfill", verb, "1"), 2, "there is no backfill at work, and none to go on"
        )
    assert filling.run_cli("backfill", "list").stdout.startswith("no backfill is at work")
    with upgrading(filling, *SLOWLY):
        number = listed(filling)[0]["id"]
        found = filling.run_cli("backfill", "show", "Nonsense")
        assert_error(found, 2, "there is no backfill Nonsense", f"there are {number} (FillThing/core.thing)")


def test_name_of_several(filling: Project):
    """Two workspaces' backfills of one step: the ids tell them apart."""
    assert_code(filling.run_cli("upgrade"), 0)
    for id_ in ("acme", "globex"):
        filling.query(
            "insert into upgrader.backfill (step, workspace_id, label, checksum, relation, relation_oid, filenode,"
            " key_columns) values ('1.0.0_Fill_2', %s, 'note', 'v1:0', 'note', 0, 0, '{id}') returning id",
            id_,
        )
    found = filling.run_cli("backfill", "pause", "Fill/note")
    assert_error(found, 2, "Fill/note is the name of several backfills", "give one of these ids")
    assert "(Fill/note in workspace globex)" in found.stderr


def test_role_without_rights(filling: Project, make_role: Callable[..., Role]):
    """What it may not read or order is said, with what to grant."""
    with upgrading(filling, *SLOWLY):
        role = make_role()
        url = role.url(filling.database_url)
        found = filling.run_cli("--database-url", url, "backfill", "list")
        assert_error(found, 2, "may not read the history", "GRANT SELECT ON ALL TABLES IN SCHEMA")
        filling.query("select 1")
        with filling.connect() as connection:
            connection.execute(f"grant usage on schema upgrader to {role.name}".encode())
            connection.execute(f"grant select on all tables in schema upgrader to {role.name}".encode())
        found = filling.run_cli("--database-url", url, "backfill", "show", "FillThing", "--json")
        assert document(found)["backfill"]["has_run"] is True
        found = filling.run_cli("--database-url", url, "backfill", "pause", "FillThing")
        assert_error(found, 2, "may not give orders to backfills", "GRANT SELECT, INSERT, UPDATE, DELETE ON")


def test_cancel_in_one_workspace(project: Project):
    """Its own steps end there; the other workspace comes through, and the run ends with 1."""
    project.configure(app_version="1.0.0")
    project.create_workspaces("acme", "globex")
    with project.connect() as connection:
        for id_ in ("acme", "globex"):
            connection.execute(f"create table ws_{id_}.note (id int primary key, n int default 0)".encode())
            connection.execute(f"insert into ws_{id_}.note select generate_series(1, 2000)".encode())
    project.workspace("1.0.0", 1, "FillNote", migrate="ctx.backfill('note', set_={'n': 'n + 1'})")
    with upgrading(project, *SLOWLY) as process:
        found = listed(project)[0]
        assert found["workspace_id"] == "acme"
        assert_code(project.run_cli("backfill", "pause", str(found["id"])), 0)
        assert_code(project.run_cli("backfill", "cancel", str(found["id"])), 0)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    statuses = project.query(
        "select workspace_id, status from upgrader.history where not is_initial order by 1"
    )
    assert statuses == [("acme", "interrupted"), ("globex", "completed")]
    assert_code(project.run_cli("upgrade"), 0)
    for id_ in ("acme", "globex"):
        assert project.query(f"select n, count(*) from ws_{id_}.note group by n") == [(1, 2000)]
