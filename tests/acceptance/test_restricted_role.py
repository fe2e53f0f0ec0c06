"""A role that owns only its own schemas can do everything."""

from collections.abc import Callable

import pytest

from tests.support.project import Project
from tests.support.results import assert_code, assert_error, attempts, document
from tests.support.server import Role


@pytest.fixture
def restricted(project: Project, make_role: Callable[..., Role]) -> Project:
    """Owner of the history schema and of two workspaces' schemas; may create nothing on the database."""
    role = make_role()
    project.create_workspaces("a", "b")
    with project.connect() as admin:
        admin.execute(f'create schema upgrader authorization "{role.name}"'.encode())
        for schema in ("core", "ws_a", "ws_b"):
            admin.execute(f'alter schema {schema} owner to "{role.name}"'.encode())
        admin.execute(f'alter table core.workspace owner to "{role.name}"'.encode())
    project.configure(database_url=role.url(project.database_url))
    #   1.0.0 f1 s2 │ w3
    project.fast("1.0.0", 1, "AddThing", "create table core.thing (id int)")
    project.slow("1.0.0", 2, "FillThing", migrate="with ctx.transaction() as c: c.execute(text('select 1'))")
    project.workspace("1.0.0", 3, "AddNote", "create table note (id int)")
    project.fast(
        "1.1.0",
        4,
        "Index",
        "create_index_concurrently(connection, 'thing_id', table='core.thing', columns='id')",
        transactional=False,
    )
    return project


def test_everything_works_with_a_history_schema_made_beforehand(restricted: Project):
    """Dry run, upgrade, status, history, enrolment, workspace run."""
    assert_code(restricted.run_cli("upgrade", "--dry-run", "--include-slow"), 0)
    assert_code(restricted.run_cli("upgrade", "--include-slow"), 0)
    assert len(attempts(restricted)) == 5
    assert_code(restricted.run_cli("upgrade", "--include-slow"), 0)
    assert_code(restricted.run_cli("status", "--exit-code", "--include-slow"), 0)
    assert len(document(restricted.run_cli("history", "--json"))["attempts"]) == 5 + 3
    with restricted.connect() as admin:
        admin.execute("insert into core.workspace values ('c', 'C', 'ACTIVE', 'ws_a')")
    assert_code(restricted.run_cli("workspace", "enroll", "c"), 0)
    assert_code(restricted.run_cli("workspace", "run", "add-note", "--again", "--yes", "-w", "c"), 0)


def test_table_that_the_role_may_not_read(restricted: Project):
    """Exit 2 with the GRANT that is missing."""
    with restricted.connect() as admin:
        admin.execute("alter table core.workspace owner to postgres")
    assert_error(restricted.run_cli("upgrade"), 2, "cannot be read", "GRANT SELECT")


def test_schema_of_another_owner_fails_that_workspace_only(restricted: Project):
    """Nothing runs on it, and the error says what to grant; the other one goes on."""
    with restricted.connect() as admin:
        admin.execute("alter schema ws_b owner to postgres")
    result = restricted.run_cli("upgrade", "--include-slow")
    assert_error(result, 1, "1 step failed")
    assert "GRANT USAGE ON SCHEMA" in result.stdout
    assert ("AddNote", "a", 1, "completed") in attempts(restricted)
