"""The kinds of commands, as somebody writes them who knows them from elsewhere, and what an upgrade makes of them."""

from __future__ import annotations

import pytest

from tests.support.project import Project
from tests.support.results import assert_code, attempts

FAST = """
    from sqlalchemy import Connection, text
    from upgrader import FastInstanceCommand, instance_command

    @instance_command("1.22.0", 1775758621017)
    class AddWorkspaceIdToToto(FastInstanceCommand):
        def up(self, connection: Connection) -> None:
            assert type(connection) is Connection, type(connection)
            connection.execute(text('ALTER TABLE "core"."toto" ADD "workspaceId" text'))

        def down(self, connection: Connection) -> None:
            connection.execute(text('ALTER TABLE "core"."toto" DROP COLUMN "workspaceId"'))
"""
SLOW = """
    from sqlalchemy import Connection, text
    from upgrader import DataMigrationContext, SlowInstanceCommand, instance_command

    @instance_command("1.22.0", 1775758621018, type="slow")
    class BackfillWorkspaceId(SlowInstanceCommand):
        def run_data_migration(self, ctx: DataMigrationContext) -> None:
            with ctx.transaction() as connection:
                connection.execute(text("UPDATE core.toto SET \\"workspaceId\\" = 'acme'"))

        def up(self, connection: Connection) -> None:
            connection.execute(text('ALTER TABLE core.toto ALTER "workspaceId" SET NOT NULL'))

        def down(self, connection: Connection) -> None:
            connection.execute(text('ALTER TABLE core.toto ALTER "workspaceId" DROP NOT NULL'))
"""
WORKSPACE = """
    from sqlalchemy import text
    from upgrader import WorkspaceContext, workspace_command

    @workspace_command("1.22.0", 1780000002000, name="upgrade:1-22:backfill-standard-skills")
    class BackfillStandardSkills:
        def run_on_workspace(self, ctx: WorkspaceContext) -> None:
            ctx.log.warning("%s: dry run %s, verbose %s", ctx.workspace.id, ctx.dry_run, ctx.verbose)
            ctx.connection.execute(text("CREATE TABLE skill (name text)"))
"""
_COLUMN = """
    select is_nullable from information_schema.columns
    where table_schema = 'core' and table_name = 'toto' and column_name = 'workspaceId'
"""


@pytest.fixture
def product(project: Project) -> Project:
    """A product with a table of the instance, and a workspace of each status."""
    project.create_workspaces("active")
    project.create_workspaces("suspended", status="SUSPENDED")
    project.create_workspaces("inactive", status="INACTIVE")
    with project.connect() as connection:
        connection.execute("create table core.toto as select n as id from generate_series(1, 3) n")
    return project


def test_a_fast_command_runs_at_once_and_can_be_taken_back(product: Project) -> None:
    """It is handed a connection of SQLAlchemy's, up and down."""
    product.write("commands/fast.py", FAST)
    assert_code(product.run_cli("upgrade"), 0)
    assert product.query(_COLUMN) == [("YES",)]
    assert_code(product.run_cli("downgrade", "--to", "1.21.0", "--yes"), 0)
    assert product.query(_COLUMN) == []


def test_a_slow_command_fills_what_a_fast_one_has_added(product: Project) -> None:
    """The column may be empty until the slow one is asked for; that fills it before it forbids the emptiness."""
    product.write("commands/fast.py", FAST)
    product.write("commands/slow.py", SLOW)
    deferred = product.run_cli("upgrade")
    assert_code(deferred, 0)
    assert "BackfillWorkspaceId" in deferred.stdout
    assert product.query(_COLUMN) == [("YES",)]
    assert product.query('select count(*) from core.toto where "workspaceId" is null') == [(3,)]
    assert_code(product.run_cli("upgrade", "--include-slow"), 0)
    assert product.query(_COLUMN) == [("NO",)]
    assert product.query('select distinct "workspaceId" from core.toto') == [("acme",)]


@pytest.mark.parametrize(
    ("settings", "expected"), [({}, ["active", "suspended"]), ({"statuses": ["INACTIVE"]}, ["inactive"])]
)
def test_a_workspace_command_is_for_active_and_suspended_workspaces(
    product: Project, settings: dict[str, list[str]], expected: list[str]
) -> None:
    """Each in its own schema, after the instance's commands; the settings may name other statuses."""
    product.configure(workspaces=settings)
    product.write("commands/workspace.py", WORKSPACE)
    product.write("commands/slow.py", SLOW)
    product.write("commands/fast.py", FAST)
    assert_code(product.run_cli("upgrade", "--include-slow"), 0)
    assert [(name, workspace) for name, workspace, *_ in attempts(product)] == [
        ("AddWorkspaceIdToToto", None),
        ("BackfillWorkspaceId", None),
        *(("BackfillStandardSkills", workspace) for workspace in expected),
    ]
    made = "select substr(schemaname, 4) from pg_tables where tablename = 'skill' order by 1"
    assert product.query(made) == [(workspace,) for workspace in expected]


@pytest.mark.parametrize("flags", [(), ("--dry-run",), ("--verbose",), ("-d", "-v")])
def test_a_command_knows_how_it_is_run(product: Project, flags: tuple[str, ...]) -> None:
    """Whether all will be rolled back, and whether the operator wants detail."""
    product.write("commands/workspace.py", WORKSPACE)
    done = product.run_cli("upgrade", *flags)
    assert_code(done, 0)
    is_dry, is_verbose = "-d" in flags or "--dry-run" in flags, "-v" in flags or "--verbose" in flags
    assert f"active: dry run {is_dry}, verbose {is_verbose}" in done.stderr
    assert product.query("select to_regclass('ws_active.skill') is null") == [(is_dry,)]


def test_a_command_has_a_name_on_the_command_line(product: Project) -> None:
    """By which it is run on workspaces of one's choice."""
    product.write("commands/workspace.py", WORKSPACE)
    product.create_workspaces("other")
    assert_code(product.run_cli("upgrade", "-w", "active"), 0)
    assert_code(
        product.run_cli("workspace", "run", "upgrade:1-22:backfill-standard-skills", "-w", "suspended"), 0
    )
    assert [workspace for _, workspace, *_ in attempts(product)] == ["active", "suspended"]
