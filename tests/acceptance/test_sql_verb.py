"""`upgrader sql`: the script of what would run; nothing is changed by making it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess

import pytest

from tests.support.project import Project
from tests.support.results import assert_code, assert_error, document, snapshot
from tests.support.server import PostgresServer, wait_until

ADD_INVOICE = """
connection.execute(text("create table core.invoice (id bigint primary key, number text, due date)"))
connection.execute(
    text("insert into core.invoice select i, 'n' || i from generate_series(1, :n) i"), {"n": 200}
)
connection.execute(
    text("insert into core.invoice values (:id, :number, :due)"),
    [{"id": 1001, "number": "it's 50%", "due": date(2026, 1, 31)}, {"id": 1002, "number": "a\\\\b", "due": None}],
)
connection.exec_driver_sql("comment on table core.invoice is 'a %% of ''all'''")
connection.exec_driver_sql("create view core.paid as select * from core.invoice; -- what is paid")
"""
FILL = """
for number in range(100):
    with ctx.transaction() as connection:
        day = {"id": number, "day": date(2026, 1, 1)}
        connection.execute(text("update core.invoice set due = :day where id = :id"), day)
"""

SLEEPING = (
    "select count(*) from pg_stat_activity where query like '%pg_sleep(600)%' and state = 'active'"
    " and datname = current_database() and pid <> pg_backend_pid()"
)


@pytest.fixture
def product(project: Project) -> Project:
    #   1.0.0  f1 AddInvoice │ f2 AddIndex, no transaction │ s3 Fill │ w4 AddThing │ w5 AddThingIndex, no transaction
    #   1.1.0  f6 AddView
    project.create_workspaces("a", "b", "c")
    project.fast("1.0.0", 1, "AddInvoice", "from datetime import date\n" + ADD_INVOICE)
    project.fast(
        "1.0.0",
        2,
        "AddIndex",
        "create_index_concurrently(connection, 'invoice_number', table='core.invoice', columns='number')",
        transactional=False,
    )
    project.slow(
        "1.0.0",
        3,
        "Fill",
        "alter table core.invoice alter number set not null",
        migrate="from datetime import date\n" + FILL,
    )
    project.workspace("1.0.0", 4, "AddThing", "create table thing (id int, name text)")
    project.workspace(
        "1.0.0",
        5,
        "AddThingIndex",
        "create_index_concurrently(ctx.connection, 'thing_id', table='thing', columns='id')",
        transactional=False,
    )
    project.fast("1.1.0", 6, "AddView", "create view core.unpaid as select * from core.invoice")
    return project


def apply(project: Project, script: str) -> None:
    """Run a script as a DBA would."""
    psql = shutil.which("psql")
    if psql is None:
        pytest.skip("there is no psql here")
    done = subprocess.run(
        [psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", project.database_url],
        input=script,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def catalog(project: Project) -> list[tuple[str, ...]]:
    """Give the catalog without the history."""
    return [
        row
        for row in snapshot(project)["catalog"]
        if not row[1].startswith("upgrader") and "gen_random" not in row[2]
    ]


class TestScript:
    def test_changes_nothing(self, product: Project):
        """Neither by trying the steps nor in the history; stderr has nothing to say."""
        before = snapshot(product)
        result = product.run_cli("sql", "--include-slow")
        assert_code(result, 0)
        assert snapshot(product) == before
        assert result.stderr == "1.0.0_Fill_3: 97 more statements like those shown\n"

    def test_makes_the_same_schema_as_upgrade(self, product: Project, server: PostgresServer):
        """The script runs in psql to its end, and what comes of it is what `upgrade` makes, rows too."""
        script = product.run_cli("sql", "--include-slow", "--all-workspaces").stdout
        apply(product, script)
        with server.database() as url:
            other = Project(product.directory, product.home, url)
            other.create_workspaces("a", "b", "c")
            assert_code(other.run_cli("--database-url", url, "upgrade", "--include-slow"), 0)
            assert catalog(product) == catalog(other)
            rows = "select id, number from core.invoice where id > 1000 order by 1"
            assert product.query(rows) == other.query(rows) == [(1001, "it's 50%"), (1002, "a\\b")]
            comment = "select obj_description('core.invoice'::regclass)"
            assert product.query(comment) == other.query(comment) == [("a % of 'all'",)]

    def test_reads_well(self, product: Project):
        """Each step with its name, its place, its transaction and settings; statements with their values."""
        script = product.run_cli("sql").stdout
        assert re.search(
            r"-- 1\.0\.0_AddInvoice_1 \(fast\)\n-- commands/v1_0_0/1_add_invoice\.py:\d+\n"
            r"BEGIN;\nSET LOCAL lock_timeout = '2000ms';\n-- 1_add_invoice\.py:\d+\ncreate table core\.invoice",
            script,
        )
        assert "insert into core.invoice values (1001, 'it''s 50%', '2026-01-31'::date);" in script
        assert "is 'a % of ''all''';\n" in script
        assert "select * from core.invoice; -- what is paid\n;" in script

    def test_step_outside_a_transaction(self, product: Project):
        """Its statements are there although they were not executed."""
        script = product.run_cli("sql").stdout
        block = script[script.index("1.0.0_AddIndex_2") : script.index("1.0.0_AddThing_4")]
        assert "-- Runs outside a transaction.\nSET lock_timeout = 0;\n" in block
        assert "; not executed while this script was made\ncreate index concurrently" in block
        assert "BEGIN" not in block
        assert block.rstrip("- \n").endswith("RESET statement_timeout;")

    def test_data_migration(self, product: Project):
        """It says that it depends on data, shows a few statements, and how many more there are."""
        script = product.run_cli("sql", "--include-slow").stdout
        block = script[script.index("1.0.0_Fill_3 (slow)") : script.index("1.0.0_AddThing_4")]
        assert "depends on the\n-- rows that are there" in block
        assert block.count("update core.invoice set due = '2026-01-01'::date where id =") == 3
        assert block.count("BEGIN;") == block.count("COMMIT;") == 4
        assert "-- … and 97 more statements like these." in block

    def test_workspaces(self, product: Project):
        """The first of those with the same steps in full, the others by name; or every one."""
        script = product.run_cli("sql", "--include-slow").stdout
        assert script.count("create table thing") == 1
        assert 'SET LOCAL search_path = "ws_a", "public";' in script
        assert (
            "In workspace a (A), the first of 3 with the same steps before them; the\n-- others: b, c."
            in script
        )
        every = product.run_cli("sql", "--include-slow", "--all-workspaces").stdout
        assert [f'SET LOCAL search_path = "ws_{one}"' in every for one in "abc"] == [True] * 3
        assert every.count("create table thing") == 3

    def test_workspaces_with_different_steps(self, product: Project):
        """Each different way to go is shown once."""
        assert_code(product.run_cli("upgrade", "--include-slow", "-w", "b"), 0)
        product.workspace("1.0.0", 9, "AddMore", "create table more (id int)")
        result = document(product.run_cli("sql", "--include-slow", "--json"))
        shown = [
            (one["workspace"]["id"], one["name"], one["other_workspaces"])
            for one in result["steps"]
            if one["workspace"]
        ]
        assert shown == [
            ("a", "1.0.0_AddThing_4", ["c"]),
            ("a", "1.0.0_AddThingIndex_5", ["c"]),
            ("a", "1.0.0_AddMore_9", ["c"]),
            ("b", "1.0.0_AddMore_9", []),
        ]

    def test_takes_the_flags_of_plan(self, product: Project):
        """Only what they select is there."""
        everything = document(product.run_cli("sql", "--include-slow", "--json"))
        assert [one["name"] for one in everything["steps"]][-1] == "1.1.0_AddView_6"
        first = document(product.run_cli("sql", "--to", "1.0.0", "--json"))
        assert {one["version"] for one in first["steps"]} == {"1.0.0"}
        assert [one["name"] for one in first["deferred"]] == ["1.0.0_Fill_3"]
        one = document(product.run_cli("sql", "-w", "b", "--include-slow", "--json"))
        assert {step["workspace"]["id"] for step in one["steps"] if step["workspace"]} == {"b"}

    def test_nothing_to_run(self, product: Project):
        """Is said, in a script that is one."""
        assert_code(product.run_cli("upgrade", "--include-slow"), 0)
        result = product.run_cli("sql")
        assert_code(result, 0)
        assert result.stdout.rstrip().endswith("-- Nothing to run.")
        assert all(line.startswith("--") or not line for line in result.stdout.splitlines())


class TestWhatIsNotWhole:
    def test_step_that_needs_what_was_not_executed(self, project: Project):
        """Its statement is there; that there may be more is said in the script and on stderr."""
        project.fast("1.0.0", 1, "AddThing", "create table thing (id int)")
        project.fast(
            "1.0.0",
            2,
            "AddIndex",
            "create unique index concurrently thing_id on thing (id)",
            transactional=False,
        )
        project.fast("1.0.0", 3, "AddKey", "alter table thing add unique using index thing_id")
        result = project.run_cli("sql")
        assert_code(result, 0)
        assert (
            "not executed while this script was made\nalter table thing add unique using index"
            in result.stdout
        )
        assert "-- NOT WHOLE: it may need" in result.stdout
        assert result.stderr.startswith("warning: 1.0.0_AddKey_3 is not whole: it may need")
        apply(project, result.stdout)
        assert project.query("select conname from pg_constraint where conrelid = 'thing'::regclass") == [
            ("thing_id",)
        ]

    def test_step_that_fails(self, project: Project):
        """Exit 1; the script ends there, and the failed step is rolled back in it."""
        project.fast("1.0.0", 1, "AddThing", "create table thing (id int)")
        project.fast(
            "1.0.0",
            2,
            "Fails",
            'connection.execute(text("create table more (id int)"))\nconnection.execute(text("select 1/0"))',
        )
        project.fast("1.0.0", 3, "Later", "create table later (id int)")
        result = project.run_cli("sql")
        assert_error(result, 1, "1.0.0_Fails_2 failed while it was tried: DivisionByZero", "--dry-run")
        assert re.search(r"the server refused it\n-- select 1/0;\n-- FAILED: .*\nROLLBACK;", result.stdout)
        assert "NOT IN THIS SCRIPT: Later (fast)." in result.stdout
        apply(project, result.stdout)
        assert project.query("select to_regclass('thing')::text, to_regclass('more')") == [("thing", None)]

    def test_error_that_a_command_expects(self, project: Project):
        """What the server refused and the command went on from stands there as a comment."""
        project.fast(
            "1.0.0",
            1,
            "Try",
            """
            from sqlalchemy.exc import DBAPIError
            try:
                with connection.begin_nested():
                    connection.execute(text("drop table nowhere"))
            except DBAPIError:
                connection.execute(text("create table thing (id int)"))
            """,
        )
        result = project.run_cli("sql")
        assert_code(result, 0)
        assert "-- drop table nowhere;" in result.stdout.splitlines()
        apply(project, result.stdout)
        assert project.query("select to_regclass('thing')::text") == [("thing",)]

    def test_limit_of_a_dry_run(self, project: Project):
        """Where making more of it would stand in the application's way, the script ends and says so."""
        with project.connect() as connection:
            connection.execute("create table busy (id int)")
        project.configure(dry_run_lock_seconds=0.001)
        project.fast("1.0.0", 1, "Lock", 'connection.execute(text("lock table busy; select pg_sleep(0.1)"))')
        project.fast("1.1.0", 2, "Later", "create table later (id int)")
        result = project.run_cli("sql")
        assert_code(result, 0)
        assert "warning: the script ends within 1.1.0" in result.stderr
        assert "NOT IN THIS SCRIPT: Later (fast)." in result.stdout
        assert document(project.run_cli("sql", "--json"))["not_in_script"][0]["name"] == "1.1.0_Later_2"

    def test_refused(self, project: Project):
        """What may not run has no script: exit 2, like plan."""
        project.fast("1.0.0", 1, "AddThing", "create table thing (id int)")
        result = project.run_cli("sql", "-w", "nobody")
        assert_error(result, 2, "nobody")
        assert "Nothing would run as it stands" in result.stdout
        assert "create table" not in result.stdout

    def test_secrets(self, project: Project):
        """A statement with a secret is hidden and switched off: with *** in it, it would do harm."""
        project.fast("1.0.0", 1, "Role", "create role lint_never_made password 'hunter2hunter2'")
        result = project.run_cli("sql")
        assert_code(result, 0)
        assert "hunter2" not in result.stdout + result.stderr
        assert re.search(
            r"a secret was taken out, \*\*\* stands for it\n-- create role .*\*\*\*", result.stdout
        )
        assert "secrets were taken out of 1 statement" in result.stderr
        assert "hunter2" not in project.run_cli("sql", "--json").stdout

    def test_raw_driver(self, project: Project):
        """What goes past SQLAlchemy cannot be seen; that a step showed nothing is said."""
        project.fast(
            "1.0.0", 1, "Raw", "connection.connection.driver_connection.execute('create table thing ()')"
        )
        result = project.run_cli("sql")
        assert_code(result, 0)
        assert "1.0.0_Raw_1 executed nothing that could be seen" in result.stderr

    def test_while_another_run_is_at_work(self, project: Project):
        """It takes the run lock, like a dry run: exit 3, or it waits."""
        project.fast("1.0.0", 1, "Sleep", "select pg_sleep(600)")
        running = project.start_cli("upgrade")
        try:
            wait_until(lambda: project.query(SLEEPING) == [(1,)])
            assert_error(project.run_cli("sql"), 3, "pid")
        finally:
            running.kill()
            running.communicate(timeout=60)

    def test_ctrl_c(self, project: Project):
        """Twice ends it at once: exit 130, no script, and nothing was changed."""
        project.fast("1.0.0", 1, "Sleep", "select pg_sleep(600)")
        before = snapshot(project)
        running = project.start_cli("sql")
        wait_until(lambda: project.query(SLEEPING) == [(1,)])
        running.send_signal(signal.SIGINT)
        wait_until(lambda: running.poll() is not None or _is_told(running))
        running.send_signal(signal.SIGINT)
        stdout, stderr = running.communicate(timeout=60)
        assert (running.returncode, stdout) == (130, "")
        assert "stopped by SIGINT" in stderr
        assert snapshot(project) == before


class TestOutput:
    def test_json(self, product: Project):
        """Everything that the script has, as data."""
        result = product.run_cli("sql", "--include-slow", "--json")
        given = json.loads(result.stdout)
        assert (given["schema_version"], given["outcome"], given["exit_code"]) == (1, "done", 0)
        assert given["first_upgrade"]
        assert given["server_version"]
        steps = {one["name"]: one for one in given["steps"]}
        index = steps["1.0.0_AddIndex_2"]
        assert (index["transactional"], index["workspace"], index["failed"]) == (False, None, False)
        (statement,) = index["statements"]
        assert statement["sql"].startswith("create index concurrently")
        assert (statement["executed"], statement["phase"], statement["failed"]) == (False, "command", False)
        assert statement["file"] == str(product.commands / "v1_0_0" / "2_add_index.py")
        fill = steps["1.0.0_Fill_3"]
        assert (fill["depends_on_data"], fill["statements_left_out"]) == (True, 97)
        assert [one["phase"] for one in fill["statements"][-2:]] == ["data-migration", "command"]
        assert steps["1.0.0_AddThing_4"]["settings"]["search_path"] == '"ws_a", "public"'

    def test_60_columns(self, product: Project):
        """SQL is never folded: the script is the same at any width."""
        narrow = product.run_cli("sql", env={"COLUMNS": "60"}).stdout
        assert _without_moment(narrow) == _without_moment(product.run_cli("sql").stdout)
        long = [line for line in narrow.splitlines() if line.startswith("--") and len(line) > 78]
        assert all(len(line.split()) <= 3 for line in long), long

    def test_only_sql_on_stdout(self, project: Project):
        """What a command prints goes to stderr."""
        project.fast(
            "1.0.0",
            1,
            "Loud",
            'print("a loud word")\nconnection.execute(text("create table thing (id int)"))',
        )
        result = project.run_cli("sql")
        assert "a loud word" in result.stderr
        assert "a loud word" not in result.stdout

    def test_pipe_that_is_closed_early(self, product: Project):
        """Ends without a word."""
        done = subprocess.run(
            ["/bin/sh", "-c", f"{os.fspath(_program())} sql | head -1"],
            cwd=product.directory,
            env=product.environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stdout.startswith("-- What `upgrader upgrade` would execute on")
        assert "Traceback" not in done.stderr

    def test_control_characters(self, project: Project):
        """In a pipe they stay what they are: the script has to do the same."""
        project.fast("1.0.0", 1, "Comment", "connection.execute(text(\"select 'a\\tb\\x1b[31m'\"))")
        assert "select 'a\tb\x1b[31m';" in project.run_cli("sql").stdout


def _is_told(running: subprocess.Popen[str]) -> bool:
    """Wait for the line that says that a signal has come."""
    assert running.stderr is not None
    return bool(running.stderr.readline())


def _program() -> os.PathLike[str]:
    from tests.support.project import PROGRAM

    return PROGRAM


def _without_moment(text: str) -> str:
    return re.sub(r"\d{4}-\d\d-\d\d\s+(-- )?\d\d:\d\d:\d\d", "", text)
