"""The connection on which commands run: its messages, what it survives, what the next transaction finds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DBAPIError

from tests.support.project import Project
from tests.support.server import Role, wait_until
from upgrader.database.connect import Connector
from upgrader.database.failures import describe_failure
from upgrader.database.guard import NOTE, ObservedStatement
from upgrader.database.session import CommandSession
from upgrader.errors import ConnectionLostError, DatabaseUnavailableError, GuardError
from upgrader.runner.options import UpgradeOptions


@pytest.fixture
def session(database_url: str) -> Iterator[CommandSession]:
    session = CommandSession(
        Connector(database_url, "upgrader/test"), on_connect="select pg_advisory_lock_shared(7)"
    )
    yield session
    session.close()


def show(session: CommandSession, name: str) -> object:
    row = session.driver.execute("select current_setting(%s, true)", [name]).fetchone()
    assert row is not None
    return row[0]


class TestConnection:
    def test_settings(self, session: CommandSession):
        """A connection says whose it is, is never ended for idling, and prepares no statements."""
        assert show(session, "application_name") == "upgrader/test"
        assert show(session, "idle_session_timeout") == "0"
        assert show(session, "client_connection_check_interval") == "1s"
        assert session.driver.prepare_threshold is None
        assert session.driver.autocommit

    def test_settings_survive_a_reset(self, session: CommandSession):
        """What was set at the start is what RESET ALL comes back to."""
        session.execute("set application_name = 'mine'; set idle_session_timeout = '1h'; reset all")

        assert show(session, "application_name") == "upgrader/test"
        assert show(session, "idle_session_timeout") == "0"

    def test_options_of_the_url_are_kept(self, database_url: str):
        """The URL's own options are set too, and win."""
        url = f"{database_url}&options=-c%20work_mem%3D1MB%20-c%20idle_session_timeout%3D1h"
        session = CommandSession(Connector(url))
        assert show(session, "work_mem") == "1MB"
        assert show(session, "idle_session_timeout") == "1h"
        session.close()

    def test_every_connection_holds_the_fence(self, session: CommandSession):
        """What has to be done on each new connection is done after a replacement, too."""
        query = "select count(*) from pg_locks where locktype = 'advisory' and objid = 7 and pid = pg_backend_pid()"
        first = session.backend_pid
        assert first is None
        assert session.driver.execute(query).fetchone() == (1,)
        first = session.backend_pid
        session.replace()
        assert session.driver.execute(query).fetchone() == (1,)
        assert session.backend_pid not in (None, first)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"dbname": "no_such_database"}, 'database "no_such_database" does not exist'),
            ({"user": "nobody_of_that_name"}, "nobody_of_that_name"),
            ({"port": "1"}, "check that the server runs|could not|failed"),
        ],
    )
    def test_no_connection(self, database_url: str, change: dict[str, str], message: str):
        """A database that cannot be reached is an operator's matter, told without a password."""
        parameters = {**Connector(database_url).parameters, "password": "secret-word", **change}
        url = " ".join(f"{key}='{value}'" for key, value in parameters.items())

        with pytest.raises(DatabaseUnavailableError, match=message) as told:
            Connector(url).connect()

        assert told.value.hint
        assert "secret-word" not in f"{told.value} {told.value.hint}"

    def test_close_never_fails(self, session: CommandSession):
        """Closing is harmless twice, without a connection, and on one that is closed already."""
        session.close()
        session.driver.close()
        session.close()
        session.close()


class TestTransaction:
    def test_settings_are_local(self, session: CommandSession):
        """A transaction has its settings, and takes them with it."""
        transaction = session.begin(settings={"search_path": "pg_catalog", "lock_timeout": "1234"})
        assert show(session, "search_path") == "pg_catalog"
        assert show(session, "lock_timeout") == "1234ms"
        transaction.commit("select 1")

        assert show(session, "search_path") == '"$user", public'
        assert show(session, "lock_timeout") == "0"

    @pytest.mark.parametrize(
        ("probe", "row"),
        [
            ("select", None),
            ("select 1, 'a'", ("1", "a")),
            ("select 1 where false", None),
            ("select 1; select 2", ("2",)),
        ],
    )
    def test_probe(self, session: CommandSession, probe: str, row: tuple[object, ...] | None):
        """What the probe sees comes back with BEGIN, as text."""
        transaction = session.begin(settings={}, probe=probe)
        assert transaction.probe == row
        transaction.rollback()

    def test_commit_keeps_both(self, session: CommandSession, connection: psycopg.Connection):
        """The author's work and the final statements are committed together."""
        transaction = session.begin(settings={})
        transaction.connection.execute(text("create table thing (id int)"))
        transaction.commit("insert into thing values (1)")

        assert connection.execute("select id from thing").fetchall() == [(1,)]
        assert session.driver.info.transaction_status is TransactionStatus.IDLE

    def test_failed_final_statement_keeps_neither(
        self, session: CommandSession, connection: psycopg.Connection
    ):
        """Where the record cannot be written, the author's work is not kept."""
        transaction = session.begin(settings={})
        transaction.connection.execute(text("create table thing (id int)"))
        with pytest.raises(psycopg.errors.DivisionByZero):
            transaction.commit("select 1/0")
        transaction.rollback()

        assert connection.execute("select to_regclass('thing')").fetchone() == (None,)
        session.begin(settings={}).commit("select 1")

    def test_failed_begin(self, session: CommandSession):
        """A transaction that cannot begin leaves no trace: the next one is on a new connection."""
        with pytest.raises(psycopg.errors.UndefinedObject):
            session.begin(settings={"no_such_setting": "1"})
        with pytest.raises(psycopg.errors.UndefinedTable):
            session.begin(settings={}, probe="select from no_such_table")

        session.begin(settings={}).commit("select 1")

    def test_default_of_the_session_before(self, session: CommandSession):
        """A default for transactions, set by a command, is gone before the next one begins."""
        for name, value in (("read_only", "on"), ("isolation", "serializable"), ("deferrable", "on")):
            transaction = session.begin(settings={})
            transaction.connection.execute(text(f"set default_transaction_{name} = '{value}'"))
            transaction.commit("select 1")

        transaction = session.begin(settings={})
        assert show(session, "transaction_read_only") == "off"
        assert show(session, "transaction_isolation") == "read committed"
        assert show(session, "transaction_deferrable") == "off"
        transaction.rollback()

    def test_default_of_the_role_is_kept(self, make_role: Callable[..., Role], database_url: str):
        """What an administrator has set for the role holds in every transaction."""
        role = make_role()
        with psycopg.connect(database_url) as administrator:
            administrator.execute(
                f"alter role {role.name} set default_transaction_isolation = 'serializable'".encode()
            )
        session = CommandSession(Connector(role.url(database_url)))
        for _ in range(2):
            transaction = session.begin(settings={})
            assert show(session, "transaction_isolation") == "serializable"
            transaction.rollback()
        session.close()

    def test_driver_error_of_a_closed_connection(self, session: CommandSession):
        """A connection that the command closed is told from one that the server ended."""
        transaction = session.begin(settings={})
        session.driver.close()
        with pytest.raises(GuardError, match="closed its connection"):
            transaction.check()
        transaction.rollback()
        session.replace()

        session.begin(settings={}).commit("select 1")


class TestBegunAhead:
    """A commit that takes the beginning of the next transaction along."""

    PROBE = "select 'seen', pg_backend_pid() > 0"

    def commit(self, session: CommandSession, final: str = "select 1", probe: str = PROBE) -> None:
        transaction = session.begin(settings={})
        transaction.connection.execute(text("create table if not exists thing (id int)"))
        following = session.beginning(settings={"lock_timeout": "1234"}, probe=probe)
        try:
            transaction.commit(final, following=following)
        except psycopg.Error:
            transaction.rollback()
            raise

    def test_it_is_the_one_that_is_asked_for_next(
        self, session: CommandSession, connection: psycopg.Connection
    ):
        """Nothing more is sent for it; it has its settings, its probe's row, and commits what is done in it."""
        self.commit(session)
        assert connection.execute("select to_regclass('thing') is not null").fetchone() == (True,)
        before = self.last_statement(session, connection)
        transaction = session.begin(settings={"lock_timeout": "1234"}, probe=self.PROBE)
        assert self.last_statement(session, connection) == before
        assert transaction.probe == ("seen", "t")
        assert transaction.connection.execute(text("show lock_timeout")).scalar() == "1234ms"
        transaction.connection.execute(text("insert into thing values (1)"))
        transaction.commit(f"select 1 / (current_setting('upgrader.step') = '{transaction.token}')::int")
        assert connection.execute("select id from thing").fetchall() == [(1,)]
        assert session.driver.info.transaction_status is TransactionStatus.IDLE

    @pytest.mark.parametrize("settings", [{"lock_timeout": "1"}, {}])
    def test_another_one_is_begun_anew(self, session: CommandSession, settings: dict[str, str]):
        """What was begun for somebody else is not given to whoever comes."""
        self.commit(session)
        transaction = session.begin(settings=settings, probe=self.PROBE)
        assert transaction.connection.execute(text("show lock_timeout")).scalar() != "1234ms"
        transaction.rollback()

    def test_it_ends_with_whatever_else_is_done(self, session: CommandSession):
        """The runner's own statements, and autocommit, never run inside of it."""
        self.commit(session)
        assert session.driver.info.transaction_status is TransactionStatus.IDLE
        self.commit(session)
        assert not session.connection.in_transaction()
        assert show(session, "lock_timeout") == "0"
        self.commit(session)
        session.begin_autocommit(settings={}, observer=None)
        session.end_autocommit()
        self.commit(session)
        session.settle()
        session.settle()
        assert session.driver.info.transaction_status is TransactionStatus.IDLE

    def test_what_fails_after_the_commit_does_not_undo_it(
        self, session: CommandSession, connection: psycopg.Connection
    ):
        """The next transaction counts as not begun; whoever asks for it is told."""
        self.commit(session, "insert into thing values (1)", probe="select from no_such_table")
        assert connection.execute("select id from thing").fetchall() == [(1,)]
        with pytest.raises(psycopg.errors.UndefinedTable):
            session.begin(settings={"lock_timeout": "1234"}, probe="select from no_such_table")

    def test_what_fails_before_the_commit_begins_nothing(
        self, session: CommandSession, connection: psycopg.Connection
    ):
        """Neither the work is kept, nor is there a transaction that nobody asked for."""
        with pytest.raises(psycopg.errors.DivisionByZero):
            self.commit(session, "select 1/0")
        assert connection.execute("select to_regclass('thing') is null").fetchone() == (True,)
        session.begin(settings={"lock_timeout": "1234"}, probe=self.PROBE).rollback()

    def test_a_deferred_constraint_fails_it_as_well(
        self, session: CommandSession, connection: psycopg.Connection
    ):
        """What only COMMIT finds."""
        connection.execute("create table thing (id int unique deferrable initially deferred)")
        with pytest.raises(psycopg.errors.UniqueViolation):
            self.commit(session, "insert into thing values (1), (1)")
        assert connection.execute("select from thing").fetchall() == []

    def test_one_that_idled_too_long_is_not_used(
        self, session: CommandSession, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
    ):
        """The server may have ended it, and the session with it: the next is begun on a new connection."""
        self.commit(session)
        TestLostConnection().end_backend(session, connection)
        monkeypatch.setattr("upgrader.database.ahead.AHEAD_SECONDS", 0.0)
        transaction = session.begin(settings={"lock_timeout": "1234"}, probe=self.PROBE)
        transaction.commit("insert into thing values (1)")
        assert connection.execute("select id from thing").fetchall() == [(1,)]

    def test_one_that_the_server_ended_for_idling_is_not_used(
        self, session: CommandSession, connection: psycopg.Connection
    ):
        """However soon that was: nothing had begun, and nothing has failed."""
        transaction = session.begin(settings={})
        following = {"idle_in_transaction_session_timeout": "50"}
        transaction.commit("select 1", following=session.beginning(settings=following, probe=self.PROBE))
        TestLostConnection().wait_for_end(session, connection)
        session.begin(settings=following, probe=self.PROBE).commit("create table thing (id int)")
        assert connection.execute("select to_regclass('thing') is not null").fetchone() == (True,)

    def test_nobody_waits_for_one_that_is_not_asked_for(
        self, session: CommandSession, connection: psycopg.Connection
    ):
        """It is taken back by itself, and with it the locks that its probe took."""
        connection.execute("create table workspace (id int)")
        self.commit(session, probe="select 'seen' from workspace")
        connection.execute("set lock_timeout = '20s'")
        connection.execute("alter table workspace add column name text")
        assert not session.is_lost
        pid = session.backend_pid
        session.begin(settings={"lock_timeout": "1234"}, probe=self.PROBE).commit("select 1")
        assert session.backend_pid == pid

    def last_statement(self, session: CommandSession, connection: psycopg.Connection) -> object:
        """Give when the session's last message came, and what it was."""
        return connection.execute(
            "select query_start, query from pg_stat_activity where pid = %s", [session.backend_pid]
        ).fetchone()


def _listen(connection: Connection) -> None:
    event.listen(connection, "before_cursor_execute", lambda *_: pytest.fail("a listener was inherited"))


def _listen_to_the_engine(connection: Connection) -> None:
    event.listen(connection.engine, "before_cursor_execute", lambda *_: None)


def _nest(connection: Connection) -> None:
    with connection.begin_nested():
        connection.execute(text("select 1"))


def _assign(connection: Connection) -> None:
    connection.mine = 1  # type: ignore[attr-defined]  # authors may


def _replace_a_method(connection: Connection) -> None:
    connection.execute = lambda *_: pytest.fail("a method was inherited")  # type: ignore[assignment, method-assign]


class TestNextConnection:
    """SQLAlchemy's object is the same for the next step as long as nobody can tell."""

    def test_one_that_was_only_used_goes_on(self, session: CommandSession):
        """Statements, parameters and rows leave nothing on it."""
        transaction = session.begin(settings={})
        used = transaction.connection
        assert used.execute(text("select 1 where 1 = :one"), {"one": 1}).scalar() == 1
        used.execute(text("create table thing (id int)"))
        transaction.commit("select 1")
        transaction = session.begin(settings={})
        assert transaction.connection is used
        assert used.in_transaction()
        transaction.rollback()
        transaction = session.begin(settings={})
        assert transaction.connection is used
        transaction.commit("select 1")

    @pytest.mark.parametrize(
        "change",
        [
            lambda connection: connection.execution_options(schema_translate_map={None: "elsewhere"}),
            lambda connection: connection.execution_options(stream_results=True),
            _listen,
            _listen_to_the_engine,
            _nest,
            _assign,
            _replace_a_method,
        ],
    )
    @pytest.mark.parametrize("is_begun_ahead", [False, True])
    def test_one_that_was_changed_does_not(
        self, session: CommandSession, change: Callable[[Connection], object], is_begun_ahead: bool
    ):
        """Neither options nor listeners, attributes or savepoints are inherited."""
        transaction = session.begin(settings={})
        changed = transaction.connection
        change(changed)
        following = session.beginning(settings={}, probe="select")
        transaction.commit("select 1", following=following if is_begun_ahead else "")

        for _ in range(2):
            transaction = session.begin(settings={})
            connection = transaction.connection
            assert connection is not changed
            assert not connection.get_execution_options()
            assert not hasattr(connection, "mine")
            assert connection.execute(text("select 1")).scalar() == 1
            transaction.commit("select 1")

    def test_a_listener_of_its_end_is_not_asked(self, session: CommandSession):
        """The one that listened hears of its own commit alone."""
        heard: list[str] = []
        transaction = session.begin(settings={})
        event.listen(transaction.connection, "commit", lambda _: heard.append("commit"))
        transaction.commit("select 1")
        session.begin(settings={}).commit("select 1")
        assert heard == ["commit"]

    def test_one_that_was_kept_has_no_say_in_the_next(
        self, session: CommandSession, connection: psycopg.Connection
    ):
        """Transaction objects of an earlier step are over, whatever is done with them."""
        transaction = session.begin(settings={})
        kept = transaction.connection.get_transaction()
        assert kept is not None
        transaction.commit("create table thing (id int)")
        transaction = session.begin(settings={})
        transaction.connection.execute(text("insert into thing values (1)"))
        kept.close()
        transaction.commit("select 1")
        assert connection.execute("select id from thing").fetchall() == [(1,)]


class TestLostConnection:
    def end_backend(self, session: CommandSession, connection: psycopg.Connection) -> None:
        connection.execute("select pg_terminate_backend(%s)", [session.backend_pid])
        self.wait_for_end(session, connection)

    def wait_for_end(self, session: CommandSession, connection: psycopg.Connection) -> None:
        pid = session.backend_pid
        wait_until(
            lambda: (
                connection.execute("select from pg_stat_activity where pid = %s", [pid]).fetchone() is None
            )
        )

    def test_in_a_step(self, session: CommandSession, connection: psycopg.Connection):
        """A connection that the server ended is found by the next check, whoever swallowed the error."""
        transaction = session.begin(settings={})
        self.end_backend(session, connection)
        with pytest.raises(DBAPIError):
            transaction.connection.execute(text("select 1"))

        with pytest.raises(ConnectionLostError, match="the server ended the connection"):
            transaction.check()
        assert session.is_lost
        transaction.rollback()
        session.replace()
        session.begin(settings={}).commit("select 1")

    def test_at_the_commit(self, session: CommandSession, connection: psycopg.Connection):
        """A connection that is gone when the step is to be committed fails it with the driver's word."""
        transaction = session.begin(settings={})
        self.end_backend(session, connection)
        with pytest.raises(psycopg.OperationalError):
            transaction.commit("select 1")
        transaction.rollback()

    def test_between_steps(self, session: CommandSession, connection: psycopg.Connection):
        """A connection that is gone when a transaction is to begin fails it; the next is on a new one."""
        session.begin(settings={}).commit("select 1")
        self.end_backend(session, connection)
        with pytest.raises(psycopg.OperationalError):
            session.begin(settings={})

        session.begin(settings={}).commit("select 1")

    def test_in_autocommit(self, session: CommandSession, connection: psycopg.Connection):
        """In autocommit it is found when the connection is taken back."""
        guarded = session.begin_autocommit(settings={}, observer=None)
        self.end_backend(session, connection)
        with pytest.raises(DBAPIError):
            guarded.execute(text("select 1"))

        with pytest.raises(ConnectionLostError):
            session.end_autocommit()

    def test_cancel(self, session: CommandSession, connection: psycopg.Connection):
        """The statement in progress can be ended from another thread; the session goes on."""
        transaction = session.begin(settings={})
        errors: list[BaseException] = []

        def wait() -> None:
            try:
                transaction.connection.execute(text("select pg_sleep(60)"))
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=wait)
        thread.start()
        wait_until(
            lambda: (
                connection.execute(
                    "select from pg_stat_activity where pid = %s and query like '%%pg_sleep%%' and state = 'active'",
                    [session.backend_pid],
                ).fetchone()
                is not None
            )
        )
        session.cancel()
        thread.join(30)

        assert isinstance(errors[0], DBAPIError)
        assert isinstance(errors[0].orig, psycopg.errors.QueryCanceled)
        transaction.rollback()
        session.begin(settings={}).commit("select 1")


class TestObserving:
    def test_observer_is_told_of_the_commands_statements(self, session: CommandSession):
        """Text, parameters, time and row count of each statement of a command, and of nothing else."""
        told: list[ObservedStatement] = []
        transaction = session.begin(settings={}, observer=told.append)
        connection = transaction.connection
        connection.execute(text("create table thing (id int)"))
        connection.execute(text("insert into thing select generate_series(1, :n)"), {"n": 3})
        connection.execute(text("insert into thing values (:n)"), [{"n": 1}, {"n": 2}])
        transaction.commit("select 'the record'")
        session.begin(settings={}).commit("select 1")

        assert told[0].text == "create table thing (id int)"
        assert [statement.row_count for statement in told] == [-1, 3, 2]
        assert told[1].parameters == {"n": 3}
        assert all(statement.seconds >= 0 for statement in told)

    def test_observer_is_told_of_what_fails(self, session: CommandSession):
        """A statement that the server refuses is told, too; one that the guard refuses was never sent."""
        told: list[ObservedStatement] = []
        connection = session.begin(settings={}, observer=told.append).connection
        with pytest.raises(GuardError):
            connection.execute(text("commit"))
        with pytest.raises(DBAPIError):
            connection.execute(text("select * from nowhere where a = :a"), {"a": 1})

        assert [(one.text, one.has_failed, one.row_count) for one in told] == [
            ("select * from nowhere where a = %(a)s", True, -1)
        ]

    def test_note_is_told_before(self, session: CommandSession):
        """A note is taken of a statement before it is executed, also where it fails."""
        told: list[str] = []
        transaction = session.begin(settings={})
        transaction.connection.info[NOTE] = told.append
        with pytest.raises(DBAPIError):
            transaction.connection.execute(text("select 1/0"))
        transaction.rollback()

        assert told == ["select 1/0"]


class TestTelling:
    def test_database_error(self, session: CommandSession):
        """A database error is told with SQLSTATE, detail and statement; the first line with its message."""
        transaction = session.begin(settings={})
        connection = transaction.connection
        connection.execute(text("create table thing (id int constraint thing_once unique)"))
        with pytest.raises(DBAPIError) as raised:
            connection.execute(text("insert into thing\n  values (:a), (:a)"), {"a": 7})
        transaction.rollback()

        lines = describe_failure(raised.value).splitlines()
        assert lines[0] == 'UniqueViolation: duplicate key value violates unique constraint "thing_once"'
        assert lines[1:3] == ["SQLSTATE: 23505", "detail: Key (id)=(7) already exists."]
        assert lines[3].startswith("statement: insert into thing values (")
        assert "test_session.py" in lines[-1]

    def test_hint_and_context(self, session: CommandSession):
        """What PL/pgSQL adds is told."""
        transaction = session.begin(settings={})
        with pytest.raises(DBAPIError) as raised:
            transaction.connection.execute(
                text("do $$ begin raise exception 'no' using hint = 'say yes', detail = 'twice'; end $$")
            )
        transaction.rollback()

        told = describe_failure(raised.value)
        assert told.startswith(
            "RaiseException: no\nSQLSTATE: P0001\ndetail: twice\nhint: say yes\ncontext: PL/pgSQL"
        )


def test_workspaces_whose_columns_differ(project: Project):
    """A command that reads all columns runs in workspace after workspace, whatever columns each has."""
    ids = [f"w{number}" for number in range(10)]
    project.create_workspaces(*ids)
    with project.connect() as connection:
        for number, id_ in enumerate(ids):
            columns = ", ".join(
                f"c{column} {'int' if number % 2 else 'text'}" for column in range(number + 1)
            )
            connection.execute(f"create table ws_{id_}.thing (id int, {columns})".encode())
            connection.execute(f"insert into ws_{id_}.thing (id) values ({number})".encode())
    project.workspace(
        "1.0.0",
        1,
        "ReadsAll",
        """
        for _ in range(3):
            row = ctx.connection.execute(text("select * from thing where id >= :least"), {"least": 0}).one()
        ctx.connection.execute(text("create table width as select cast(:width as int) as width"), {"width": len(row)})
        ctx.connection.execute(text("alter table thing drop column c0"))
        """,
    )

    report = project.api().upgrade(UpgradeOptions())

    assert (report.completed, report.failures) == (10, [])
    assert [project.query(f"select width from ws_{id_}.width") for id_ in ids] == [
        [(number + 2,)] for number in range(10)
    ]
