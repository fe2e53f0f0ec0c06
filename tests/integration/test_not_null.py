"""`set_not_null` and `ensure_backfilled`: in every place where an author may call them, and what others notice."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from sqlalchemy import Connection, text

from tests.support.project import Project
from tests.support.server import wait_until
from upgrader import ensure_backfilled, set_not_null
from upgrader.database import not_null
from upgrader.database.connect import Connector
from upgrader.database.not_null import ProofNeeded, check_name
from upgrader.database.session import CommandSession
from upgrader.database.step_transaction import StepTransaction
from upgrader.errors import StepError
from upgrader.model import Outcome
from upgrader.runner.options import UpgradeOptions

TABLES = """
create schema core;
create table core.thing (id int, name text, "Camel Case" int);
insert into core.thing select g, 'name ' || g, g from generate_series(1, 1000) g;
"""
USE = "from upgrader import ensure_backfilled, set_not_null\n"


@pytest.fixture
def session(database_url: str) -> Iterator[CommandSession]:
    session = CommandSession(Connector(database_url))
    session.driver.execute(TABLES.encode())
    yield session
    session.close()


@pytest.fixture
def transaction(session: CommandSession) -> StepTransaction:
    """What `up` works in."""
    return session.begin(settings={"lock_timeout": "2000"})


@pytest.fixture
def autocommit(session: CommandSession) -> Connection:
    """What a command with `transactional=False` is given."""
    return session.begin_autocommit(settings={"lock_timeout": "0"}, observer=None)


@pytest.fixture
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every table that has any page for a large one."""
    monkeypatch.setattr(not_null, "SMALL_TABLE_BYTES", 0)


def state(connection: Connection | psycopg.Connection, table: str, column: str) -> tuple[bool, list[str]]:
    """Give whether a column is NOT NULL, and the names of its table's checks."""
    query = (
        f"select (select attnotnull from pg_attribute where attrelid = '{table}'::regclass"
        f" and attname = '{column}'), array(select conname from pg_constraint where"
        f" conrelid = '{table}'::regclass and contype = 'c' order by conname)::text[]"
    )
    execute = connection.exec_driver_sql if isinstance(connection, Connection) else connection.execute
    row = execute(query).fetchone()
    assert row is not None
    return row[0], row[1]


class TestInATransaction:
    def test_small_table(self, transaction: StepTransaction):
        """A small table is just scanned; a second call has nothing to do."""
        for _ in range(2):
            set_not_null(transaction.connection, "core.thing", "name")

            assert state(transaction.connection, "core.thing", "name") == (True, [])

    @pytest.mark.usefixtures("everything_is_large")
    def test_large_table_is_not_scanned_under_a_lock(self, transaction: StepTransaction):
        """Where nothing proves that there is no NULL, nothing is locked and the error says where to call it."""
        with pytest.raises(ProofNeeded, match=r"core\.thing has .* MB") as told:
            set_not_null(transaction.connection, "core.thing", "name")

        assert "transactional=False" in str(told.value.hint)
        assert state(transaction.connection, "core.thing", "name") == (False, [])

    @pytest.mark.usefixtures("everything_is_large")
    def test_own_check_is_the_proof(self, session: CommandSession):
        """A validated check of ours makes it a matter of the catalog, and goes."""
        name = check_name("name")
        session.driver.execute(
            f"alter table core.thing add constraint {name} check (name is not null)".encode()
        )
        connection = session.begin(settings={}).connection

        set_not_null(connection, "core.thing", "name")

        assert state(connection, "core.thing", "name") == (True, [])

    @pytest.mark.usefixtures("everything_is_large")
    def test_check_of_somebody_else_is_a_proof_and_stays(self, session: CommandSession):
        """A validated check of the same meaning is used and left alone."""
        session.driver.execute(b"alter table core.thing add constraint theirs check (name is not null)")
        connection = session.begin(settings={}).connection

        set_not_null(connection, "core.thing", "name")

        assert state(connection, "core.thing", "name") == (True, ["theirs"])

    @pytest.mark.usefixtures("everything_is_large")
    def test_check_that_says_something_else_is_no_proof(self, session: CommandSession):
        """Neither one that is not validated, nor one about something else, counts."""
        session.driver.execute(
            b"alter table core.thing add constraint one check (name is not null) not valid,"
            b" add constraint two check (name is not null or id > 0), add check (length(name) > 0)"
        )

        with pytest.raises(ProofNeeded):
            set_not_null(session.begin(settings={}).connection, "core.thing", "name")

    @pytest.mark.usefixtures("everything_is_large")
    @pytest.mark.parametrize("make", ["create table", "create temp table"])
    def test_table_of_this_transaction(self, transaction: StepTransaction, make: str):
        """A table that nobody else can see is scanned, however large."""
        transaction.connection.execute(text(f"{make} fresh as select g from generate_series(1, 1000) g"))
        transaction.connection.execute(text("alter table fresh rename column g to number"))

        set_not_null(transaction.connection, "fresh", "number")

        assert state(transaction.connection, "fresh", "number") == (True, [])

    @pytest.mark.usefixtures("everything_is_large")
    def test_table_that_this_transaction_only_altered_is_no_new_one(self, transaction: StepTransaction):
        """The lock of an ALTER TABLE does not make the table one that nobody else sees."""
        transaction.connection.execute(text("alter table core.thing add column other int"))

        with pytest.raises(ProofNeeded):
            set_not_null(transaction.connection, "core.thing", "name")


class TestOutsideATransaction:
    @pytest.mark.usefixtures("everything_is_large")
    def test_all_steps_are_made(self, autocommit: Connection):
        """In autocommit the check comes and goes; a second call has nothing to do."""
        for _ in range(2):
            set_not_null(autocommit, "core.thing", "name")

            assert state(autocommit, "core.thing", "name") == (True, [])
        assert autocommit.exec_driver_sql("show lock_timeout").scalar() == "0"

    @pytest.mark.usefixtures("everything_is_large")
    @pytest.mark.parametrize(
        "left",
        [
            "add constraint {0} check (name is not null) not valid",
            "add constraint {0} check (name is not null)",
            "add constraint {0} check (name is not null), alter column name set not null",
        ],
    )
    def test_goes_on_where_a_killed_run_was(self, autocommit: Connection, left: str):
        """What a kill left behind after any of the statements is found by its name and used."""
        autocommit.exec_driver_sql(f"alter table core.thing {left.format(check_name('name'))}")

        set_not_null(autocommit, "core.thing", "name")

        assert state(autocommit, "core.thing", "name") == (True, [])

    @pytest.mark.usefixtures("everything_is_large")
    def test_nulls_behind_a_check_that_was_left(self, autocommit: Connection):
        """A check that does not hold is taken away, and the error counts the rows."""
        autocommit.exec_driver_sql("update core.thing set name = null where id <= 3")
        autocommit.exec_driver_sql(
            f"alter table core.thing add constraint {check_name('name')} check (name is not null) not valid"
        )

        with pytest.raises(StepError, match=r"core\.thing\.name is NULL in 3 rows"):
            set_not_null(autocommit, "core.thing", "name")

        assert state(autocommit, "core.thing", "name") == (False, [])

    @pytest.mark.usefixtures("everything_is_large")
    def test_waits_for_others_in_short_turns(self, autocommit: Connection, database_url: str):
        """While somebody holds the table each try ends after the lock timeout, so that others get through."""
        with psycopg.connect(database_url) as holder:
            holder.execute("select from core.thing limit 1")
            thread = threading.Thread(target=set_not_null, args=(autocommit, "core.thing", "name"))
            with psycopg.connect(database_url, autocommit=True) as watcher:
                thread.start()
                waiting = (
                    "select count(*) from pg_locks where not granted and relation = 'core.thing'::regclass"
                )
                wait_until(lambda: watcher.execute(waiting.encode()).fetchone() == (1,))
                started = time.monotonic()
                watcher.execute("insert into core.thing values (0, 'another')")
                assert time.monotonic() - started < not_null.LOCK_TIMEOUT_SECONDS + 1
            holder.rollback()
        thread.join()

        assert state(autocommit, "core.thing", "name") == (True, [])


class TestWhatIsWrong:
    @pytest.mark.parametrize("large", [False, True])
    @pytest.mark.parametrize("place", ["transaction", "autocommit"])
    def test_nulls_are_counted(
        self, session: CommandSession, place: str, large: bool, monkeypatch: pytest.MonkeyPatch
    ):
        """NULLs are told with their number before anything is locked."""
        if large and place == "autocommit":
            monkeypatch.setattr(not_null, "SMALL_TABLE_BYTES", 0)
        session.driver.execute(b"update core.thing set name = null where id = 7")
        begun = session.begin(settings={}).connection if place == "transaction" else None
        connection = begun or session.begin_autocommit(settings={}, observer=None)

        with pytest.raises(StepError, match=r"core\.thing\.name is NULL in 1 row$") as told:
            set_not_null(connection, "core.thing", "name")

        assert "run_data_migration" in str(told.value.hint)
        assert state(connection, "core.thing", "name") == (False, [])

    @pytest.mark.parametrize(
        ("table", "column", "message"),
        [
            ("core.nothing", "name", "there is no table core.nothing"),
            ("core.thing", "nothing", "core.thing has no column nothing"),
            ("core.thing", '"Camel Case"', 'has no column "Camel Case"'),
            ("core.thing", "ctid", "has no column ctid"),
            ("core.seen", "name", "core.seen is a view"),
            ("core.kept", "name", "core.kept is a materialized view"),
        ],
    )
    def test_wrong_name(self, session: CommandSession, table: str, column: str, message: str):
        """What is no column of a table is told by name."""
        session.driver.execute(
            b"create view core.seen as table core.thing; create materialized view core.kept as table core.thing"
        )

        with pytest.raises(StepError, match=message):
            set_not_null(session.begin(settings={}).connection, table, column)

    def test_name_of_the_check_is_taken(self, session: CommandSession):
        """A constraint of our name that says something else is neither used nor dropped."""
        session.driver.execute(
            f"alter table core.thing add constraint {check_name('name')} check (id > 0)".encode()
        )

        with pytest.raises(StepError, match=r"another definition: CHECK \(\(id > 0\)\)"):
            set_not_null(session.begin(settings={}).connection, "core.thing", "name")

    @pytest.mark.parametrize(
        "column", ["Camel Case", 'quo"te', "100% %s", ":x", "select", "ä" * 31, "x" * 63]
    )
    @pytest.mark.usefixtures("everything_is_large")
    def test_any_name(self, autocommit: Connection, column: str):
        """Tables and columns of any name are taken, also those whose check needs a shorter name."""
        quoted = '"' + column.replace('"', '""') + '"'
        statement = f'create table core."T %s" ({quoted}) as select 1'
        autocommit.exec_driver_sql(statement, execution_options={"no_parameters": True})

        set_not_null(autocommit, 'core."T %s"', column)

        found = autocommit.exec_driver_sql(
            "select attnotnull from pg_attribute where attrelid = 'core.\"T %%s\"'::regclass and attnum = 1"
        )
        assert found.scalar() is True


class TestTrees:
    TREES = (
        "create table core.tree (id int, name text) partition by range (id);"
        "create table core.leaf1 partition of core.tree for values from (0) to (500);"
        "create table core.leaf2 (name text, spare int, id int);"
        "alter table core.leaf2 drop column spare;"
        "alter table core.tree attach partition core.leaf2 for values from (500) to (2000);"
        "insert into core.tree select id, name from core.thing",
        "create table core.tree (id int, name text);"
        "create table core.leaf1 () inherits (core.tree);"
        "create table core.leaf2 (extra int) inherits (core.leaf1);"
        "insert into core.tree select id, name from core.thing;"
        "insert into core.leaf1 select id, name from core.thing;"
        "insert into core.leaf2 select id, name from core.thing",
    )

    @pytest.mark.usefixtures("everything_is_large")
    @pytest.mark.parametrize("tree", TREES, ids=["partitioned", "inherited"])
    def test_whole_tree(self, autocommit: Connection, tree: str):
        """A partitioned table, or one with heirs, becomes NOT NULL down to its leaves."""
        autocommit.exec_driver_sql(tree)

        set_not_null(autocommit, "core.tree", "name")

        for table in ("core.tree", "core.leaf1", "core.leaf2"):
            assert state(autocommit, table, "name") == (True, [])

    @pytest.mark.usefixtures("everything_is_large")
    @pytest.mark.parametrize("tree", TREES, ids=["partitioned", "inherited"])
    def test_null_in_a_leaf(self, autocommit: Connection, tree: str):
        """NULLs in a leaf are counted, and nothing is left behind."""
        autocommit.exec_driver_sql(tree)
        autocommit.exec_driver_sql("update core.leaf2 set name = null where id > 990")

        with pytest.raises(StepError, match=r"core\.tree\.name is NULL in 10 rows"):
            set_not_null(autocommit, "core.tree", "name")

        for table in ("core.tree", "core.leaf1", "core.leaf2"):
            assert state(autocommit, table, "name") == (False, [])

    @pytest.mark.usefixtures("everything_is_large")
    def test_one_partition(self, autocommit: Connection):
        """A partition can be NOT NULL by itself."""
        autocommit.exec_driver_sql(self.TREES[0])

        set_not_null(autocommit, "core.leaf1", "name")

        assert state(autocommit, "core.leaf1", "name") == (True, [])
        assert state(autocommit, "core.tree", "name") == (False, [])

    @pytest.mark.usefixtures("everything_is_large")
    def test_mark_that_is_not_validated(self, session: CommandSession, autocommit: Connection):
        """From PostgreSQL 18 on a NOT NULL may be there and not validated: it is, then."""
        if session.driver.info.server_version < 180000:
            pytest.skip("there is no NOT NULL … NOT VALID before PostgreSQL 18")
        autocommit.exec_driver_sql("alter table core.thing add constraint mark not null name not valid")

        set_not_null(autocommit, "core.thing", "name")

        query = "select convalidated from pg_constraint where conname = 'mark'"
        assert autocommit.exec_driver_sql(query).scalar() is True


class TestInARun:
    """A step's transaction cannot prove anything by itself: the run does it before."""

    @pytest.fixture
    def large(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
        monkeypatch.setattr(not_null, "SMALL_TABLE_BYTES", 0)
        with project.connect() as connection:
            connection.execute(TABLES.encode())
        return project

    def test_slow_step(self, large: Project):
        """`up` is called again after the proof; what it had done before is done once."""
        large.slow(
            "1.0.0",
            1,
            "Require",
            f"{USE}connection.exec_driver_sql('create table core.once ()')\n"
            "ensure_backfilled(connection, 'core.thing', 'name is null')\n"
            "set_not_null(connection, 'core.thing', 'name')\n"
            "set_not_null(connection, 'core.thing', 'id')",
        )

        report = large.api().upgrade(UpgradeOptions(include_slow=True))

        assert report.outcome is Outcome.DONE
        with large.connect() as connection:
            assert state(connection, "core.thing", "name") == (True, [])
            assert state(connection, "core.thing", "id") == (True, [])
            assert connection.execute("select status, attempt from upgrader.history").fetchall()[-1] == (
                "completed",
                1,
            )

    def test_failure_after_the_proof_leaves_nothing_behind(self, large: Project):
        """Where `up` fails after the proof, the check is taken away again."""
        large.fast(
            "1.0.0", 1, "Fail", f"{USE}set_not_null(connection, 'core.thing', 'name')\nraise ValueError('no')"
        )

        report = large.api().upgrade(UpgradeOptions())

        assert report.outcome is Outcome.FAILED
        assert "ValueError: no" in str(report.failures[0].error)
        with large.connect() as connection:
            assert state(connection, "core.thing", "name") == (False, [])

    def test_column_of_this_step(self, large: Project):
        """A column that the step itself adds to a large table cannot be proven; the error says what to do."""
        large.fast(
            "1.0.0",
            1,
            "Add",
            f"{USE}connection.exec_driver_sql('alter table core.thing add column more int')\n"
            "connection.exec_driver_sql('update core.thing set more = 1')\n"
            "set_not_null(connection, 'core.thing', 'more')",
        )

        report = large.api().upgrade(UpgradeOptions())

        error = str(report.failures[0].error)
        assert "core.thing.more is not there outside of this step's transaction" in error
        assert "fill it in a slow one" in error

    def test_nulls_fail_the_step_with_their_number(self, large: Project):
        """NULLs fail the step with a count, and no check is left."""
        with large.connect() as connection:
            connection.execute("update core.thing set name = null where id <= 12")
        large.slow("1.0.0", 1, "Require", f"{USE}set_not_null(connection, 'core.thing', 'name')")

        report = large.api().upgrade(UpgradeOptions(include_slow=True))

        assert "core.thing.name is NULL in 12 rows" in str(report.failures[0].error)
        with large.connect() as connection:
            assert state(connection, "core.thing", "name") == (False, [])

    def test_workspace_step(self, large: Project):
        """In a workspace its own table is meant."""
        large.create_workspaces("a", "b")
        with large.connect() as connection:
            for schema in ("ws_a", "ws_b"):
                connection.execute(f"create table {schema}.item as select 1 as id".encode())
        large.workspace("1.0.0", 1, "Require", f"{USE}set_not_null(ctx.connection, 'item', 'id')")

        assert large.api().upgrade(UpgradeOptions()).outcome is Outcome.DONE

        with large.connect() as connection:
            assert state(connection, "ws_a.item", "id") == (True, [])
            assert state(connection, "ws_b.item", "id") == (True, [])

    def test_data_migration_says_where_it_belongs(self, large: Project):
        """In a transaction of a data migration nobody can give the proof: the error says where to call it."""
        migrate = (
            f"{USE}with ctx.transaction() as connection:\n    set_not_null(connection, 'core.thing', 'name')"
        )
        large.slow("1.0.0", 1, "Require", migrate=migrate)

        report = large.api().upgrade(UpgradeOptions(include_slow=True))

        assert "call it in up()" in str(report.failures[0].error)

    def test_dry_run(self, large: Project):
        """A dry run finds NULLs, and is silent where there are none; it leaves nothing behind."""
        large.fast("1.0.0", 1, "Require", f"{USE}set_not_null(connection, 'core.thing', 'name')")
        assert large.api().upgrade(UpgradeOptions(dry_run=True)).outcome is Outcome.DONE
        with large.connect() as connection:
            assert state(connection, "core.thing", "name") == (False, [])
            connection.execute("update core.thing set name = null where id = 1")

        report = large.api().upgrade(UpgradeOptions(dry_run=True))

        assert "is NULL in 1 row" in str(report.failures[0].error)

    def test_killed_run_is_taken_up(self, large: Project):
        """A check that a killed run left behind is used by the next one."""
        with large.connect() as connection:
            check = f"constraint {check_name('name')} check (name is not null) not valid"
            connection.execute(f"alter table core.thing add {check}".encode())
        large.fast("1.0.0", 1, "Require", f"{USE}set_not_null(connection, 'core.thing', 'name')")

        assert large.api().upgrade(UpgradeOptions()).outcome is Outcome.DONE

        with large.connect() as connection:
            assert state(connection, "core.thing", "name") == (True, [])


class TestScript:
    def test_proof_comes_before_the_transaction(self, project: Project):
        """`upgrader sql` writes the proof as transactions of their own, before that of the step."""
        with project.connect() as connection:
            connection.execute("create schema core; create table core.thing (name text)")
            connection.execute(
                "insert into core.thing select repeat('x', 1000) from generate_series(1, 10000)"
            )
        project.fast("1.0.0", 1, "Require", f"{USE}set_not_null(connection, 'core.thing', 'name')")

        script = project.run_cli("sql").stdout

        statements = [
            line for line in script.splitlines() if line and not line.startswith(("--", "SET LOCAL"))
        ]
        assert statements[statements.index("BEGIN;") :] == [
            "BEGIN;",
            'ALTER TABLE core.thing ADD CONSTRAINT "upgrader_name_not_null" CHECK (name IS NOT NULL) NOT VALID;',
            "COMMIT;",
            "BEGIN;",
            'ALTER TABLE core.thing VALIDATE CONSTRAINT "upgrader_name_not_null";',
            "COMMIT;",
            "BEGIN;",
            "ALTER TABLE core.thing ALTER COLUMN name SET NOT NULL;",
            'ALTER TABLE core.thing DROP CONSTRAINT "upgrader_name_not_null";',
            "COMMIT;",
        ]


class TestWhatOthersNotice:
    ROWS = 3_000_000

    def test_readers_and_writers_are_not_held_up(self, project: Project):
        """Where a plain SET NOT NULL holds up everybody for its scan, ours holds up nobody for a tenth of that."""
        with project.connect() as connection:
            connection.execute("create schema core")
            for table in ("plain", "ours"):
                # Whoever wants the table to himself waits a second (deadlock_timeout) for autovacuum to go away.
                connection.execute(
                    f"create unlogged table core.{table} with (autovacuum_enabled = off) as"
                    f" select g as id, repeat('x', 200) as filler from generate_series(1, {self.ROWS}) g".encode()
                )
        project.fast("1.0.0", 1, "Require", f"{USE}set_not_null(connection, 'core.ours', 'filler')")
        with _asking(project, "core.plain") as plain, project.connect() as connection:
            connection.execute("alter table core.plain alter column filler set not null")
        with _asking(project, "core.ours") as ours:
            assert project.api().upgrade(UpgradeOptions()).outcome is Outcome.DONE

        assert max(ours) < max(max(plain) / 3, 0.1), f"{max(ours):.3f} s beside {max(plain):.3f} s"


@contextmanager
def _asking(project: Project, table: str) -> Iterator[list[float]]:
    """Read and write a row of a table over and over; give the seconds that each took."""
    seconds: list[float] = []
    is_over, has_begun = threading.Event(), threading.Event()

    def ask() -> None:
        with project.connect() as connection:
            while not is_over.is_set():
                started = time.perf_counter()
                connection.execute(f"select from {table} limit 1".encode())
                connection.execute(f"insert into {table} values (0, 'more')".encode())
                seconds.append(time.perf_counter() - started)
                has_begun.set()

    thread = threading.Thread(target=ask)
    thread.start()
    has_begun.wait(timeout=30)
    try:
        yield seconds
    finally:
        is_over.set()
        thread.join()


class TestEnsureBackfilled:
    def test_nothing_left(self, transaction: StepTransaction):
        """Where nothing is left nothing happens."""
        ensure_backfilled(transaction.connection, "core.thing", "name is null or name like '100%'")

    @pytest.mark.parametrize(
        ("where", "told"),
        [
            ("id = 1", "1 row of core.thing is left to backfill"),
            ("id <= 20", "20 rows of core.thing are left"),
        ],
    )
    def test_rows_are_counted(self, transaction: StepTransaction, where: str, told: str):
        """Rows that are left are counted, and the error says what to type."""
        with pytest.raises(StepError, match=told) as error:
            ensure_backfilled(transaction.connection, "core.thing", where)

        assert "upgrader upgrade --include-slow" in str(error.value.hint)

    def test_counting_ends(self, transaction: StepTransaction):
        """Of very many rows only so many are counted."""
        transaction.connection.execute(
            text("create table core.many as select from generate_series(1, 100500)")
        )

        with pytest.raises(StepError, match=r"^100,000 rows or more of core\.many are left"):
            ensure_backfilled(transaction.connection, "core.many", "true")

    def test_locks_nobody_out(self, transaction: StepTransaction, database_url: str):
        """It takes no lock that a writer, or a reader, would wait for."""
        ensure_backfilled(transaction.connection, "core.thing", "name is null")

        with psycopg.connect(database_url) as other:
            other.execute("set lock_timeout = '1s'")
            other.execute("lock table core.thing in exclusive mode")
