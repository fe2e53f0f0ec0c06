"""What a preflight finds on a real server, and what a run makes of it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest

from tests.support.project import Project
from tests.support.results import assert_code, assert_error, document, has_history
from tests.support.server import PostgresServer, Role
from upgrader.database.connect import Connector
from upgrader.database.session import CommandSession
from upgrader.events import Event, PreflightFound
from upgrader.model import Outcome, PreflightCheck, PreflightFinding, PreflightLevel
from upgrader.preflight.query import Question
from upgrader.preflight.read import read_facts
from upgrader.runner.options import UpgradeOptions

CHECK = PreflightCheck


def found(project: Project, name: PreflightCheck, **settings: object) -> list[PreflightFinding]:
    report = project.api(**settings).preflight()
    return [finding for finding in report.findings if finding.name is name]


@contextmanager
def open_transaction(project: Project, *statements: str) -> Iterator[psycopg.Connection]:
    with project.connect(autocommit=False) as connection:
        for statement in statements:
            connection.execute(statement.encode())
        yield connection
        connection.rollback()


def test_empty_database_has_nothing_in_the_way(project: Project):
    """One note: there is no history yet."""
    report = project.api().preflight()
    assert [(one.name, one.level) for one in report.findings if one.name is not CHECK.REPLICATION_SLOTS] == [
        (CHECK.HISTORY, PreflightLevel.INFO)
    ]
    assert not report.is_refused
    assert not has_history(project)


def test_everything_is_asked_in_one_query(project: Project):
    """A run pays for two messages, whatever there is to find."""
    session = CommandSession(Connector(project.database_url))
    notices: list[str] = []
    session.driver.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
    session.execute("set log_min_duration_statement = 0; set client_min_messages = log")
    notices.clear()
    read_facts(session.driver, Question("upgrader", ("core", "workspace"), 0.0))
    session.close()
    assert sum("statement:" in notice for notice in notices) == 1


def test_open_transaction_is_named(project: Project):
    """With its query, from which secrets are taken; and only while it is open."""
    none = {"preflight": {"long_transaction_seconds": 0}}
    with open_transaction(
        project, "set application_name = 'web-7'", "select 'password=hunter2 of a kind'"
    ) as other:
        (finding,) = found(project, CHECK.LONG_TRANSACTIONS, **none)
        assert finding.level is PreflightLevel.WARN
        assert f"pid {other.info.backend_pid} ({other.info.user}, web-7)" in finding.message
        assert "idle in transaction" in finding.message
        assert "hunter2" not in finding.message
        assert found(project, CHECK.LONG_TRANSACTIONS) == []  # 300 seconds by default
        assert (
            found(
                project,
                CHECK.LONG_TRANSACTIONS,
                preflight={**none["preflight"], "ignore": ["long-transactions"]},
            )
            == []
        )
    assert found(project, CHECK.LONG_TRANSACTIONS, **none) == []


def test_secret_across_the_cut_is_not_told(project: Project):
    """Secrets go before a query is cut: half of one is none that anybody recognises."""
    for filler in (110, 120, 130):
        query = f"select '{'x' * filler}',{' ' * 400} 'postgresql://app:hunter2hunter2@db.example/shop'"
        with open_transaction(project, query):
            (finding,) = found(project, CHECK.LONG_TRANSACTIONS, preflight={"long_transaction_seconds": 0})
        assert "hunter" not in finding.message


def test_role_that_may_not_look_into_other_sessions_says_so(project: Project, make_role: Callable[..., Role]):
    """With the grant that would let it."""
    role = make_role()
    with open_transaction(project, "select 1"):
        (finding,) = found(project, CHECK.LONG_TRANSACTIONS, database_url=role.url(project.database_url))
    assert finding.level is PreflightLevel.INFO
    assert "1 session of other roles" in finding.message
    assert finding.hint == f'GRANT pg_read_all_stats TO "{role.name}";'


def test_prepared_transaction_is_named(project: Project):
    """Its gid and its owner, and what ends it."""
    if project.query("show max_prepared_transactions") == [("0",)]:
        pytest.skip("the server takes no prepared transactions (max_prepared_transactions = 0)")
    gid = "it's " + project.query("select current_database()")[0][0]
    settings = {"preflight": {"long_transaction_seconds": 0}}
    with project.connect() as connection:
        quoted = psycopg.sql.Literal(gid).as_string(None)
        connection.execute(f"begin; create table t (); prepare transaction {quoted}".encode())
        try:
            (finding,) = found(project, CHECK.PREPARED_TRANSACTIONS, **settings)
        finally:
            connection.execute(f"rollback prepared {quoted}".encode())
        assert quoted in finding.message
        assert f"of {connection.info.user}" in finding.message
    assert found(project, CHECK.PREPARED_TRANSACTIONS, **settings) == []


def test_invalid_index_is_named_unless_somebody_builds_it(project: Project):
    """A unique index over duplicates, as an unfinished build leaves it."""
    with project.connect() as connection:
        connection.execute(
            "create schema core; create table core.t as select 1 as id from generate_series(1, 2)"
        )
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("create unique index concurrently t_id on core.t (id)")
        (finding,) = found(project, CHECK.INVALID_INDEXES)
        assert "core.t_id on core.t" in finding.message
        with open_transaction(project, "lock table core.t in share update exclusive mode"):
            assert found(project, CHECK.INVALID_INDEXES) == []
        connection.execute("drop index core.t_id")
    assert found(project, CHECK.INVALID_INDEXES) == []


def test_slot_without_a_consumer_is_named(project: Project):
    """Looked at directly, and dropped at once: slots are of the whole server."""
    name = "slot_" + project.query("select current_database()")[0][0][-40:]
    with project.connect() as connection:
        connection.execute("select pg_create_physical_replication_slot(%s, true)", [name])
        try:
            facts = read_facts(connection, Question("upgrader"))
        finally:
            connection.execute("select pg_drop_replication_slot(%s)", [name])
    (slot,) = [one for one in facts.slots.shown if one.name == name]
    assert slot.kind == "physical"
    assert slot.retained_bytes is not None


@pytest.mark.parametrize("target", ["database", "role"])
def test_read_only_sessions_refuse_a_run(project: Project, make_role: Callable[..., Role], target: str):
    """By a setting of the database or of the role; the hint names the statement that undoes it."""
    role = make_role("superuser")
    name = project.query("select current_database()")[0][0]
    with project.connect() as connection:
        whose = f'database "{name}"' if target == "database" else f'role "{role.name}"'
        connection.execute(f"alter {whose} set default_transaction_read_only = on".encode())
    project.configure(database_url=role.url(project.database_url))
    project.fast("1.0.0", 1, "AddThing", "create table thing (id int)")
    result = project.run_cli("upgrade", "--json")
    assert_error(result, 2, "read-only", f"ALTER {target.upper()} ")
    error = document(result)["error"]
    assert [(one["name"], one["level"]) for one in error["findings"]] == [("read-only", "refuse")]
    assert not has_history(project)
    assert_error(project.run_cli("baseline", "1.0.0"), 2, "read-only")


def restricted(project: Project, make_role: Callable[..., Role], *statements: str) -> Role:
    """Make a role that sees the workspaces through row-level security."""
    role = make_role()
    project.create_workspaces("a", "b")
    with project.connect() as admin:
        for statement in (
            f"grant usage on schema core to {role.name}",
            f"grant select on core.workspace to {role.name}",
            f"create schema upgrader authorization {role.name}",
            *(statement.format(role=role.name) for statement in statements),
        ):
            admin.execute(statement.encode())
    project.configure(database_url=role.url(project.database_url))
    return role


SECURE = "alter table core.workspace enable row level security"


@pytest.mark.parametrize(
    "policies",
    [
        [],
        ["create policy own on core.workspace using (id = 'a')"],
        ["create policy own on core.workspace to {role} using (id = 'a')"],
        ["create policy open on core.workspace using (true)",
         "create policy closed on core.workspace as restrictive using (id = 'a')"],
    ],
    ids=["none", "some", "role", "restrictive"],
)  # fmt: skip
def test_policies_that_may_hide_workspaces_refuse_a_run(
    project: Project, make_role: Callable[..., Role], policies: list[str]
):
    """Nothing runs: workspaces would be left out in silence."""
    restricted(project, make_role, SECURE, *policies)
    project.workspace("1.0.0", 1, "AddNote")
    assert_error(project.run_cli("upgrade"), 2, "row-level security", "BYPASSRLS")
    project.configure(preflight={"ignore": ["row-security"]})
    assert "row-level security" not in project.run_cli("upgrade").stderr


@pytest.mark.parametrize(
    "statements",
    [
        [],
        [SECURE, "create policy open on core.workspace using (true)"],
        [SECURE, "create policy own on core.workspace using (id = 'a')", "alter role {role} bypassrls"],
        [SECURE, "create policy own on core.workspace for update using (id = 'a')",
         "create policy open on core.workspace for select to {role} using (true)"],
    ],
    ids=["off", "true", "bypass", "update"],
)  # fmt: skip
def test_policies_that_hide_nothing_pass(
    project: Project, make_role: Callable[..., Role], statements: list[str]
):
    """The role sees every row."""
    restricted(project, make_role, *statements)
    assert found(project, CHECK.ROW_SECURITY) == []


def test_role_without_rights_is_told_what_to_ask_for(project: Project, make_role: Callable[..., Role]):
    """It may not make the history, and owns no table."""
    role = make_role()
    with project.connect() as admin:
        admin.execute("create table thing (id int)")
    result = project.run_cli("--database-url", role.url(project.database_url), "preflight")
    assert_error(result, 2, "an upgrade would be refused: history")
    assert f"CREATE SCHEMA upgrader AUTHORIZATION {role.name};" in result.stdout.replace('"', "")
    assert "owns no table" in result.stdout


def test_history_of_a_newer_program_is_refused(project: Project):
    """As by a run."""
    assert_code(project.run_cli("upgrade"), 0)
    with project.connect() as connection:
        connection.execute("update upgrader.meta set value = '99' where key = 'layout'")
    assert_error(project.run_cli("preflight"), 2, "an upgrade would be refused: history")
    assert_error(project.run_cli("upgrade"), 2, "layout 99")


def test_warnings_are_told_once_and_stand_in_the_report(project: Project):
    """On stderr with a hint; the run goes on."""
    project.fast("1.0.0", 1, "AddThing", "create table thing (id int)")
    project.configure(preflight={"long_transaction_seconds": 0})
    with open_transaction(project, "select 1"):
        result = project.run_cli("upgrade", "--json")
    assert_code(result, 0)
    assert result.stderr.count("1 transaction open for long") == 1
    assert "pg_terminate_backend" in result.stderr
    assert "long-transactions" in [one["name"] for one in document(result)["preflight"]]


def test_run_through_python_has_the_findings(project: Project):
    """As events, and in the report."""
    events: list[Event] = []
    with open_transaction(project, "select 1"):
        settings = {"preflight": {"long_transaction_seconds": 0}}
        report = project.api(emit=events.append, **settings).upgrade(UpgradeOptions())
    assert report.outcome is Outcome.DONE
    told = [event.finding for event in events if isinstance(event, PreflightFound)]
    assert [one for one in told if one.name is CHECK.LONG_TRANSACTIONS] == [
        one for one in report.preflight if one.name is CHECK.LONG_TRANSACTIONS
    ]
    assert len(told) >= 1


def test_preflight_takes_no_lock(project: Project):
    """It answers while an upgrade is at work, and writes nothing."""
    project.fast("1.0.0", 1, "AddThing")
    with project.api()._access.run():
        assert_code(project.run_cli("preflight"), 0)
        assert_code(project.run_cli("upgrade"), 3)


def test_unknown_check_is_a_wrong_setting(project: Project):
    """The message lists those that there are."""
    project.configure(preflight={"ignore": ["long-transaction"]})
    assert_error(project.run_cli("preflight"), 2, "preflight.ignore", "'long-transactions'")


def test_variables_of_the_environment(project: Project):
    """A list with commas."""
    ignored = {"UPGRADER_PREFLIGHT__IGNORE": "history,replication-slots"}
    shown = project.run_cli("preflight", "--json", env=ignored)
    assert document(shown)["ignored"] == ["history", "replication-slots"]


def test_sixty_columns_and_no_colours_in_a_pipe(project: Project):
    """Folded at the width; nothing but text."""
    with project.connect() as connection:
        connection.execute("create table t as select 1 as id from generate_series(1, 2)")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("create unique index concurrently t_id on t (id)")
    result = project.run_cli("preflight", env={"COLUMNS": "60"})
    assert_code(result, 0)
    assert "warning: 1 invalid index" in result.stdout
    assert max(map(len, result.stdout.splitlines()[1:])) <= 60
    assert "\x1b" not in result.stdout
    assert result.stderr == ""


def test_server_that_is_not_there(project: Project, server: PostgresServer):
    """Exit 2 like every other verb."""
    assert_error(
        project.run_cli("--database-url", "postgresql://127.0.0.1:1/x", "preflight"), 2, "cannot connect"
    )
