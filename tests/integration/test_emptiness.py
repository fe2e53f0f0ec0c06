"""No accidental emptiness: workspaces that are not found are never taken for none."""

import pytest

from tests.support.project import Project
from tests.support.results import attempts
from upgrader.errors import SettingsError, WorkspaceSourceError
from upgrader.events import StepFinished, StepStarted, WorkspaceFinished
from upgrader.model import Outcome
from upgrader.runner.options import UpgradeOptions
from upgrader.testing import RecordingSink

UPGRADE = UpgradeOptions()


def test_segment_without_workspace_table_is_refused(project: Project):
    """Workspace steps and no table: nothing runs."""
    project.workspace("1.0.0", 1, "Step")
    report = project.api().upgrade(UPGRADE)
    assert report.outcome is Outcome.REFUSED
    assert "core.workspace" in report.refusals[0].message
    assert "provider" in report.refusals[0].hint


def test_instance_steps_may_make_the_table_first(project: Project):
    """A database from nothing: the instance step before the segment makes the table; it is empty, and that is said."""
    project.fast(
        "1.0.0",
        1,
        "MakeTable",
        "create schema core; create table core.workspace"
        " (id text, display_name text, activation_status text, database_schema text)",
    )
    project.workspace("1.0.0", 2, "Step")
    report = project.api().upgrade(UPGRADE)
    assert report.outcome is Outcome.DONE
    assert report.completed == 1


def test_without_workspace_steps_no_table_is_needed(project: Project):
    """A product without tenants."""
    project.fast("1.0.0", 1, "Step")
    assert project.api().upgrade(UPGRADE).outcome is Outcome.DONE


def test_empty_table_counts_as_no_workspaces_and_is_said(project: Project):
    """0 workspaces is fine, with a sentence."""
    project.create_workspaces()
    project.workspace("1.0.0", 1, "Step")
    report = project.api().upgrade(UPGRADE)
    assert report.outcome is Outcome.DONE
    assert any("0 workspaces" in warning for warning in report.warnings)


def test_rows_of_which_none_has_a_configured_status(project: Project):
    """Refused with the statuses that were found."""
    project.create_workspaces("a", "b", status="active")
    project.create_workspaces("c", status="NEW")
    project.workspace("1.0.0", 1, "Step")
    report = project.api().upgrade(UPGRADE)
    assert report.outcome is Outcome.REFUSED
    assert "active (2 workspaces)" in report.refusals[0].message
    assert "NEW (1 workspace)" in report.refusals[0].message
    assert attempts(project) == []


@pytest.mark.parametrize(
    ("workspaces", "words"),
    [
        ({"table": "core.tenant"}, ("core.tenant",)),
        ({"id_column": "key"}, ("'key'", "id_column", "activation_status")),
        ({"status_column": "state"}, ("'state'", "status_column")),
        ({"schema_column": "db"}, ("'db'", "schema_column")),
        ({"name_column": "title"}, ("'title'", "name_column")),
    ],
)
def test_table_or_column_that_is_not_there(
    project: Project, workspaces: dict[str, str], words: tuple[str, ...]
):
    """An error that names it and the setting, and for columns those that there are."""
    project.create_workspaces("a")
    project.workspace("1.0.0", 1, "Step")
    with pytest.raises(WorkspaceSourceError) as caught:
        project.api(workspaces=workspaces).upgrade(UPGRADE)
    for word in words:
        assert word in caught.value.message
    assert caught.value.hint


def test_missing_schema_fails_that_workspace_only(project: Project):
    """Nothing runs on it, above all not in `public`; the others go on."""
    project.create_workspaces("a", "b", "c")
    with project.connect() as connection:
        connection.execute("drop schema ws_b")
    project.workspace("1.0.0", 1, "Make", "create table made (id int)")
    project.workspace("1.0.0", 2, "Next")
    report = project.api().upgrade(UPGRADE)
    assert [(failure.scope.workspace_id, failure.step.class_name) for failure in report.failures] == [
        ("b", "Make")
    ]
    assert "ws_b" in str(report.failures[0].error)
    assert project.query("select schemaname from pg_tables where tablename = 'made' order by 1") == [
        ("ws_a",),
        ("ws_c",),
    ]
    with project.connect() as connection:
        connection.execute("create schema ws_b")
    assert project.api().upgrade(UPGRADE).completed == 2


def test_schema_null_keeps_the_search_path_of_the_role(project: Project):
    """A workspace without a schema of its own runs where the role's search_path says."""
    project.create_workspaces("a")
    with project.connect() as connection:
        connection.execute("alter table core.workspace alter column database_schema drop not null")
        connection.execute("update core.workspace set database_schema = null")
    project.workspace(
        "1.0.0", 1, "Make", "create table made as select current_setting('search_path') as path"
    )
    assert project.api().upgrade(UPGRADE).failures == []
    assert project.query("select path from public.made") == [('"$user", public',)]


def test_search_path_is_the_schema_then_the_extra_ones(project: Project):
    """`search_path_extra` follows the workspace's own schema."""
    project.create_workspaces("a")
    project.configure(workspaces={"search_path_extra": ["core", "public"]})
    project.workspace("1.0.0", 1, "Make", "create table made as select current_schemas(false)::text as path")
    assert project.api().upgrade(UPGRADE).failures == []
    assert project.query("select path from ws_a.made") == [("{ws_a,core,public}",)]


def test_columns_may_have_any_name_and_be_absent(project: Project):
    """Table and columns as written in the settings; an empty one says that there is none."""
    with project.connect() as connection:
        connection.execute(
            'create table "Tenant" ("Key" uuid primary key, "Space" text);'
            ' create schema "Odd Schema";'
            " insert into \"Tenant\" values ('00000000-0000-0000-0000-000000000001', 'Odd Schema')"
        )
    project.configure(
        workspaces={
            "table": '"Tenant"',
            "id_column": "Key",
            "schema_column": "Space",
            "status_column": "",
            "name_column": "",
        }
    )
    project.workspace("1.0.0", 1, "Make", "create table made (id int)")
    report = project.api().upgrade(UPGRADE)
    assert report.failures == []
    assert project.query("select schemaname from pg_tables where tablename = 'made'") == [("Odd Schema",)]


def test_workspace_deleted_or_suspended_during_the_run_is_left_out_and_counted(project: Project):
    """Its row is read again right before its first step."""
    project.create_workspaces("a", "b", "c", "d")
    project.configure(workspaces={"statuses": ["ACTIVE"]})
    project.workspace(
        "1.0.0",
        1,
        "Step",
        """
        if ctx.workspace.id == "a":
            ctx.connection.execute(text("delete from core.workspace where id = 'b'"))
            ctx.connection.execute(text("update core.workspace set activation_status = 'OFF' where id = 'c'"))
        """,
    )
    sink = RecordingSink()
    report = project.api(emit=sink).upgrade(UPGRADE)
    assert report.outcome is Outcome.DONE
    (segment,) = report.segments.values()
    assert (segment.done, segment.left_out, segment.failed) == (2, 2, 0)
    assert [(event.workspace.id, event.result) for event in sink.of(WorkspaceFinished)] == [
        ("a", "done"),
        ("b", "left-out"),
        ("c", "left-out"),
        ("d", "done"),
    ]
    assert [workspace for _, workspace, _, _ in attempts(project)] == ["a", "d"]


def test_workspace_that_returns_runs_its_pending_steps(project: Project):
    """Out of scope it keeps its place; back in scope it is late, and catches up first."""
    project.create_workspaces("a")
    project.create_workspaces("b", status="INACTIVE")
    project.workspace("1.0.0", 1, "First")
    project.fast("1.1.0", 2, "Second")
    project.workspace("1.1.0", 3, "Third")
    assert project.api().upgrade(UPGRADE).completed == 3
    with project.connect() as connection:
        connection.execute("update core.workspace set activation_status = 'ACTIVE'")

    plan = project.api().plan(UPGRADE).plan
    assert plan.versions[0].late == ("b",)
    report = project.api().upgrade(UPGRADE)
    assert (report.completed, list(report.late)) == (2, ["b"])
    assert [(name, workspace) for name, workspace, _, _ in attempts(project)[3:]] == [
        ("First", "b"),
        ("Third", "b"),
    ]


PROVIDER = """
from upgrader import Workspace

def workspaces(connection):
    return [Workspace(id="z", schema="ws_z"), Workspace(id="a", schema="ws_a", display_name="A")]

def wrong(connection):
    return ["a"]

def twice(connection):
    return [Workspace(id="a"), Workspace(id="a")]

def broken(connection):
    raise RuntimeError("no tenants today")
"""


@pytest.fixture
def provided(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    project.create_workspaces("a", "z")
    project.write("tenancy_of_test.py", PROVIDER)
    monkeypatch.syspath_prepend(project.directory)
    monkeypatch.delitem(__import__("sys").modules, "tenancy_of_test", raising=False)
    project.workspace("1.0.0", 1, "Make", "create table made (id int)")
    return project


def test_provider_gives_workspaces_in_its_order(provided: Project):
    """A function of the application instead of a table."""
    provided.configure(workspaces={"provider": "tenancy_of_test:workspaces"})
    sink = RecordingSink()
    assert provided.api(emit=sink).upgrade(UPGRADE).failures == []
    assert [event.scope.workspace_id for event in sink.of(StepFinished)] == ["z", "a"]
    assert provided.query("select to_regclass('ws_a.made')::text") == [("ws_a.made",)]


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("tenancy_of_test:wrong", WorkspaceSourceError, "str"),
        ("tenancy_of_test:twice", WorkspaceSourceError, "more than once"),
        ("tenancy_of_test:broken", WorkspaceSourceError, "no tenants today"),
        ("tenancy_of_test:absent", SettingsError, "absent"),
        ("no_such_module_of_test:f", SettingsError, "no_such_module_of_test"),
    ],
)
def test_provider_that_does_not_work(provided: Project, name: str, error: type[Exception], words: str):
    """Each is an error with a hint; nothing runs."""
    provided.configure(workspaces={"provider": name})
    sink = RecordingSink()
    with pytest.raises(error, match=words):
        provided.api(emit=sink).upgrade(UPGRADE)
    assert sink.of(StepStarted) == []
