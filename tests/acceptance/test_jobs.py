"""`--jobs`, as an operator sees it: flags, signals, reports, and the same database as with one."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.project import Project
from tests.support.results import assert_code, assert_error, attempts, document
from tests.support.server import PostgresServer, wait_until
from upgrader.demo.example import demo_commands

_TABLES = """
select c.oid::regclass::text, string_agg(quote_ident(a.attname), ', ' order by a.attnum)
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and c.relkind = 'r'
  and c.oid::regclass::text <> 'upgrader.run'
  -- When something was done, and in which order, may differ.
  and a.atttypid <> 'timestamptz'::regtype and a.attidentity = ''
group by c.oid order by 1
"""


def contents(url: str) -> dict[str, Any]:
    """Give a digest of each table's rows, without the times and the numbers that tell an order."""
    found = {}
    with psycopg.connect(url, autocommit=True) as connection:
        for table, columns in connection.execute(_TABLES).fetchall():
            rows = f"""select count(*), md5(string_agg(t::text, '|' order by t::text collate "C"))
                from (select {columns} from {table}) t"""
            found[table] = connection.execute(rows.encode()).fetchone()
    return found


def test_eight_lanes_make_the_same_database_as_one(
    tmp_path: Path, server: PostgresServer, demo_template: str
):
    """Table by table, the history too, over all workspaces of the demo."""
    made = {}
    for jobs in ("1", "8"):
        with server.database(template=demo_template) as url:
            folder = tmp_path / jobs
            folder.mkdir()
            project = Project.create(folder, url)
            project.configure(commands=[str(demo_commands())], app_version="1.23.0")
            result = project.run_cli("upgrade", "--include-slow", "--json", "--jobs", jobs)
            assert_code(result, 0)
            told = document(result)
            made[jobs] = (
                contents(url),
                {
                    key: told[key]
                    for key in ("outcome", "completed", "failures", "deferred", "stop", "left", "late")
                },
            )
            assert [segment["done"] for segment in told["segments"]] == [
                segment["total"] for segment in told["segments"]
            ]
    assert made["8"] == made["1"]
    assert len(made["8"][0]) > 200


@pytest.fixture
def many(project: Project) -> Project:
    """Workspaces of which each takes a moment."""
    project.create_workspaces(*(f"w{number:02}" for number in range(20)))
    project.workspace("1.0.0", 1, "Moment", "create table made (id int); select pg_sleep(0.2)")
    project.workspace("1.0.0", 2, "More", "insert into made values (1)")
    return project


def completed(project: Project) -> int:
    if project.query("select to_regclass('upgrader.history')") == [(None,)]:
        return 0
    return len(attempts(project, "completed"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_first_signal_finishes_the_steps_in_progress(many: Project, number: signal.Signals, code: int):
    """In every lane; the rest is left and counted, and the next run takes it up."""
    process = many.start_cli("upgrade", "--jobs", "3", "--json")
    wait_until(lambda: completed(many) >= 3)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    found = document(subprocess.CompletedProcess([], process.returncode, stdout, stderr))

    assert (process.returncode, found["exit_code"], found["signal"]) == (code, code, number.name), stderr
    assert found["completed"] == completed(many)
    assert found["left"] == 40 - completed(many)
    assert {status for *_, status in attempts(many)} == {"completed"}
    assert_code(many.run_cli("upgrade", "-j", "8"), 0)
    assert completed(many) == 40
    assert {attempt for _, _, attempt, _ in attempts(many)} == {1}


def test_second_signal_cancels_every_lane(project: Project):
    """What was in progress rolls back at once, in all of them; no session is left."""
    project.create_workspaces("a", "b", "c", "d")
    project.workspace("1.0.0", 1, "Long", "create table made (id int); select pg_sleep(300)")
    process = project.start_cli("upgrade", "--jobs", "3")
    sleeping = (
        "select count(*) from pg_stat_activity where datname = current_database() and state = 'active'"
        " and query like '%pg_sleep(300)%' and pid <> pg_backend_pid()"
    )
    wait_until(lambda: project.query(sleeping) == [(3,)])
    process.send_signal(signal.SIGTERM)
    assert process.stderr is not None
    while "stopping" not in process.stderr.readline():
        assert process.poll() is None
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)

    assert time.monotonic() - began < 15
    assert process.returncode == 143, stderr
    assert "Traceback" not in stderr
    assert "4 steps left" in stderr
    assert project.query("select count(*) from pg_tables where tablename = 'made'") == [(0,)]
    assert sorted(attempts(project)) == [("Long", id_, 1, "interrupted") for id_ in "abc"]
    sessions = "select count(*) from pg_stat_activity where application_name like 'upgrader/%'"
    wait_until(lambda: project.query(f"{sessions} and datname = current_database()") == [(0,)])


def test_second_signal_ends_lanes_whose_command_does_not_listen(project: Project):
    """Python that waits for something else than the database cannot be cancelled; its transaction is ended."""
    project.create_workspaces("a", "b")
    project.workspace(
        "1.0.0",
        1,
        "Deaf",
        "import time\nctx.connection.execute(text('create table made (id int)'))\ntime.sleep(300)",
    )
    process = project.start_cli("upgrade", "--jobs", "2")
    idle = (
        "select count(*) from pg_stat_activity where state = 'idle in transaction'"
        " and query like 'create table made%' and datname = current_database()"
    )
    wait_until(lambda: project.query(idle) == [(2,)])
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while "stopping" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    wait_until(lambda: project.query("select count(*) from pg_tables where tablename = 'made'") == [(0,)])
    project.workspace("1.0.0", 1, "Deaf", "create table made (id int)")
    assert_code(project.run_cli("upgrade", "--jobs", "2"), 0)


@pytest.mark.parametrize("wrong", ["0", "many", "-3", "2000"])
def test_what_is_no_number_of_workspaces(project: Project, wrong: str):
    """Exit 2 with an example, from the flag and from the settings."""
    project.fast("1.0.0", 1, "First")
    assert_error(project.run_cli("upgrade", f"--jobs={wrong}"), 2, "--jobs", "--jobs 4")
    project.configure(jobs=wrong)
    assert_error(project.run_cli("upgrade"), 2, "jobs")


def test_too_many_for_the_server(project: Project):
    """Refused before anything runs, with the largest number that fits."""
    project.create_workspaces("a")
    project.workspace("1.0.0", 1, "First")
    refused = project.run_cli("upgrade", "--jobs", "1000")
    assert_error(refused, 2, "with jobs = 1000 a run opens 1001 more", "give --jobs ")
    assert project.query("select to_regnamespace('upgrader') is null") == [(True,)]
