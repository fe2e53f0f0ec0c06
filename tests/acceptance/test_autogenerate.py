"""`upgrader generate --autogenerate`: its flags, what it leaves out, and what it says when it cannot."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.models import ModelProject, assert_clean, dump
from tests.support.project import Project
from tests.support.results import assert_code, assert_error

ITEM = """
from sqlalchemy import BigInteger, Column, ForeignKey, Index, MetaData, Table, Text
metadata = MetaData()
"""
WORKSPACE = """
Table("workspace", metadata, Column("id", Text, primary_key=True), Column("display_name", Text, nullable=False),
    Column("activation_status", Text, nullable=False), Column("database_schema", Text, nullable=False), schema="core")
"""


@pytest.fixture
def models(project: Project) -> ModelProject:
    """A project whose models are empty."""
    made = ModelProject(project)
    made.models(ITEM)
    return made


def run(models: ModelProject, *flags: str, kind: str = "fast") -> subprocess.CompletedProcess[str]:
    """Run `generate --name change …`."""
    return models.project.run_cli(
        "generate", "--name", "change", "--type", kind, *flags, env=models.environment
    )


def test_paths_are_all_of_stdout_and_no_difference_is_told(models: ModelProject):
    """One path per line, in the order of their timestamps; then nothing, on exit 0."""
    models.models(ITEM + 'Table("note", metadata, Column("id", BigInteger, primary_key=True))\n')
    first = run(models, "--autogenerate")
    assert_code(first, 0)
    (path,) = first.stdout.splitlines()
    assert path.startswith("commands/v1_0_0/")
    assert path.endswith("_change.py")
    models.upgrade()
    again = run(models, "--autogenerate")
    assert_code(again, 0)
    assert again.stdout == ""
    assert "no difference" in again.stderr
    assert len(list(models.project.commands.rglob("*.py"))) == 1


def test_commands_run_without_alembic(models: ModelProject):
    """What is written knows nothing of it."""
    models.models(ITEM + 'Table("note", metadata, Column("id", BigInteger, primary_key=True), comment="x")\n')
    paths, _ = models.generate("change")
    assert all("alembic" not in path.read_text(encoding="utf-8") for path in paths)
    program = "import sys; sys.modules['alembic'] = None; from upgrader.cli.app import main; sys.exit(main())"
    result = subprocess.run(
        [sys.executable, "-c", program, "upgrade"],
        cwd=models.project.directory,
        env=models.project.environment(models.environment),
        capture_output=True,
        text=True,
        check=False,
    )
    assert_code(result, 0)


def test_missing_extra(models: ModelProject):
    """Exit 2 with what to install; nothing is written."""
    program = (
        "import importlib.util as u, sys; find = u.find_spec; "
        "u.find_spec = lambda name, *a: None if name == 'alembic' else find(name, *a); "
        "from upgrader.cli.app import main; sys.exit(main())"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, *["generate", "--name", "x", "--type", "fast", "--autogenerate"]],
        cwd=models.project.directory,
        env=models.project.environment(models.environment),
        capture_output=True,
        text=True,
        check=False,
    )
    assert_error(result, 2, "Alembic", "pip install 'upgrader[autogenerate]'")
    assert list(models.project.commands.rglob("*.py")) == []


@pytest.mark.parametrize(
    ("kind", "flags", "words"),
    [
        ("slow", ["--autogenerate"], ["--type fast"]),
        ("workspace", ["--autogenerate"], ["--workspace-schema"]),
        ("fast", ["--autogenerate", "--workspace-schema", "ws_a"], ["--type workspace"]),
        ("workspace", ["--workspace-schema", "ws_a"], ["--autogenerate"]),
        ("fast", ["--autogenerate", "--non-transactional"], ["--non-transactional"]),
        ("workspace", ["--autogenerate", "--workspace-schema", "ws_a"], ["workspace_metadata"]),
    ],
)
def test_flags_that_do_not_go_together(models: ModelProject, kind: str, flags: list[str], words: list[str]):
    """Exit 2, with what to type; nothing is written."""
    assert_error(run(models, *flags, kind=kind), 2, *words)
    assert list(models.project.commands.rglob("*.py")) == []


def test_metadata_that_is_not_there(models: ModelProject):
    """No metadata in the settings, one that cannot be imported, one that is none, one table twice."""
    models.project.configure(metadata="models:nothing")
    assert_error(run(models, "--autogenerate"), 2, "models:nothing")
    models.project.configure(metadata="models:Table")
    assert_error(run(models, "--autogenerate"), 2, "not a MetaData")
    models.models(ITEM + WORKSPACE + "other = MetaData()\n" + WORKSPACE.replace("metadata", "other"))
    models.project.configure(metadata=["models:metadata", "models:other"])
    assert_error(run(models, "--autogenerate"), 2, "core.workspace")
    models.project.configure(metadata=None)
    assert_error(run(models, "--autogenerate"), 2, "metadata", "myapp.models:Base.metadata")


def test_database_that_cannot_be_reached_and_schema_that_is_not_there(models: ModelProject):
    """Exit 2, no traceback."""
    models.project.configure(workspace_metadata="models:metadata")
    assert_error(run(models, "--autogenerate", "--workspace-schema", "ws_x", kind="workspace"), 2, "ws_x")
    models.project.configure(database_url="postgresql://nobody@localhost:1/none")
    assert_error(run(models, "--autogenerate"), 2, "cannot connect")


def test_pending_commands_are_refused(models: ModelProject):
    """They would be written once more; also those of a later release."""
    models.models(ITEM + 'Table("note", metadata, Column("id", BigInteger, primary_key=True))\n')
    models.generate("change")
    assert_error(run(models, "--autogenerate"), 2, "Change", "upgrader upgrade --include-slow")
    models.upgrade()
    models.project.fast("2.0.0", 1, "Later")
    assert_error(run(models, "--autogenerate"), 2, "2.0.0_Later_1")


def test_what_is_nobody_s_business_is_left_alone(models: ModelProject):
    """History, workspaces' schemas, other schemas, partitions, excluded tables; unknown tables are dropped loudly."""
    models.project.create_workspaces("a")
    models.models(ITEM + WORKSPACE)
    with models.project.connect() as connection:
        connection.execute(
            "create table ws_a.item (id int); create schema other; create table other.x (id int)"
        )
        connection.execute("create table core.legacy_one (id int); create table core.unknown (id int)")
        connection.execute("create table core.kept (day date) partition by list (day)")
    models.project.configure(autogenerate_exclude=["core.legacy_*", "core.kept"])
    models.upgrade()
    before = dump(models.project.database_url)
    (path,), told = models.generate("change")
    text = path.read_text(encoding="utf-8")
    assert 'text("DROP TABLE core.unknown")' in text
    assert text.count("DROP ") == 1
    assert "raise IrreversibleError" in text
    assert "warning: core.unknown is not in the metadata" in told
    assert dump(models.project.database_url) == before


def test_excluded_pattern_needs_a_schema(models: ModelProject):
    """Exit 2 names the setting."""
    models.project.configure(autogenerate_exclude=["legacy"])
    assert_error(run(models, "--autogenerate"), 2, "autogenerate_exclude", "schema.table")


@pytest.mark.parametrize("schema", ["", ', schema="tenant"'])
def test_workspace_commands(models: ModelProject, schema: str):
    """Compared with one workspace, run in all; unqualified, also where a schema stands for the workspace's."""
    project = models.project
    project.create_workspaces("a", "b")
    with project.connect() as connection:
        for name in ("ws_a", "ws_b"):
            connection.execute(
                f"create table {name}.item (id bigint primary key, old text, name text)".encode()
            )
            connection.execute(f"create index item_old_idx on {name}.item (old)".encode())
            connection.execute(f"insert into {name}.item values (1, 'x', 'y')".encode())
        connection.execute("create table public.item (id int); create index item_old_idx on public.item (id)")
    models.models(
        ITEM
        + WORKSPACE
        + "tenant = MetaData()\n"
        + 'Table("item", tenant, Column("id", BigInteger, primary_key=True), Column("name", Text, nullable=False),'
        + f' Column("code", Text, unique=True), Index("item_name_idx", "name"){schema})\n'
        + f'Table("part", tenant, Column("id", BigInteger, primary_key=True){schema})\n'
    )
    project.configure(workspace_metadata="models:tenant")
    flags = ("--workspace-schema", "ws_a")
    paths, _ = models.generate("grow", *flags, kind="workspace")
    assert all("ws_a" not in path.read_text(encoding="utf-8") for path in paths)
    assert all("tenant" not in path.read_text(encoding="utf-8") for path in paths)
    assert_clean(paths)
    models.upgrade()
    for name in ("ws_a", "ws_b"):
        assert models.generate("again", "--workspace-schema", name, kind="workspace")[0] == []
    (indexes,) = project.query("select count(*) from pg_indexes where indexname = 'item_old_idx'")
    assert indexes == (1,)  # the one of public


def test_one_metadata_for_instance_and_workspaces(models: ModelProject):
    """Tables without a schema are the workspaces' then, and no instance command makes them."""
    models.project.create_workspaces("a")
    models.models(ITEM + WORKSPACE + 'Table("item", metadata, Column("id", BigInteger, primary_key=True))\n')
    models.project.configure(workspace_metadata="models:metadata")
    assert models.generate("shared")[0] == []
    (path,), _ = models.generate("items", "--workspace-schema", "ws_a", kind="workspace")
    assert "CREATE TABLE item" in path.read_text(encoding="utf-8")


def test_a_name_that_is_taken_writes_nothing_at_all(models: ModelProject):
    """Files that belong together are written together or not."""
    project = models.project
    models.models(ITEM + 'Table("note", metadata, Column("id", BigInteger, primary_key=True))\n')
    models.generate("change")
    models.upgrade()
    models.models(
        ITEM
        + 'Table("note", metadata, Column("id", BigInteger, primary_key=True), Column("a", Text),'
        + ' Index("note_a_idx", "a"))\n'
    )
    assert_error(run(models, "--autogenerate"), 2, "Change already")
    assert len(list(project.commands.rglob("*.py"))) == 1


def test_role_that_may_only_read(models: ModelProject, make_role: object):
    """Without rights to make temporary tables it compares as well as it can, and does not fail."""
    role = make_role()  # type: ignore[operator]  # a fixture
    models.models(ITEM + 'Table("note", metadata, Column("id", BigInteger, primary_key=True))\n')
    with models.project.connect() as connection:
        database = connection.info.dbname
        connection.execute(f'revoke temporary on database "{database}" from public'.encode())
        connection.execute("create table note (id bigserial primary key)")
    models.project.configure(database_url=role.url(models.project.database_url))
    assert models.generate("change")[0] == []
