"""What `init` and `generate` write passes the gate: nothing to mend before the first line is written."""

import pytest

from tests.support.findings import check, of_rule
from tests.support.project import Project
from tests.support.results import assert_code
from tests.support.server import PostgresServer

TEMPLATES = (("fast", ()), ("slow", ()), ("workspace", ()), ("fast", ("--non-transactional",)))
BASE = """
from sqlalchemy import text

def make(connection):
    for statement in (
        "CREATE SCHEMA core",
        "CREATE TABLE core.workspace (id text, display_name text, activation_status text, database_schema text)",
        "INSERT INTO core.workspace VALUES ('a', 'A', 'ACTIVE', 'ws_a')",
        "CREATE SCHEMA ws_a",
        "CREATE TABLE core.invoice (id bigint)",
        "CREATE TABLE ws_a.invoice (id bigint)",
    ):
        connection.execute(text(statement))
"""


@pytest.fixture
def fresh(project: Project) -> Project:
    """A project as `init` leaves it, with one command of each kind as `generate` leaves it."""
    project.commands.rmdir()
    (project.directory / "upgrader.toml").unlink()
    assert_code(project.run_cli("init"), 0)
    for number, (kind, flags) in enumerate(TEMPLATES):
        made = project.run_cli(
            "generate", "--name", f"change-{number}", "--type", kind, "--version", "1.0.0", *flags
        )
        assert_code(made, 0)
    return project


def test_without_a_database(fresh: Project):
    """Everything loads, nothing collides."""
    assert check(fresh)["findings"] == []


def test_what_is_not_written_yet_does_not_pass(fresh: Project, server: PostgresServer):
    """A template raises where it runs: nothing empty may be shipped."""
    with server.database() as url:
        found = check(fresh, "--scratch-url", url, code=5)
    (finding,) = of_rule(found, "sequence-fails")
    assert "write up()" in finding["message"]


def test_what_the_templates_propose(fresh: Project, server: PostgresServer):
    """With their TODOs filled in as their comments say, squawk and the round trip have nothing to say."""
    fresh.write("base.py", BASE)
    for path in fresh.commands.rglob("*.py"):
        text = path.read_text()
        is_workspace = "run_on_workspace" in text
        way = "ctx.connection" if is_workspace else "connection"
        table = "invoice" if is_workspace else "core.invoice"
        column = f"paid_on_{path.name[:13]}"
        up = f'{way}.execute(text("ALTER TABLE {table} ADD COLUMN {{}} {column} date"))'
        down = f'{way}.execute(text("ALTER TABLE {table} DROP COLUMN {{}} {column}"))'
        is_repeatable = "transactional=False" in text
        once, still = ("IF NOT EXISTS", "IF EXISTS") if is_repeatable else ("", "")
        for method, body in (
            ("write up()", up.format(once)),
            ("write run_on_workspace()", up.format(once)),
            ("write down(), or delete it", down.format(still)),
            ("write down_on_workspace(), or delete it", down.format(still)),
            ("write run_data_migration()", "pass"),
        ):
            text = text.replace(f'raise NotImplementedError("{method}")', body)
        assert "NotImplementedError" not in text
        path.write_text(text.replace("\n\nfrom ", "\n\nfrom sqlalchemy import text\nfrom ", 1))
    with server.database() as url:
        environment = {"PYTHONPATH": str(fresh.directory), "UPGRADER_CHECK__PREPARE": "base:make"}
        found = check(fresh, "--scratch-url", url, **environment)
    assert found["findings"] == []
    assert {"sequence-fails", "round-trip", "adding-field-with-default"} <= set(found["ran"])
