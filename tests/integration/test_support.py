"""The fixtures that all tests stand on."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from tests.support.project import Project
from tests.support.server import PostgresServer, Role
from upgrader.runner.options import UpgradeOptions


def test_database_is_empty(connection: psycopg.Connection):
    """Every test starts from nothing."""
    assert connection.execute("select count(*) from pg_namespace where nspname !~ '^pg_'").fetchone() == (2,)


@pytest.mark.parametrize("number", [1, 2])
def test_demo_database_is_a_copy(demo_database_url: str, number: int):
    """What one test does to the demo's data, the next does not see."""
    with psycopg.connect(demo_database_url, autocommit=True) as connection:
        assert connection.execute("select count(*) from core.workspace").fetchone() == (244,)
        connection.execute("drop table core.invoice")


def test_role_has_no_rights(make_role: Callable[..., Role], database_url: str):
    """A role that was made for a test may log in and create nothing."""
    with (
        psycopg.connect(make_role().url(database_url)) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("create schema mine")


def test_wheel_is_fast(server: PostgresServer, connection: psycopg.Connection):
    """The server of our own does not flush; one that was given is left as it is."""
    if server.is_wheel:
        assert connection.execute("show fsync").fetchone() == ("off",)
    assert server.version >= 14


def test_project_runs_commands(project: Project):
    """A project of three short commands is upgraded through the API."""
    project.create_workspaces("a", "b")
    project.fast("1.0.0", 1, "AddThing", "create table core.thing (id int)")
    project.slow("1.0.0", 2, "FillThing", migrate="with ctx.transaction() as c: c.execute(text('select 1'))")
    project.workspace("1.0.0", 3, "AddNote", "create table note (id int)")

    report = project.api().upgrade(UpgradeOptions(include_slow=True))

    assert (report.completed, report.failures) == (4, [])
    assert project.query("select to_regclass('ws_a.note')::text, to_regclass('ws_b.note')::text") == [
        ("ws_a.note", "ws_b.note")
    ]
