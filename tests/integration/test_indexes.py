"""Indexes built and dropped concurrently, over and over."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError, ProgrammingError

from tests.support.project import Project
from tests.support.server import wait_until
from upgrader import create_index_concurrently, drop_index_concurrently
from upgrader.database.connect import Connector
from upgrader.database.guard import EARLIER_ATTEMPTS
from upgrader.database.index_progress import InvalidIndex, invalid_indexes
from upgrader.database.session import CommandSession
from upgrader.errors import StepError
from upgrader.runner.options import UpgradeOptions

TABLES = """
create schema core;
create table core.thing (id int, name text, "Camel Case" int, tags text[], happened_at timestamptz);
create table thing (id int, name text);
insert into core.thing select g, 'name ' || g, g, array[g::text], now() from generate_series(1, 100) g;
"""


@pytest.fixture
def session(database_url: str) -> Iterator[CommandSession]:
    session = CommandSession(Connector(database_url))
    session.driver.execute(TABLES.encode())
    yield session
    session.close()


@pytest.fixture
def autocommit(session: CommandSession) -> Connection:
    """What a command with `transactional=False` is given, at its first attempt."""
    connection = session.begin_autocommit(settings={"lock_timeout": "30000"}, observer=None)
    connection.info[EARLIER_ATTEMPTS] = 0
    return connection


def indexes(connection: Connection, table: str = "core.thing") -> dict[str, tuple[int, bool]]:
    """Give the indexes of a table: number and validity by name."""
    rows = connection.exec_driver_sql(
        "select c.relname, c.oid, i.indisvalid from pg_index i join pg_class c on c.oid = i.indexrelid"
        f" where i.indrelid = '{table}'::regclass"
    )
    return {name: (oid, is_valid) for name, oid, is_valid in rows}


def definition(connection: Connection, name: str) -> str:
    return str(connection.exec_driver_sql(f"select pg_get_indexdef('{name}'::regclass)").scalar())


DEFINITIONS = [
    ({"columns": "name"}, "(name)"),
    ({"columns": ["name", "id desc nulls last"]}, "(name, id DESC NULLS LAST)"),
    ({"columns": "name", "unique": True}, "UNIQUE"),
    ({"columns": "lower(name)"}, "(lower(name))"),
    (
        {"columns": ["id", "(id + 1)", "lower(name) text_pattern_ops"]},
        "(id, ((id + 1)), lower(name) text_pattern_ops)",
    ),
    ({"columns": "id", "where": "name is not null and id > 10"}, "WHERE ((name IS NOT NULL) AND (id > 10))"),
    ({"columns": "id", "where": "name like 'a%' or name = '50% off'"}, "WHERE"),
    ({"columns": "id", "include": "name"}, "INCLUDE (name)"),
    ({"columns": "id", "include": ["name", "happened_at"]}, "INCLUDE (name, happened_at)"),
    ({"columns": '"Camel Case"'}, '("Camel Case")'),
    ({"columns": "tags", "method": "gin"}, "USING gin (tags)"),
    ({"columns": "happened_at", "method": "brin"}, "USING brin (happened_at)"),
    ({"columns": "id", "method": "hash"}, "USING hash (id)"),
    ({"columns": ['name collate "C"']}, '(name COLLATE "C")'),
    ({"columns": "((name = ' USING ' || id::text))"}, "' USING '"),
    ({"columns": "id", "parameters": "fillfactor = 70"}, "WITH (fillfactor='70')"),
    ({"columns": "id", "tablespace": "pg_default"}, "(id)"),
    (
        {"columns": "id", "unique": True, "nulls_not_distinct": True, "include": "name", "where": "id > 0"},
        "(id) INCLUDE (name) NULLS NOT DISTINCT WHERE (id > 0)",
    ),
]


class TestCreate:
    @pytest.mark.parametrize(("arguments", "part"), DEFINITIONS, ids=lambda value: str(value)[:40])
    def test_is_built_once(self, autocommit: Connection, arguments: dict[str, object], part: str):
        """An index of any definition is built, is valid, and is not built a second time."""
        create_index_concurrently(autocommit, "thing_x", table="core.thing", **arguments)
        first = indexes(autocommit)
        assert first["thing_x"][1]
        assert part in definition(autocommit, "core.thing_x")

        create_index_concurrently(autocommit, "thing_x", table="core.thing", **arguments)
        assert indexes(autocommit) == first

    @pytest.mark.parametrize(
        "other",
        [
            {"columns": "name"},
            {"columns": "id", "unique": True},
            {"columns": "id desc"},
            {"columns": ["id", "name"]},
            {"columns": "id", "where": "id > 1"},
            {"columns": "id", "include": "name"},
            {"columns": "id", "method": "hash"},
        ],
        ids=str,
    )
    def test_other_definition_is_refused(self, autocommit: Connection, other: dict[str, object]):
        """An index of that name and another definition is reported and left alone."""
        create_index_concurrently(autocommit, "thing_x", table="core.thing", columns="id")
        before = indexes(autocommit)

        with pytest.raises(
            StepError, match=r"core\.thing_x of another definition: CREATE INDEX thing_x"
        ) as told:
            create_index_concurrently(autocommit, "thing_x", table="core.thing", **other)

        assert "choose another name" in str(told.value.hint)
        assert indexes(autocommit) == before

    def test_same_definition_written_otherwise(self, autocommit: Connection):
        """PostgreSQL, not the text, tells whether two definitions are the same."""
        create_index_concurrently(
            autocommit, "thing_x", table="core.thing", columns="id,lower( name )", where="id>1"
        )
        before = indexes(autocommit)

        create_index_concurrently(
            autocommit,
            "thing_x",
            table="core.thing",
            columns=["id asc", "LOWER(name)"],
            where="(id > (1)::int)",
            method="btree",
        )

        assert indexes(autocommit) == before

    @pytest.mark.parametrize("name", ["Thing X", 'thing"x', "täglich", "x" * 63, "100% %s", ":x", "select"])
    def test_name_is_taken_as_it_is(self, autocommit: Connection, name: str):
        """A name is quoted for the author, whatever is in it."""
        for _ in range(2):
            create_index_concurrently(autocommit, name, table="core.thing", columns="id")

        assert list(indexes(autocommit)) == [name]

    def test_name_that_would_be_cut(self, autocommit: Connection):
        """A name that PostgreSQL would shorten in silence is refused."""
        with pytest.raises(StepError, match="longer than 63 bytes"):
            create_index_concurrently(autocommit, "ü" * 32, table="core.thing", columns="id")

        assert indexes(autocommit) == {}

    def test_table_is_looked_up(self, autocommit: Connection):
        """An unqualified table is the one that search_path finds, and its index stands beside it."""
        autocommit.exec_driver_sql("set search_path = core, public")
        create_index_concurrently(autocommit, "thing_x", table="thing", columns="id")
        autocommit.exec_driver_sql("set search_path = public")
        create_index_concurrently(autocommit, "thing_x", table="thing", columns="id")

        assert indexes(autocommit, "core.thing").keys() == {"thing_x"}
        assert indexes(autocommit, "public.thing").keys() == {"thing_x"}

    def test_table_outside_of_search_path(self, autocommit: Connection):
        """A qualified table needs no search_path; neither does finding its index again."""
        autocommit.exec_driver_sql("set search_path = pg_catalog")
        for _ in range(2):
            create_index_concurrently(autocommit, "thing_x", table="core.thing", columns="id")

        assert indexes(autocommit).keys() == {"thing_x"}

    def test_same_name_in_another_schema(self, autocommit: Connection):
        """An index of that name elsewhere is none of this one's business."""
        create_index_concurrently(autocommit, "thing_x", table="public.thing", columns="name")
        create_index_concurrently(autocommit, "thing_x", table="core.thing", columns="id")

        assert "(name)" in definition(autocommit, "public.thing_x")
        assert "(id)" in definition(autocommit, "core.thing_x")

    def test_name_of_another_tables_index(self, autocommit: Connection):
        """An index of that name on another table of the schema is refused, of the same shape or not."""
        autocommit.exec_driver_sql("create table core.other (id int)")
        create_index_concurrently(autocommit, "thing_x", table="core.other", columns="id")

        with pytest.raises(StepError, match="thing_x"):
            create_index_concurrently(autocommit, "thing_x", table="core.thing", columns="id")

        assert indexes(autocommit, "core.other").keys() == {"thing_x"}
        assert indexes(autocommit) == {}

    def test_name_of_a_table(self, autocommit: Connection):
        """A name that a table has already fails with the database's word."""
        with pytest.raises(ProgrammingError, match="already exists"):
            create_index_concurrently(autocommit, "thing", table="core.thing", columns="id")

    def test_quoted_table(self, autocommit: Connection):
        """A table whose name needs quotes is given as SQL."""
        autocommit.exec_driver_sql('create schema "My Schema"')
        autocommit.exec_driver_sql('create table "My Schema"."The Table" (id int)')
        for _ in range(2):
            create_index_concurrently(autocommit, "thing_x", table='"My Schema"."The Table"', columns="id")

        assert indexes(autocommit, '"My Schema"."The Table"').keys() == {"thing_x"}

    def test_partitioned_table(self, autocommit: Connection):
        """What PostgreSQL cannot build concurrently fails with its word, and leaves nothing."""
        autocommit.exec_driver_sql("create table core.parted (id int) partition by range (id)")
        with pytest.raises(Exception, match="partitioned table"):
            create_index_concurrently(autocommit, "parted_x", table="core.parted", columns="id")

        assert indexes(autocommit, "core.parted") == {}

    @pytest.mark.parametrize("table", ["core.nothing", "nowhere.thing"])
    def test_missing_table(self, autocommit: Connection, table: str):
        """A table that is not there is named."""
        with pytest.raises(StepError, match=f"there is no table {table}"):
            create_index_concurrently(autocommit, "thing_x", table=table, columns="id")

    def test_inside_a_transaction(self, session: CommandSession):
        """In a transaction it is refused with the remedy, before the database is asked."""
        transaction = session.begin(settings={})
        for call in (
            lambda: create_index_concurrently(transaction.connection, "x", table="core.thing", columns="id"),
            lambda: drop_index_concurrently(transaction.connection, "core.x"),
        ):
            with pytest.raises(StepError, match="cannot run inside a transaction") as told:
                call()
            assert "transactional=False" in str(told.value.hint)
        transaction.check()
        transaction.rollback()

    def test_leaves_no_temporary_table(self, autocommit: Connection, session: CommandSession):
        """Comparing definitions leaves nothing in the session."""
        for _ in range(2):
            create_index_concurrently(autocommit, "thing_x", table="core.thing", columns="id")

        assert (
            autocommit.exec_driver_sql(
                "select count(*) from pg_class where relnamespace = pg_my_temp_schema()"
            ).scalar()
            == 0
        )
        session.end_autocommit()


class TestInvalid:
    @pytest.fixture
    def invalid(self, autocommit: Connection) -> Connection:
        """A unique index that could not be built, because of a row that is there twice."""
        autocommit.exec_driver_sql("insert into core.thing (id) values (1)")
        with pytest.raises(IntegrityError):
            create_index_concurrently(autocommit, "thing_x", table="core.thing", columns="id", unique=True)
        assert not indexes(autocommit)["thing_x"][1]
        return autocommit

    def test_by_somebody_else_is_reported(self, invalid: Connection):
        """At the first attempt nothing of the kind can be this step's: it is reported and left alone."""
        before = indexes(invalid)

        with pytest.raises(
            StepError, match=r"invalid index core\.thing_x, and not by an unfinished attempt"
        ) as told:
            create_index_concurrently(invalid, "thing_x", table="core.thing", columns="id", unique=True)

        assert "DROP INDEX CONCURRENTLY core.thing_x;" in str(told.value.hint)
        assert indexes(invalid) == before

    def test_by_an_unfinished_attempt_is_built_again(self, invalid: Connection):
        """What an earlier attempt left is removed; once the data are repaired the index is built."""
        invalid.exec_driver_sql("delete from core.thing where name is null")
        left = indexes(invalid)["thing_x"]
        invalid.info[EARLIER_ATTEMPTS] = 1

        create_index_concurrently(invalid, "thing_x", table="core.thing", columns="id", unique=True)

        oid, is_valid = indexes(invalid)["thing_x"]
        assert (oid != left[0], is_valid) == (True, True)

    def test_repair_that_fails_again(self, invalid: Connection):
        """With the data as they were, the next attempt fails as the first did."""
        invalid.info[EARLIER_ATTEMPTS] = 1
        with pytest.raises(IntegrityError, match="could not create unique index"):
            create_index_concurrently(invalid, "thing_x", table="core.thing", columns="id", unique=True)

        assert not indexes(invalid)["thing_x"][1]

    def test_being_built_is_left_to_its_builder(self, invalid: Connection, database_url: str):
        """An index that another session may be building is not dropped."""
        invalid.info[EARLIER_ATTEMPTS] = 1
        with psycopg.connect(database_url) as builder:
            builder.execute("lock table core.thing in share update exclusive mode")
            pid = builder.info.backend_pid
            with pytest.raises(StepError, match=rf"is invalid, and pid {pid} may be building it"):
                create_index_concurrently(invalid, "thing_x", table="core.thing", columns="id", unique=True)

        assert "thing_x" in indexes(invalid)

    def test_can_be_dropped(self, invalid: Connection):
        """An invalid index is dropped like any other."""
        drop_index_concurrently(invalid, "core.thing_x")

        assert indexes(invalid) == {}


class TestDrop:
    def test_is_repeatable(self, autocommit: Connection):
        """An index that is gone counts as dropped."""
        create_index_concurrently(autocommit, "thing_x", table="core.thing", columns="id")
        for _ in range(2):
            drop_index_concurrently(autocommit, "core.thing_x")
            assert indexes(autocommit) == {}

    def test_missing_schema(self, autocommit: Connection):
        """Nor is a schema that is gone an error."""
        drop_index_concurrently(autocommit, "nowhere.thing_x")

    def test_is_looked_up(self, autocommit: Connection):
        """An unqualified name is the index that search_path finds."""
        for table in ("core.thing", "public.thing"):
            create_index_concurrently(autocommit, "thing_x", table=table, columns="id")
        autocommit.exec_driver_sql("set search_path = core, public")
        drop_index_concurrently(autocommit, "thing_x")

        assert indexes(autocommit, "core.thing") == {}
        assert indexes(autocommit, "public.thing").keys() == {"thing_x"}

    @pytest.mark.parametrize("name", ["Thing X", "100%"])
    def test_quoted_name(self, autocommit: Connection, name: str):
        """A name that needs quotes is given as SQL."""
        create_index_concurrently(autocommit, name, table="core.thing", columns="id")
        drop_index_concurrently(autocommit, f'core."{name}"')

        assert indexes(autocommit) == {}

    def test_what_is_no_index(self, autocommit: Connection):
        """A table of that name is not dropped."""
        with pytest.raises(ProgrammingError, match="is not an index"):
            drop_index_concurrently(autocommit, "core.thing")


class TestInARun:
    COMMAND = 'create_index_concurrently(connection, "thing_id", table="thing", columns="id", unique=True)'

    def test_repaired_by_the_next_run(self, project: Project):
        """A run fails on double rows; after the repair the next run removes what is left and builds the index."""
        with project.connect() as connection:
            connection.execute("create table thing (id int)")
            connection.execute("insert into thing values (1), (1)")
        project.fast("1.0.0", 1, "IndexThing", self.COMMAND, transactional=False)

        failed = project.api().upgrade(UpgradeOptions())
        assert [result.status for result in failed.failures] == ["failed"]
        assert "could not create unique index" in str(failed.failures[0].error)
        project.query("delete from thing where ctid = (select min(ctid) from thing) returning 1")

        assert project.api().upgrade(UpgradeOptions()).completed == 1
        assert project.query("select indisvalid from pg_index where indexrelid = 'thing_id'::regclass") == [
            (True,)
        ]
        attempts = project.query(
            "select attempt, status from upgrader.history where not is_initial order by id"
        )
        assert attempts == [(1, "failed"), (2, "completed")]

    def test_writers_go_on(self, project: Project):
        """While it waits for an old transaction, the table is written to."""
        with project.connect() as connection:
            connection.execute("create table thing (id int)")
        project.fast("1.0.0", 1, "IndexThing", self.COMMAND, transactional=False)
        with (
            ThreadPoolExecutor(1) as pool,
            project.connect(autocommit=False) as old,
            project.connect() as writer,
        ):
            old.execute("insert into thing values (1)")
            run = pool.submit(project.api().upgrade, UpgradeOptions())
            wait_until(
                lambda: bool(project.query("select from pg_stat_activity where query ilike 'create unique%'"))
            )
            writer.execute("set lock_timeout = '5s'")
            writer.execute("insert into thing values (2)")
            old.commit()
            assert run.result(timeout=60).completed == 1


def test_index_of_a_column_with_a_percent_sign(autocommit: Connection):
    """A percent sign in the SQL is not taken for a parameter."""
    autocommit.execute(text('alter table core.thing add column "100%" int'))
    for _ in range(2):
        create_index_concurrently(autocommit, "thing_x", table="core.thing", columns='"100%"')

    assert indexes(autocommit).keys() == {"thing_x"}


def test_drop_by_table_leaves_an_index_of_that_name_elsewhere_alone(autocommit: Connection):
    """With its table given, an index that is gone is not looked for along the search path."""
    create_index_concurrently(autocommit, "thing_x", table="core.thing", columns="id")
    create_index_concurrently(autocommit, "thing_x", table="public.thing", columns="id")
    for _ in range(2):
        drop_index_concurrently(autocommit, "thing_x", table="core.thing")
    assert indexes(autocommit) == {}
    assert list(indexes(autocommit, "public.thing")) == ["thing_x"]


def test_an_index_that_is_being_built_or_dropped_never_looks_abandoned(
    session: CommandSession, database_url: str
):
    """Sessions that build and drop all the time: at no moment is there an invalid index that nobody works on."""
    session.driver.execute("create table other (id int)")

    def build(table: str) -> None:
        with psycopg.connect(database_url, autocommit=True) as driver:
            for _ in range(100):
                driver.execute(f"create index concurrently {table}_x on {table} (id)".encode())
                driver.execute(f"drop index concurrently {table}_x".encode())

    seen: dict[int, InvalidIndex] = {}
    looks = 0
    with ThreadPoolExecutor() as pool:
        builders = [pool.submit(build, table) for table in ("thing", "other")]
        while not all(builder.done() for builder in builders):
            seen |= invalid_indexes(session.driver)
            looks += 1
    assert [builder.result() for builder in builders] == [None, None]
    assert seen == {}
    assert looks > 20
