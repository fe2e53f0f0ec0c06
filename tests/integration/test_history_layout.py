"""The history schema: who may make it, what is refused, and that its summary follows every change."""

from __future__ import annotations

import random
from collections.abc import Callable

import psycopg
import pytest

from tests.integration.history import make_history
from tests.support.project import Project
from tests.support.scopes import assert_scopes_are_as_rebuilt
from tests.support.server import Role
from upgrader.database.connect import Connector, identifier
from upgrader.errors import LayoutError
from upgrader.history.layout import LAYOUT_VERSION, bring_up_to_date, read_layout_version
from upgrader.history.sql_store import SqlHistoryStore
from upgrader.history.store import AttemptFilter
from upgrader.model import INSTANCE, Attempt, AttemptStatus, Enrolment, Scope
from upgrader.runner.options import UpgradeOptions
from upgrader.version import ReleaseVersion

SCHEMAS = [
    "upgrader",
    "My History",
    'say "no"',
    "it's",
    "täbelle",
    "{schema}",
    "semi;colon",
    "100%s",
    "s" * 63,
]


def relations(connection: psycopg.Connection) -> list[str]:
    rows = connection.execute(
        "select relname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where nspname !~ '^(pg_|information)' and relkind = 'r' order by 1"
    )
    return [name for (name,) in rows]


def attempt(name: str, scope: Scope, number: int = 1, status: str = "completed") -> Attempt:
    kind = "fast-instance" if scope.is_instance else "workspace"
    return Attempt(name, kind, "1.0.0", scope, AttemptStatus(status), number, "1.0.0", "")


class TestMaking:
    def test_makes_its_tables(self, connection: psycopg.Connection):
        """A database without a history gets one, of the layout that this program knows."""
        assert read_layout_version(connection, "upgrader") is None

        bring_up_to_date(connection, "upgrader")

        assert read_layout_version(connection, "upgrader") == LAYOUT_VERSION
        assert relations(connection) == [
            "backfill",
            "backfill_order",
            "history",
            "meta",
            "quarantine",
            "run",
            "scope",
        ]

    def test_is_repeatable(self, connection: psycopg.Connection):
        """A history that is there stays as it is."""
        bring_up_to_date(connection, "upgrader")
        SqlHistoryStore(lambda: connection, "upgrader").mark(
            Enrolment(), [INSTANCE], label="enrolment", executed_by="1"
        )

        bring_up_to_date(connection, "upgrader")

        assert connection.execute("select count(*) from upgrader.history").fetchone() == (1,)

    @pytest.mark.parametrize("schema", SCHEMAS)
    def test_schema_may_have_any_name(self, connection: psycopg.Connection, schema: str):
        """Quotes, blanks, letters of all kinds in the schema's name reach the database as they are."""
        bring_up_to_date(connection, schema)
        store = SqlHistoryStore(lambda: connection, schema)
        store.finish(attempt("1.0.0_A_1", Scope("w")), is_running=False)
        store.record_through({Scope("w"): ReleaseVersion.parse("1.0.0")})
        connection.execute(f"select {identifier(schema, 'enroll_workspace')}('w2', '1.0.0')".encode())

        assert set(store.snapshot().workspaces) == {"w", "w2"}
        assert len(list(store.attempts(AttemptFilter(step="A")))) == 1
        assert connection.execute(
            "select count(*) from pg_namespace where nspname = %s", [schema]
        ).fetchone() == (1,)

    def test_two_schemas_are_apart(self, connection: psycopg.Connection):
        """Two histories in one database know nothing of each other."""
        for schema in ("one", "two"):
            bring_up_to_date(connection, schema)
        SqlHistoryStore(lambda: connection, "one").finish(attempt("1.0.0_A_1", INSTANCE), is_running=False)

        assert SqlHistoryStore(lambda: connection, "two").snapshot().instance.completed == frozenset()

    def test_failure_leaves_nothing(self, connection: psycopg.Connection):
        """What cannot be made wholly is not made at all."""
        connection.execute("create schema upgrader")
        connection.execute("create table upgrader.scope (id int)")

        with pytest.raises(psycopg.errors.DuplicateTable):
            bring_up_to_date(connection, "upgrader")

        assert relations(connection) == ["scope"]


class TestRefusing:
    def test_newer_layout(self, connection: psycopg.Connection):
        """A history of a later program is neither read nor written."""
        bring_up_to_date(connection, "upgrader")
        newer = LAYOUT_VERSION + 1
        connection.execute("update upgrader.meta set value = %s where key = 'layout'", [str(newer)])

        with pytest.raises(
            LayoutError, match=f"layout {newer}; this program knows up to {LAYOUT_VERSION}"
        ) as told:
            read_layout_version(connection, "upgrader")
        assert "newer version of upgrader" in str(told.value.hint)
        with pytest.raises(LayoutError):
            bring_up_to_date(connection, "upgrader")
        with pytest.raises(LayoutError):
            SqlHistoryStore(lambda: connection, "upgrader").snapshot()

    @pytest.mark.parametrize(
        ("table", "rows"),
        [
            ("history (id int)", ""),
            ("meta (id int)", ""),
            ("meta (key text, value text)", ""),
            ("meta (key text, value text)", "insert into upgrader.meta values ('layout', 'mine')"),
            ("meta (key text, value text)", "insert into upgrader.meta values ('layout', null)"),
            ("meta (key int, value int)", ""),
        ],
    )
    def test_foreign_table(self, connection: psycopg.Connection, table: str, rows: str):
        """A schema that holds somebody else's tables is left alone; the remedy is another schema."""
        connection.execute("create schema upgrader")
        connection.execute(f"create table upgrader.{table}".encode())
        connection.execute(rows.encode())

        with pytest.raises(LayoutError, match="not this program's") as told:
            bring_up_to_date(connection, "upgrader")

        assert "set another schema" in str(told.value.hint)
        assert len(relations(connection)) == 1


class TestRights:
    def test_role_that_may_not_create(self, make_role: Callable[..., Role], database_url: str):
        """Without the right to make a schema the error says what an administrator has to type, and it works then."""
        role = make_role()
        with Connector(role.url(database_url)).connect() as driver:
            with pytest.raises(
                LayoutError, match=f"role {role.name} may not make the history schema"
            ) as told:
                bring_up_to_date(driver, "upgrader")
            _, _, statement = str(told.value.hint).partition("run: ")
            with psycopg.connect(database_url) as administrator:
                administrator.execute(statement.encode())

            bring_up_to_date(driver, "upgrader")

            assert read_layout_version(driver, "upgrader") == LAYOUT_VERSION

    def test_schema_that_the_role_may_not_fill(self, make_role: Callable[..., Role], database_url: str):
        """A schema that is there, of another owner: the remedy fits that."""
        role = make_role()
        with psycopg.connect(database_url) as administrator:
            administrator.execute("create schema upgrader")
        with Connector(role.url(database_url)).connect() as driver:
            with pytest.raises(LayoutError) as told:
                bring_up_to_date(driver, "upgrader")
            _, _, statement = str(told.value.hint).partition("run: ")
            with psycopg.connect(database_url) as administrator:
                administrator.execute(statement.encode())

            bring_up_to_date(driver, "upgrader")

            assert read_layout_version(driver, "upgrader") == LAYOUT_VERSION

    def test_role_that_may_not_read(self, make_role: Callable[..., Role], database_url: str):
        """A role without rights on the history is told whom to ask for what, and it works then."""
        make_history(database_url)
        role = make_role()
        with Connector(role.url(database_url)).connect() as driver:
            store = SqlHistoryStore(lambda: driver, "upgrader")
            with pytest.raises(LayoutError, match=f"role {role.name} may not read the history") as told:
                store.snapshot()
            _, _, statement = str(told.value.hint).partition("run: ")
            with psycopg.connect(database_url) as administrator:
                administrator.execute(statement.encode())

            assert store.snapshot().exists

    def test_owner_of_its_schemas_upgrades(self, make_role: Callable[..., Role], project: Project):
        """A role that owns its schemas and nothing else runs an upgrade from beginning to end."""
        role = make_role()
        with project.connect() as administrator:
            for schema in ("upgrader", "core", "ws_a"):
                administrator.execute(f"create schema {schema} authorization {role.name}".encode())
        with psycopg.connect(role.url(project.database_url)) as owner:
            owner.execute(
                "create table core.workspace"
                " (id text, display_name text, activation_status text, database_schema text)"
            )
            owner.execute("insert into core.workspace values ('a', 'A', 'ACTIVE', 'ws_a')")
        project.fast("1.0.0", 1, "AddThing", "create table core.thing (id int)")
        project.workspace("1.0.0", 2, "AddNote", "create table note (id int)")

        report = project.api(database_url=role.url(project.database_url)).upgrade(UpgradeOptions())

        assert (report.completed, report.failures, report.error) == (2, [], None)
        owners = project.query(
            "select distinct tableowner from pg_tables where schemaname in ('core', 'ws_a', 'upgrader')"
        )
        assert owners == [(role.name,)]


class TestReading:
    def test_reading_makes_nothing(self, project: Project):
        """A plan and a look at the history leave a database without history as it was."""
        project.fast("1.0.0", 1, "AddThing", "create table thing (id int)")

        plan = project.api().plan(UpgradeOptions())
        attempts = list(project.api().history(AttemptFilter()))

        assert [step.class_name for version in plan.plan.versions for step in version.instance_steps] == [
            "AddThing"
        ]
        assert attempts == []
        with project.connect() as connection:
            assert relations(connection) == []


class TestSummary:
    """The summary per scope is what a run reads; here history is changed by hand."""

    @pytest.fixture
    def store(self, connection: psycopg.Connection) -> SqlHistoryStore:
        bring_up_to_date(connection, "upgrader")
        store = SqlHistoryStore(lambda: connection, "upgrader")
        store.mark(Enrolment(), [INSTANCE, Scope("a"), Scope("b")], label="enrolment", executed_by="1")
        for scope in (INSTANCE, Scope("a"), Scope("b")):
            store.finish(attempt("1.0.0_A_1", scope), is_running=False)
            store.finish(attempt("1.0.0_B_2", scope, 1, "failed"), is_running=False)
            store.finish(attempt("1.0.0_B_2", scope, 2, "completed"), is_running=False)
        return store

    @pytest.mark.parametrize(
        ("change", "completed", "opened"),
        [
            ("delete from upgrader.history where name = '1.0.0_A_1' and {scope}", {"1.0.0_B_2"}, {}),
            (
                "delete from upgrader.history where attempt = 2 and {scope}",
                {"1.0.0_A_1"},
                {"1.0.0_B_2": "failed"},
            ),
            ("delete from upgrader.history where {scope}", set(), {}),
            (
                "update upgrader.history set status = 'reverted' where name = '1.0.0_A_1' and {scope}",
                {"1.0.0_B_2"},
                {"1.0.0_A_1": "reverted"},
            ),
            (
                "update upgrader.history set name = '1.0.0_Renamed_1' where name = '1.0.0_A_1' and {scope}",
                {"1.0.0_Renamed_1", "1.0.0_B_2"},
                {},
            ),
            (
                "update upgrader.history set status = 'completed' where status = 'failed' and {scope}",
                {"1.0.0_A_1", "1.0.0_B_2"},
                {},
            ),
        ],
    )
    @pytest.mark.parametrize("scope", ["instance", "workspace"])
    def test_hand_made_change(
        self,
        store: SqlHistoryStore,
        connection: psycopg.Connection,
        change: str,
        completed: set[str],
        opened: dict[str, str],
        scope: str,
    ):
        """Rows deleted or changed in SQL are seen, in their scope only."""
        connection.execute(
            change.format(
                scope="workspace_id is null" if scope == "instance" else "workspace_id = 'a'"
            ).encode()
        )

        snapshot = store.snapshot()
        changed = snapshot.instance if scope == "instance" else snapshot.workspaces["a"]
        assert (changed.completed, dict(changed.open)) == (completed, opened)
        assert snapshot.workspaces["b"].completed == {"1.0.0_A_1", "1.0.0_B_2"}

    def test_removed_mark(self, store: SqlHistoryStore, connection: psycopg.Connection):
        """Without its mark a workspace is not enrolled; with an older one, that counts again."""
        store.mark(Enrolment(ReleaseVersion.parse("1.0.0")), [Scope("a")], label="baseline", executed_by="1")
        connection.execute("delete from upgrader.history where workspace_id = 'b' and is_initial")
        connection.execute(
            "delete from upgrader.history where workspace_id = 'a' and name = '1.0.0_baseline'"
        )

        workspaces = store.snapshot().workspaces
        assert (workspaces["a"].enrolment, workspaces["b"].enrolment) == (Enrolment(), None)

    def test_moved_to_another_workspace(self, store: SqlHistoryStore, connection: psycopg.Connection):
        """A row that changes its scope leaves one and enters the other."""
        connection.execute("update upgrader.history set workspace_id = 'c' where workspace_id = 'a'")

        workspaces = store.snapshot().workspaces
        assert (workspaces["a"].completed, workspaces["a"].enrolment) == (frozenset(), None)
        assert workspaces["c"] is workspaces["b"]

    def test_truncate(self, store: SqlHistoryStore, connection: psycopg.Connection):
        """An emptied history is an empty history."""
        store.record_through({Scope("a"): ReleaseVersion.parse("1.0.0")})
        connection.execute("truncate upgrader.history")

        snapshot = store.snapshot()
        assert (snapshot.exists, dict(snapshot.workspaces)) == (True, {})
        assert (snapshot.instance.completed, snapshot.instance.enrolment) == (frozenset(), None)

    def test_rolled_back_change(self, store: SqlHistoryStore, connection: psycopg.Connection):
        """The summary is part of the transaction that changes the history."""
        with connection.transaction(force_rollback=True):
            connection.execute("delete from upgrader.history")

        assert store.snapshot().instance.completed == {"1.0.0_A_1", "1.0.0_B_2"}

    def test_change_does_not_depend_on_search_path(
        self, store: SqlHistoryStore, connection: psycopg.Connection
    ):
        """The triggers find their tables from every search_path, and past objects of the same names."""
        connection.execute("create schema trap")
        connection.execute("create function trap.md5(text) returns text language sql as $$ select 'x' $$")
        connection.execute("create table trap.scope (workspace_id text)")
        connection.execute("set search_path = trap, pg_catalog")
        store.finish(attempt("1.0.0_C_3", Scope("a")), is_running=False)
        connection.execute("delete from upgrader.history where name = '1.0.0_C_3'")
        connection.execute("reset search_path")

        snapshot = store.snapshot()
        assert snapshot.workspaces["a"] is snapshot.workspaces["b"]

    def test_random_changes(self, store: SqlHistoryStore, connection: psycopg.Connection):
        """After each of many changes the summary is what a reader of all rows would find."""
        rng = random.Random(20260101)
        for number in range(150):
            _change(rng, connection, number)
            if number % 5 == 0:
                _assert_summary(store, connection)
        _assert_summary(store, connection)


_UNFINISHED = ["running", "failed", "interrupted"]
_OUTCOMES = [
    *(("up", status) for status in (*_UNFINISHED, "completed", "skipped")),
    *(("down", status) for status in (*_UNFINISHED, "reverted")),
]


def _change(rng: random.Random, connection: psycopg.Connection, number: int) -> None:
    scope, name = rng.choice(["a", "b", "c", None]), f"1.0.0_{rng.choice('ABCD')}_1"
    one = "id = (select id from upgrader.history order by md5(id::text || %s) limit 1)"
    kind = rng.choice(["insert", "insert", "insert", "status", "delete", "rename", "move"])
    direction, status = rng.choice(_OUTCOMES)
    if kind == "insert":
        connection.execute(
            "insert into upgrader.history"
            " (name, kind, version, workspace_id, status, direction, attempt, executed_by_version, checksum)"
            " select %(name)s, 'workspace', '1.0.0', %(scope)s, %(status)s, %(direction)s,"
            " coalesce(max(attempt), 0) + 1, '1', ''"
            " from upgrader.history where name = %(name)s"
            " and coalesce(workspace_id, '') = coalesce(%(scope)s::text, '')",
            {"name": name, "scope": scope, "status": status, "direction": direction},
        )
    elif kind == "status":
        connection.execute(
            f"update upgrader.history set status = %s, direction = %s where not is_initial and {one}".encode(),
            [status, direction, str(number)],
        )
    elif kind == "delete":
        connection.execute(f"delete from upgrader.history where {one}".encode(), [str(number)])
    elif kind == "rename":
        connection.execute(
            f"update upgrader.history set name = %s where not is_initial and {one}".encode(),
            [f"1.0.0_New{number}_1", str(number)],
        )
    else:
        connection.execute(
            f"update upgrader.history set workspace_id = %s, name = name || %s where {one}".encode(),
            [scope, f"x{number}", str(number)],
        )


def _assert_summary(store: SqlHistoryStore, connection: psycopg.Connection) -> None:
    states: dict[str | None, dict[str, str]] = {}
    back: dict[str | None, set[str]] = {}
    for scope, name, status, direction in connection.execute(
        "select workspace_id, name, status, direction from upgrader.history where not is_initial order by attempt"
    ):
        states.setdefault(scope, {})[name] = status
        if direction == "down":
            back.setdefault(scope, set()).add(name)
        elif status == "completed":
            back.setdefault(scope, set()).discard(name)
    snapshot = store.snapshot()
    seen = {None: snapshot.instance, **snapshot.workspaces}
    for scope, progress in seen.items():
        expected = states.pop(scope, {})
        assert progress.completed == {name for name, status in expected.items() if status == "completed"}
        assert dict(progress.open) == {n: s for n, s in expected.items() if s != "completed"}
        assert progress.taken_back == back.get(scope, set())
    assert states == {}
    assert_scopes_are_as_rebuilt(connection)
