"""The helpers for people who test their own commands."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import Connection, Engine, NullPool, create_engine, text

from upgrader import Workspace, create_index_concurrently, instance_command, workspace_command
from upgrader.errors import GuardError, LoadingError
from upgrader.events import Notice, RunFinished
from upgrader.testing import RecordingSink, run_command


@instance_command("1.0.0", 1)
class AddThing:
    def up(self, connection: Connection) -> None:
        connection.execute(text("create table thing (id int)"))


@instance_command("1.0.0", 2, "slow")
class FillThing:
    def run_data_migration(self, ctx) -> None:
        for workspace in ctx.workspaces():
            with ctx.transaction() as connection:
                connection.execute(text("insert into thing values (:id)"), {"id": int(workspace.id)})

    def up(self, connection: Connection) -> None:
        connection.execute(text("alter table thing alter id set not null"))


@workspace_command("1.0.0", 3)
class AddNote:
    def run_on_workspace(self, ctx) -> None:
        ctx.connection.execute(
            text("create table note as select cast(:id as text) as id"), {"id": ctx.workspace.id}
        )
        ctx.log.info("made note %s of %s", ctx.index, ctx.total)


@instance_command("1.0.0", 4)
class Commits:
    def up(self, connection: Connection) -> None:
        connection.commit()


@instance_command("1.0.0", 5)
class Swallows:
    def up(self, connection: Connection) -> None:
        with contextlib.suppress(Exception):
            connection.execute(text("select 1/0"))


@instance_command("1.0.0", 6, transactional=False)
class Indexes:
    def up(self, connection: Connection) -> None:
        create_index_concurrently(connection, "thing_id", table="thing", columns="id")


class Undecorated:
    def up(self, connection: Connection) -> None: ...


@pytest.fixture
def engine(database_url: str) -> Engine:
    return create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(database_url), poolclass=NullPool
    )


@pytest.fixture
def transaction(engine: Engine) -> Iterator[Connection]:
    with engine.begin() as connection:
        yield connection


def test_instance_command(transaction: Connection):
    """A command's effect is seen in the test's own transaction."""
    run_command(AddThing, transaction)

    assert transaction.execute(text("select count(*) from thing")).scalar() == 0


def test_nothing_is_committed(engine: Engine):
    """The test decides whether the effect is kept."""
    with engine.connect() as connection:
        run_command(AddThing, connection)
        connection.rollback()
        assert connection.execute(text("select to_regclass('thing')")).scalar() is None


def test_slow_command(transaction: Connection):
    """The data migration comes first, its transactions as savepoints."""
    run_command(AddThing, transaction)
    run_command(FillThing, transaction, workspaces=[Workspace("1"), Workspace("2")])

    assert transaction.execute(text("select array_agg(id order by id) from thing")).scalar() == [1, 2]


def test_workspace_command(transaction: Connection):
    """A workspace command runs in its workspace's schema."""
    transaction.execute(text('create schema "Ws 1"'))
    run_command(AddNote, transaction, workspace=Workspace("1", schema="Ws 1"))

    assert transaction.execute(text('select id from "Ws 1".note')).scalar() == "1"


@pytest.mark.parametrize(("command", "message"), [(Commits, "may not call commit"), (Swallows, "aborted")])
def test_is_guarded(engine: Engine, command: type, message: str):
    """What fails in an upgrade fails in a test; afterwards the test's connection is its own again."""
    with engine.connect() as connection:
        with pytest.raises(GuardError, match=message):
            run_command(command, connection)
        connection.rollback()
        with pytest.raises(GuardError, match=message):
            run_command(command, connection)
        connection.rollback()
        connection.execute(text("create table kept (id int)"))
        connection.commit()


def test_non_transactional_command(engine: Engine):
    """A command that wants autocommit gets a connection in autocommit."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("create table thing (id int)"))
        run_command(Indexes, connection)
        run_command(Indexes, connection)
        assert connection.execute(
            text("select indisvalid from pg_index where indrelid = 'thing'::regclass")
        ).scalar()


def test_what_is_no_command(transaction: Connection):
    """A class that would not load is refused as it would be then."""
    with pytest.raises(LoadingError):
        run_command(Undecorated, transaction)
    with pytest.raises(ValueError, match="AddNote needs a workspace"):
        run_command(AddNote, transaction)
    with pytest.raises(ValueError, match="AddThing needs no workspace"):
        run_command(AddThing, transaction, workspace=Workspace("1"))


def test_recording_sink():
    """A sink gives what it was told, all of it or by type."""
    sink = RecordingSink()
    sink(Notice("one"))
    sink(RunFinished("r", "done"))
    sink(Notice("two", "warning"))

    assert [event.message for event in sink.of(Notice)] == ["one", "two"]
    assert len(sink.events) == 3
