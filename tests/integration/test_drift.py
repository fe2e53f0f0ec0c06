"""Models against commands: large ones, other paths to the same schema, workspaces, what is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.checking import checking
from tests.support.project import Project
from upgrader.check.catalog.compare import compare_catalogs
from upgrader.check.catalog.read import list_schemas, read_catalog
from upgrader.check.drift import DriftResult, find_drift
from upgrader.errors import SettingsError
from upgrader.model import Severity

MODELS = """
from sqlalchemy import *
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

class Base(DeclarativeBase):
    metadata = MetaData(schema="core")

class Item(Base):
    __tablename__ = "item"
    id: Mapped[int] = mapped_column(primary_key=True)
    status: Mapped[str] = mapped_column(String(10), CheckConstraint("status IN ('open', 'paid')"))
    price: Mapped[int | None]

class OwnBase(DeclarativeBase):
    pass

class Note(OwnBase):
    __tablename__ = "note"
    id: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[str] = mapped_column(Text)
"""
ITEM = """
connection.execute(text("create schema if not exists core"))
connection.execute(text(
    "create table core.item (id serial primary key, price int, status varchar(10) not null"
    " check (status in ('open', 'paid')))"))
"""
PREPARE = """
from sqlalchemy import text

def workspaces(connection):
    connection.execute(text(
        "create schema core; create table core.workspace (id text primary key, display_name text,"
        " activation_status text, database_schema text);"
        "insert into core.workspace values ('a', 'A', 'ACTIVE', 'ws_a'), ('b', 'B', 'ACTIVE', 'ws_b'),"
        " ('c', 'C', 'CLOSED', 'ws_c')"))
    for name in 'abc':
        connection.execute(text(f"create schema ws_{name}"))
"""


@pytest.fixture
def modules(project: Project, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The models and the base of one test, as modules that can be imported; gives their prefix."""
    prefix = f"drift_{abs(hash(request.node.nodeid))}"
    project.write(f"{prefix}_models.py", MODELS)
    project.write(f"{prefix}_base.py", PREPARE)
    monkeypatch.syspath_prepend(str(project.directory))
    return prefix


def test_a_large_schema_made_another_way_has_no_drift(project: Project) -> None:
    """Tables are made bare, then column by column in another order: the same in the end."""
    project.configure(metadata=["tests.support.large_models:metadata"])
    project.fast(
        "1.0.0",
        1,
        "Build",
        """
        from tests.support.large_models import build_otherwise
        build_otherwise(connection)
        """,
    )
    with checking(project) as check:
        sequence = check.sequence()
        assert sequence.is_complete, sequence.findings
        result = find_drift(sequence, base=check.base, settings=check.subject.settings)
    assert result == DriftResult(())


class _Counting(psycopg.Connection[tuple[object, ...]]):
    """Counts its statements."""

    count = 0

    def execute(self, *arguments: Any, **options: Any) -> psycopg.Cursor[Any]:
        self.count += 1
        return super().execute(*arguments, **options)


def test_a_catalog_is_read_in_a_fixed_number_of_queries(database_url: str) -> None:
    """Ten tables take as many queries as one."""
    counts = []
    with _Counting.connect(database_url, autocommit=True) as connection:
        connection.execute("create schema core")
        for number in range(10):
            connection.execute(f"create table core.t{number} (id int primary key, x int unique)".encode())
            connection.count = 0
            catalog = read_catalog(connection, ["core"])
            counts.append(connection.count)
    assert len(catalog) == 1 + 10 * 5
    assert set(counts) == {counts[0]}


def test_finding_points_to_the_model(project: Project, modules: str) -> None:
    """A finding stands at the class of the table; where no class is known, at no file."""
    project.configure(metadata=[f"{modules}_models:Base.metadata"])
    project.fast("1.0.0", 1, "MakeItem", ITEM.replace("price int", "price bigint"))
    project.fast("1.0.0", 2, "MakeStray", "create table core.stray ()")
    with checking(project) as check:
        found = check.drift().findings
    models = project.directory / f"{modules}_models.py"
    line = models.read_text().splitlines().index("class Item(Base):") + 1
    assert [(one.file, one.line) for one in found] == [(models, line), (None, None)]
    where = f"; the models are {modules}_models:Base.metadata"
    assert [one.remedy.endswith(where) for one in found] == [False, True]
    assert found[0].message == "core.item.price: integer in the models, bigint after the commands"


def test_patterns_exclude_tables_with_their_parts(project: Project, modules: str) -> None:
    """`drift_exclude` leaves out what it names, and what belongs to that."""
    project.configure(
        metadata=[f"{modules}_models:Base.metadata"],
        check={"drift_exclude": ["core.legacy_*", "core.item.price"]},
    )
    project.fast("1.0.0", 1, "MakeItem", ITEM.replace("price int", "price bigint"))
    project.fast("1.0.0", 2, "MakeLegacy", "create table core.legacy_one (id int primary key)")
    project.fast("1.0.0", 3, "MakeOther", "create table core.other (id int primary key)")
    with checking(project) as check:
        messages = [finding.message for finding in check.drift().findings]
    assert messages == ["the commands make the table core.other, and the models do not know it"]


def test_models_of_workspaces_are_compared_with_one_of_them(project: Project, modules: str) -> None:
    """The schema of one workspace is held against `workspace_metadata`; the others, and the history, are left out."""
    project.configure(
        metadata=[f"{modules}_models:Base.metadata"],
        workspace_metadata=[f"{modules}_models:OwnBase.metadata"],
        check={"prepare": f"{modules}_base:workspaces", "drift_exclude": ["core.workspace"]},
    )
    project.fast("1.0.0", 1, "MakeItem", ITEM)
    project.workspace(
        "1.0.0", 1, "MakeNote", "create table note (id serial primary key, body varchar(9) not null)"
    )
    with checking(project) as check:
        result = check.drift()
    assert [finding.message for finding in result.findings] == [
        "ws_a.note.body: text in the models, character varying(9) after the commands"
    ]
    assert result.left_out == ()


def test_without_a_workspace_it_is_said_what_was_not_tried(project: Project, modules: str) -> None:
    """Workspace commands need a workspace of the base: without one they and their models are left out, aloud."""
    project.configure(
        metadata=[f"{modules}_models:Base.metadata"],
        workspace_metadata=[f"{modules}_models:OwnBase.metadata"],
    )
    project.fast("1.0.0", 1, "MakeItem", ITEM)
    project.workspace("1.0.0", 1, "MakeNote", "this would fail")
    with checking(project) as check:
        sequence = check.sequence()
        result = check.drift()
    assert sequence.is_complete
    assert "workspace commands were not tried" in sequence.left_out[0]
    assert result.findings == ()
    assert result.left_out == ("the workspaces' models were not compared: there is no workspace",)


def test_a_dump_as_the_base_is_no_drift(project: Project, modules: str, tmp_path: Path) -> None:
    """`CHECK (status IN …)` comes back from a dump printed with other casts, and means the same."""
    project.configure(
        metadata=[f"{modules}_models:Base.metadata"], check={"base_schema": str(tmp_path / "base.sql")}
    )
    (tmp_path / "base.sql").write_text(
        "create schema core; create table core.item (id serial primary key, price int,"
        " status character varying(10) not null, constraint item_status_check check (((status)::text ="
        " any ((array['open'::character varying, 'paid'::character varying])::text[]))));"
    )
    project.fast("1.0.0", 1, "DoNothing", "select 1")
    with checking(project) as check:
        assert check.drift().findings == ()


def test_models_may_use_functions_that_only_commands_make(project: Project, modules: str) -> None:
    """A default that calls the commands' own function: it is taken over, and functions are not compared."""
    project.write(
        f"{modules}_models.py",
        """
        from sqlalchemy import *
        metadata = MetaData(schema="core")
        Table("item", metadata, Column("id", Text, primary_key=True, server_default=text("core.new_id()")))
        """,
    )
    project.configure(metadata=[f"{modules}_models:metadata"])
    project.fast(
        "1.0.0",
        1,
        "MakeItem",
        """
        connection.execute(text("create schema core"))
        connection.execute(text("create function core.new_id() returns text language sql as 'select ''x'''"))
        connection.execute(text("create table core.item (id text primary key default core.new_id())"))
        """,
    )
    with checking(project) as check:
        result = check.drift()
    assert result.findings == ()
    assert [text[:33] for text in result.left_out] == ["functions and collations were not"]


def test_models_that_cannot_be_made_are_a_finding(project: Project, modules: str) -> None:
    """A `create_all` that fails is told with what the server says."""
    project.write(
        f"{modules}_models.py",
        """
        from sqlalchemy import *
        metadata = MetaData(schema="core")
        Table("item", metadata, Column("id", Integer, server_default=text("nonsense(")))
        """,
    )
    project.configure(metadata=[f"{modules}_models:metadata"])
    project.fast("1.0.0", 1, "DoNothing", "select 1")
    with checking(project) as check:
        found = check.drift().findings
    assert [(one.severity, one.message.partition(":")[0]) for one in found] == [
        (Severity.ERROR, "the models cannot be made in an empty database")
    ]
    assert "syntax error" in found[0].message


def test_models_that_cannot_be_imported_are_refused(project: Project) -> None:
    """A wrong name of the metadata is the operator's mistake."""
    project.configure(metadata=["no_such_module:metadata"])
    project.fast("1.0.0", 1, "DoNothing", "select 1")
    with checking(project) as check, pytest.raises(SettingsError, match="no_such_module"):
        check.drift()


def test_nothing_is_compared_after_a_failed_sequence(project: Project, modules: str) -> None:
    """What a broken sequence has not made says nothing about the models."""
    project.configure(metadata=[f"{modules}_models:Base.metadata"])
    project.fast("1.0.0", 1, "Fail", "select 1 / 0")
    with checking(project) as check:
        sequence = check.sequence()
        result = find_drift(sequence, base=check.base, settings=check.subject.settings)
    assert not sequence.is_complete
    assert result.findings == ()
    assert result.left_out == ("the models were not compared: the commands did not run to their end",)


def test_reading_leaves_an_open_transaction_as_it_was(connection: psycopg.Connection) -> None:
    """Inside a transaction what it has done is seen, and its search_path stays."""
    with connection.transaction():
        connection.execute("create schema mine; set local search_path = mine; create table t (id int)")
        catalog = read_catalog(connection, list_schemas(connection))
        assert connection.execute("show search_path").fetchone() == ("mine",)
    assert "mine.t" in {found.path for found in catalog}
    assert compare_catalogs(catalog, read_catalog(connection, list_schemas(connection))) == []
