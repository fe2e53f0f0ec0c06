"""Every flag of `upgrader upgrade`, as it is typed."""

import pytest

from tests.support.project import Project
from tests.support.results import assert_code, assert_error, attempts, document, snapshot


@pytest.fixture
def product(project: Project) -> Project:
    #   1.0.0 f1 s2 │ w3  ║  1.1.0 f4 │ w5
    project.create_workspaces("a", "b", "c")
    project.fast("1.0.0", 1, "AddThing", "create table core.thing (id int)")
    project.slow("1.0.0", 2, "FillThing", "insert into core.thing values (1)")
    project.workspace("1.0.0", 3, "AddNote", "create table note (id int)")
    project.fast("1.1.0", 4, "AddOther", "create table core.other (id int)")
    project.workspace("1.1.0", 5, "AddMore", "alter table note add column more text")
    return project


def test_first_upgrade_says_so_in_its_first_line(product: Project):
    """With the number of tables and workspaces, and the alternative; slow steps stop it: exit 4."""
    result = product.run_cli("upgrade")
    assert_code(result, 4)
    first = result.stderr.splitlines()[0]
    assert "first upgrade" in first
    assert "1 table" in first
    assert "3 workspaces" in first
    assert "upgrader baseline" in first
    assert "1.0.0_FillThing_2" in result.stdout
    assert "--include-slow" in result.stderr
    assert "--defer-slow" in result.stderr
    assert "first upgrade" not in product.run_cli("upgrade").stderr


def test_include_slow(product: Project):
    """Everything runs: exit 0; again: nothing to run."""
    assert_code(product.run_cli("upgrade", "--include-slow"), 0)
    assert len(attempts(product)) == 3 + 2 * 3
    again = product.run_cli("upgrade", "--include-slow")
    assert_code(again, 0)
    assert "nothing to run" in again.stdout
    assert again.stderr == ""


def test_defer_slow(product: Project):
    """Goes on with a warning per step; the slow one is named, exit 0."""
    result = product.run_cli("upgrade", "--defer-slow")
    assert_code(result, 0)
    assert "warning: 1.0.0_FillThing_2 is deferred and will run out of order" in result.stderr
    assert "1.0.0_FillThing_2" in result.stdout
    assert ("AddMore", "c", 1, "completed") in attempts(product)


def test_deferred_slow_step_with_nothing_beyond(product: Project):
    """Named, and exit 0."""
    result = product.run_cli("upgrade", "--to", "1.0.0")
    assert_code(result, 0)
    assert "1.0.0_FillThing_2" in result.stdout
    assert "--include-slow" in result.stderr


def test_include_slow_and_defer_slow_contradict(product: Project):
    """Refused before the database is touched."""
    assert_error(product.run_cli("upgrade", "--include-slow", "--defer-slow"), 2, "contradict")


def test_to(product: Project):
    """Ends at that version, which the next run goes past."""
    assert_code(product.run_cli("upgrade", "--include-slow", "--to", "1.0.0"), 0)
    assert product.query("select to_regclass('core.other')") == [(None,)]
    assert_error(product.run_cli("upgrade", "--to", "1.0"), 2, "1.0", "MAJOR.MINOR.PATCH")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("-w", "b", "--workspace-id", "c"), ["b", "c"]),
        (("--start-from", "b"), ["b", "c"]),
        (("--start-from-workspace-id", "c"), ["c"]),
        (("--count-limit", "1"), ["a"]),
        (("--workspace-count-limit", "1", "--start-from", "b"), ["b"]),
    ],
)
def test_filters(product: Project, flags: tuple[str, ...], expected: list[str]):
    """One segment, exit 0; who is left, and what comes next."""
    result = product.run_cli("upgrade", "--include-slow", *flags)
    assert_code(result, 0)
    assert [workspace for name, workspace, *_ in attempts(product) if name == "AddNote"] == expected
    left = [one for one in ("a", "b", "c") if one not in expected]
    assert f"leaves {len(left)} workspace" in result.stderr
    assert ", ".join(left) in result.stderr
    assert "1.1.0" in result.stderr


def test_unknown_workspace_id(product: Project):
    """Exit 2 before anything runs."""
    result = product.run_cli("upgrade", "-w", "a", "-w", "nobody")
    assert_error(result, 2, "nobody", "upgrader workspace list")
    assert product.query("select to_regclass('core.thing')") == [(None,)]


def test_dry_run(product: Project):
    """`-d` tries all of it, and leaves the database as it was."""
    before = snapshot(product)
    result = product.run_cli("upgrade", "-d", "--include-slow")
    assert_code(result, 0)
    assert "tried and rolled back" in result.stdout
    assert snapshot(product) == before


def test_dry_run_that_finds_something(product: Project):
    """Exit 1, the failure named; locked tables and what was not simulated are listed."""
    with product.connect() as connection:
        connection.execute("create table core.there (id int)")
    product.fast("1.0.0", 6, "Locks", "alter table core.there add column more int")
    product.fast("1.0.0", 7, "Outside", "create table core.outside (id int)", transactional=False)
    product.workspace("1.0.0", 8, "Fails", "select 1/0")
    before = snapshot(product)
    result = product.run_cli("upgrade", "--dry-run", "--include-slow")
    assert_error(result, 1, "3 steps failed")
    assert "division by zero" in result.stdout
    assert "not simulated: 1.0.0_Outside_7" in result.stdout
    assert "locked exclusively: core.there" in result.stdout
    assert snapshot(product) == before


def test_verbose(product: Project):
    """Each statement with time and row count, without parameters."""
    product.fast(
        "1.0.0", 6, "Insert", "connection.execute(text('insert into core.thing values (:id)'), {'id': 4711})"
    )
    result = product.run_cli("upgrade", "--verbose", "--include-slow")
    assert_code(result, 0)
    assert "insert into core.thing values" in result.stderr
    assert "1 row" in result.stderr
    assert " ms" in result.stderr
    assert "4711" not in result.stderr + result.stdout


def test_show_parameters(product: Project):
    """Parameters only when they are asked for."""
    product.fast(
        "1.0.0", 6, "Insert", "connection.execute(text('insert into core.thing values (:id)'), {'id': 4711})"
    )
    result = product.run_cli("upgrade", "-v", "--show-parameters", "--include-slow")
    assert "id=4711" in result.stderr
    assert "4711" not in result.stdout


def test_one_failing_workspace_and_its_repair(product: Project):
    """Exit 1 with the failure and the barrier; repaired and run again, attempt 2 completes."""
    with product.connect() as connection:
        connection.execute("create table ws_b.note ()")
    failed = product.run_cli("upgrade", "--include-slow")
    assert_error(failed, 1, "1 step failed", "stopped before 1.1.0", "b")
    assert "workspace b failed" in failed.stdout
    assert "1.0.0_AddNote_3" in failed.stdout
    assert "already exists" in failed.stdout
    with product.connect() as connection:
        connection.execute("drop table ws_b.note")
    assert_code(product.run_cli("upgrade"), 0)
    assert [row for row in attempts(product) if row[:2] == ("AddNote", "b")] == [
        ("AddNote", "b", 1, "failed"),
        ("AddNote", "b", 2, "completed"),
    ]


def test_fail_fast(product: Project):
    """Stops at the first failing workspace."""
    product.workspace("1.0.0", 6, "Fails", "select 1/0")
    assert_code(product.run_cli("upgrade", "--include-slow", "--fail-fast"), 1)
    assert attempts(product, "failed") == [("Fails", "a", 1, "failed")]
    assert_code(product.run_cli("upgrade", "--include-slow"), 1)
    assert len(attempts(product, "failed")) == 4


def test_failing_instance_step(product: Project):
    """Exit 1 at once; no workspace runs."""
    product.fast("1.0.0", 6, "Fails", "select 1/0")
    result = product.run_cli("upgrade")
    assert_error(result, 1, "1 step failed")
    assert "division by zero" in result.stdout
    assert [name for name, *_ in attempts(product)] == ["AddThing", "Fails"]


def test_include_missing(product: Project):
    """Refused without it, with the name; run with it."""
    assert_code(product.run_cli("upgrade", "--include-slow"), 0)
    product.fast("1.0.0", 9, "Below", "create table core.below (id int)")
    refused = product.run_cli("upgrade")
    assert_error(refused, 2, "1.0.0_Below_9", "--include-missing", 'missing = "run"')
    assert product.query("select to_regclass('core.below')") == [(None,)]
    assert_code(product.run_cli("upgrade", "--include-missing"), 0)
    assert product.query("select to_regclass('core.below')::text") == [("core.below",)]


def test_allow_ahead(product: Project):
    """A database that is ahead: a warning with nothing pending, refused with something, unless it is allowed."""
    assert_code(product.run_cli("upgrade", "--include-slow"), 0)
    warned = product.run_cli("--app-version", "1.0.0", "upgrade")
    assert_code(warned, 0)
    assert "warning: the database is ahead of app_version 1.0.0" in warned.stderr
    product.slow("1.0.0", 9, "Late")
    flags = ("--app-version", "1.0.0", "upgrade", "--include-slow")
    assert_error(product.run_cli(*flags), 2, "ahead", "--allow-ahead")
    assert_code(product.run_cli(*flags, "--allow-ahead"), 0)


def test_unenrolled_workspace(product: Project):
    """Exit 2 with both ways to enrol it; `apply-all` runs everything on it."""
    assert_code(product.run_cli("upgrade", "--include-slow"), 0)
    product.create_workspaces("new")
    assert_error(product.run_cli("upgrade"), 2, "new", "--at start", "--at VERSION", "apply-all")
    everything = {"UPGRADER_UNENROLLED_WORKSPACES": "apply-all"}
    assert_code(product.run_cli("upgrade", env=everything), 0)
    assert [row[:2] for row in attempts(product)[-2:]] == [("AddNote", "new"), ("AddMore", "new")]


def test_workspace_that_appears_unenrolled_during_the_run(project: Project):
    """Left alone and reported, exit 2."""
    project.create_workspaces("a")
    project.workspace(
        "1.0.0",
        1,
        "Creates",
        "insert into core.workspace values ('new', 'New', 'ACTIVE', 'ws_a')",
    )
    project.fast("1.1.0", 2, "Later")
    result = project.run_cli("upgrade")
    assert_error(result, 2, "new", "--at start", "--at VERSION")
    assert attempts(project) == [("Creates", "a", 1, "completed")]


def test_json_of_a_run_that_fails(product: Project):
    """One document; failures with their error, what holds the barrier."""
    product.workspace("1.0.0", 6, "Fails", "select 1/0")
    result = product.run_cli("upgrade", "--include-slow", "--json")
    assert_code(result, 1)
    found = document(result)
    assert found["outcome"] == "failed"
    assert [failure["workspace_id"] for failure in found["failures"]] == ["a", "b", "c"]
    assert "22012" in found["failures"][0]["error"]
    assert found["stop"]["workspace_ids"] == ["a", "b", "c"]


def test_empty_table_and_wrong_status(project: Project):
    """0 workspaces is said; no row in scope is exit 2 with the statuses found."""
    project.create_workspaces()
    project.workspace("1.0.0", 1, "Step")
    empty = project.run_cli("upgrade")
    assert_code(empty, 0)
    assert "0 workspaces" in empty.stderr
    project.create_workspaces("a", status="active")
    assert_error(project.run_cli("upgrade"), 2, "active (1 workspace)", "ACTIVE, SUSPENDED", "statuses")


def test_segment_without_workspace_table(project: Project):
    """Exit 2, and which settings to give."""
    project.workspace("1.0.0", 1, "Step")
    assert_error(project.run_cli("upgrade"), 2, "core.workspace", "provider")


def test_author_prints_and_logs_go_to_stderr(project: Project):
    """stdout is for data, whatever a command prints."""
    project.fast("1.0.0", 1, "Prints", "print('printed by the author')")
    project.slow("1.0.0", 2, "Logs", migrate="ctx.log.warning('logged by the author')")
    result = project.run_cli("upgrade", "--include-slow", "--json")
    assert document(result)["completed"] == 2
    assert "printed by the author" in result.stderr
    assert "logged by the author" in result.stderr


def test_non_transactional_index_is_built(project: Project):
    """`create_index_concurrently` in a command with transactional=False, and again."""
    with project.connect() as connection:
        connection.execute("create table big (id int, note text)")
    project.fast(
        "1.0.0",
        1,
        "Index",
        "create_index_concurrently(connection, 'big_note', table='public.big', columns='note')",
        transactional=False,
    )
    assert_code(project.run_cli("upgrade"), 0)
    assert project.query("select indisvalid from pg_index where indexrelid = 'big_note'::regclass") == [
        (True,)
    ]
