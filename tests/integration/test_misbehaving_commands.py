"""Commands that do to their connection, or to the process, what they may not do."""

from collections.abc import Callable

import pytest

from tests.support.project import Project
from tests.support.results import attempts
from tests.support.server import Role
from upgrader.model import Outcome
from upgrader.runner.options import UpgradeOptions
from upgrader.runner.result import RunReport

UPGRADE = UpgradeOptions()

# What each does in workspace `a`, and words of its error.
ENDS_IT = {
    "commit": ("ctx.connection.commit()", "commit()"),
    "rollback": ("ctx.connection.rollback()", "rollback()"),
    "close": ("ctx.connection.close()", "close()"),
    "commit of the transaction": ("ctx.connection.get_transaction().commit()", "commit()"),
    "sql commit": ("ctx.connection.execute(text('  /* x */ Commit'))", "COMMIT"),
    "sql rollback": ("ctx.connection.exec_driver_sql('ROLLBACK')", "ROLLBACK"),
    "sql end": ("ctx.connection.exec_driver_sql('end')", "END"),
    "sql abort": ("ctx.connection.exec_driver_sql('-- x\\nabort')", "ABORT"),
    "sql begin": ("ctx.connection.exec_driver_sql('begin')", "BEGIN"),
    "sql start": ("ctx.connection.exec_driver_sql('start transaction')", "START"),
    "sql prepare": ("ctx.connection.exec_driver_sql(\"prepare transaction 'x'\")", "PREPARE TRANSACTION"),
    "sql discard": ("ctx.connection.exec_driver_sql('discard all')", "DISCARD"),
    "several statements": ("ctx.connection.exec_driver_sql('select 1; commit; select 2')", "COMMIT"),
    "raw commit": ("ctx.connection.connection.driver_connection.execute('commit')", "ended its transaction"),
    "raw rollback and begin": (
        "ctx.connection.connection.driver_connection.execute('rollback; begin; select 1')",
        "ended its transaction",
    ),
    "raw commit and begin": (
        "ctx.connection.connection.driver_connection.execute('commit; begin')",
        "ended its transaction",
    ),
    "raw method": ("ctx.connection.connection.driver_connection.commit()", "ended its transaction"),
    "raw close": ("ctx.connection.connection.driver_connection.close()", "its"),
    "swallowed": (
        "try:\n    ctx.connection.commit()\nexcept Exception:\n    pass\nctx.connection.invalidate()",
        "closed its connection",
    ),
    "aborted": (
        "try:\n    ctx.connection.execute(text('select 1/0'))\nexcept Exception:\n    pass",
        "aborted",
    ),
    "open savepoint": ("ctx.connection.begin_nested()", "savepoint"),
    "temp table": ("ctx.connection.execute(text('create temp table left_over (id int)'))", "left_over"),
    "session lock": ("ctx.connection.execute(text('select pg_advisory_lock(42)'))", "session advisory lock"),
    "two-part session lock": (
        "ctx.connection.execute(text('select pg_advisory_lock_shared(-1, 7)'))",
        "session advisory lock",
    ),
    "listen": ("ctx.connection.execute(text('listen something'))", "LISTEN"),
    "reset of the session": ("ctx.connection.execute(text('reset all'))", "reset the session"),
}


def upgrade(project: Project, **settings: object) -> RunReport:
    return project.api(**settings).upgrade(UPGRADE)  # type: ignore[arg-type]  # by name


def error_of(project: Project, workspace: str | None = "a") -> str:
    (text,) = project.query(
        "select error_message from upgrader.history where workspace_id is not distinct from %s"
        " and status = 'failed'",
        workspace,
    )
    return str(text[0])


def sole_workspace_fails(project: Project, body: str) -> RunReport:
    """Run a command that misbehaves in `a` alone; hold that it fails there, and that `b` inherits nothing."""
    project.create_workspaces("a", "b")
    indented = body.replace("\n", "\n    ")
    project.workspace(
        "1.0.0",
        1,
        "Misbehaves",
        f"""ctx.connection.execute(text("create table made (id int)"))
if ctx.workspace.id == "a":
    {indented}
""",
    )
    report = upgrade(project)
    assert report.outcome is Outcome.FAILED
    assert attempts(project) == [("Misbehaves", "a", 1, "failed"), ("Misbehaves", "b", 1, "completed")]
    return report


@pytest.mark.parametrize("name", ENDS_IT)
def test_command_that_ends_or_leaves_its_transaction(project: Project, name: str):
    """It fails with an error that says what it did; the history has it; the next workspace is clean."""
    body, words = ENDS_IT[name]
    report = sole_workspace_fails(project, body)
    assert words in error_of(project)
    assert report.failures[0].error == error_of(project)
    assert project.query("select to_regclass('ws_b.made')::text") == [("ws_b.made",)]
    if "commit" not in body.lower() or not body.startswith("ctx.connection.connection"):
        assert project.query("select to_regclass('ws_a.made')") == [(None,)]


def test_nested_transactions_are_fine(project: Project):
    """`begin_nested()` and ROLLBACK TO SAVEPOINT; a temp table that ends with the transaction; functions."""
    project.create_workspaces("a")
    project.workspace(
        "1.0.0",
        1,
        "Careful",
        """
        connection = ctx.connection
        try:
            with connection.begin_nested():
                connection.execute(text("select 1/0"))
        except Exception:
            pass
        with connection.begin_nested() as savepoint:
            connection.execute(text("create table undone (id int)"))
            savepoint.rollback()
        connection.execute(text("savepoint mine"))
        connection.execute(text("create table undone (id int)"))
        connection.execute(text("rollback to savepoint mine"))
        connection.execute(text("release savepoint mine"))
        connection.execute(text("create temp table passing (id int) on commit drop"))
        connection.execute(text("do $$ begin perform 1; end $$"))
        connection.execute(text("select pg_advisory_xact_lock(42)"))
        connection.execute(text("create table made as select 'commit; rollback' as words"))
        """,
    )
    report = upgrade(project)
    assert report.failures == []
    assert project.query("select words, to_regclass('ws_a.undone') from ws_a.made") == [
        ("commit; rollback", None)
    ]


def test_settings_do_not_reach_the_next_workspace(project: Project):
    """search_path, a setting of the session, a parameter of its own, time zone: all are reset."""
    project.create_workspaces("a", "b")
    project.workspace(
        "1.0.0",
        1,
        "Sets",
        """
        ctx.connection.execute(text(
            "create table seen as select current_setting('search_path') as path,"
            " current_setting('statement_timeout') as timeout, current_setting('timezone') as zone,"
            " current_setting('my.own', true) as own, current_user::text as who"
        ))
        ctx.connection.execute(text("set search_path = public"))
        ctx.connection.execute(text("set statement_timeout = '77s'"))
        ctx.connection.execute(text("set timezone = 'Asia/Tokyo'"))
        ctx.connection.execute(text("select set_config('my.own', 'mine', false)"))
        """,
    )
    assert upgrade(project).failures == []
    a, b = project.query("select * from ws_a.seen union all select * from ws_b.seen")
    assert a[0] == '"ws_a", "public"'.replace('"', "") or a[0] == '"ws_a", "public"'
    assert (b[1], b[2], b[4]) == (a[1], a[2], a[4])
    assert "ws_b" in b[0]
    assert b[3] in (None, "")


@pytest.mark.parametrize("statement", ['set role "{role}"', 'set session authorization "{role}"'])
def test_role_does_not_reach_the_next_workspace(
    project: Project, make_role: Callable[..., Role], statement: str
):
    """Not even the record of the step is written as the other role, which may not write it."""
    role = make_role()
    project.create_workspaces("a", "b")
    project.workspace(
        "1.0.0",
        1,
        "Becomes",
        f"""
        ctx.connection.execute(text("create table seen as select current_user::text as who"))
        ctx.connection.execute(text('{statement.format(role=role.name)}'))
        """,
    )
    assert upgrade(project).failures == []
    ((a, b),) = project.query("select (select who from ws_a.seen), (select who from ws_b.seen)")
    assert a == b != role.name


@pytest.mark.parametrize(
    ("raised", "words"),
    [
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise BaseException('base')", "BaseException: base"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("import sys; sys.exit('bye')", "SystemExit: bye"),
        ("raise type('Odd', (Exception,), {'__str__': lambda self: 1 / 0})()", "Odd"),
    ],
)
def test_any_exception_is_a_failed_step(project: Project, raised: str, words: str):
    """It never ends the run: the other workspaces go on."""
    sole_workspace_fails(project, raised)
    assert words in error_of(project)


def test_error_names_the_lines_of_the_author(project: Project):
    """Type, message, SQLSTATE, statement, and the innermost lines of the author's code."""
    sole_workspace_fails(project, "ctx.connection.execute(text('select * from nowhere'))")
    error = error_of(project)
    for words in ("UndefinedTable", "42P01", "select * from nowhere", "1_misbehaves.py:", "run_on_workspace"):
        assert words in error
    assert "site-packages" not in error


def test_error_message_with_nul_bytes_is_kept(project: Project):
    """PostgreSQL text holds no NUL: it is written as an escape."""
    sole_workspace_fails(project, "raise ValueError('before\\x00after \\udcff')")
    assert "before\\0after" in error_of(project)


def test_error_message_of_10_megabytes_is_cut(project: Project):
    """At most 8 kB are kept, and the report has the same text."""
    report = sole_workspace_fails(project, "raise ValueError('x' * 10_000_000)")
    error = error_of(project)
    assert len(error.encode()) <= 8192
    assert "bytes cut" in error
    assert report.failures[0].error == error


def test_error_of_a_huge_statement_is_cut(project: Project):
    """A bulk INSERT of megabytes that fails."""
    sole_workspace_fails(project, "ctx.connection.execute(text('select ' + '1,' * 500_000 + '1/0'))")
    assert len(error_of(project).encode()) <= 8192


@pytest.mark.parametrize(
    "secret",
    [
        "could not reach postgresql://app:hunter2hunter2@db/app",
        "password=hunter2hunter2",
        "PASSWORD 'hunter2hunter2'",
        '{"api_key": "hunter2hunter2"}',
    ],
)
def test_secrets_in_an_error_are_masked(project: Project, secret: str):
    """Neither history nor report has them."""
    report = sole_workspace_fails(project, f"raise ValueError({secret!r})")
    assert "hunter2" not in error_of(project)
    assert "***" in error_of(project)
    assert "hunter2" not in str(report.failures[0].error)


def test_secret_in_a_failing_statement_is_masked(project: Project):
    """`CREATE ROLE … PASSWORD` that fails: the statement stands in the error, without the password."""
    sole_workspace_fails(
        project, "ctx.connection.exec_driver_sql(\"alter role nobody_at_all password 'hunter2hunter2'\")"
    )
    assert "hunter2" not in error_of(project)
    assert "alter role" in error_of(project)


def test_instance_command_is_guarded_too(project: Project):
    """`up` may no more commit than a workspace command."""
    project.fast("1.0.0", 1, "Commits", "connection.execute(text('create table t ()'))\nconnection.commit()")
    report = upgrade(project)
    assert report.outcome is Outcome.FAILED
    assert "commit()" in error_of(project, None)
    assert project.query("select to_regclass('t')") == [(None,)]


def test_data_migration_may_not_end_its_transaction_itself(project: Project):
    """`ctx.transaction()` gives a guarded connection, too; blocks are not nested."""
    project.slow("1.0.0", 1, "S", migrate="with ctx.transaction() as c:\n    c.commit()")
    project.slow(
        "1.0.0",
        2,
        "Nested",
        migrate="with ctx.transaction() as c:\n    with ctx.transaction() as d:\n        pass",
    )
    report = project.api().upgrade(UpgradeOptions(include_slow=True))
    assert "commit()" in str(report.failures[0].error)
    project.slow("1.0.0", 1, "S")
    report = project.api().upgrade(UpgradeOptions(include_slow=True))
    assert "inside another" in str(report.failures[0].error)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("connection.execute(text('begin'))", "BEGIN"),
        ("connection.connection.driver_connection.execute('begin')", "transaction open"),
        ("connection.execute(text('create temp table left_over ()'))", "left_over"),
        ("connection.execute(text('select pg_advisory_lock(42)'))", "session advisory lock"),
        ("connection.connection.driver_connection.execute('listen something')", "LISTEN"),
        ("connection.close()", "close"),
    ],
)
def test_non_transactional_command_is_checked_too(project: Project, body: str, words: str):
    """What it leaves behind fails it; a `running` row becomes its outcome."""
    project.fast("1.0.0", 1, "Outside", body, transactional=False)
    report = upgrade(project)
    assert report.outcome is Outcome.FAILED
    assert words in error_of(project, None)
    assert attempts(project) == [("Outside", None, 1, "failed")]
    project.fast("1.0.0", 1, "Outside", transactional=False)
    assert upgrade(project).completed == 1


def test_each_attempt_gets_a_fresh_instance(project: Project):
    """Nothing of an object reaches the next workspace."""
    project.create_workspaces("a", "b")
    project.workspace("1.0.0", 1, "Keeps", "assert not hasattr(self, 'seen')\nself.seen = True")
    assert upgrade(project).failures == []


def test_constructor_that_fails_is_a_failed_step(project: Project):
    """Or at least an error that names the command; never a bug of the program."""
    project.write(
        "commands/v1_0_0/1_fails.py",
        """
        from upgrader import instance_command

        @instance_command("1.0.0", 1)
        class FailsToBegin:
            def __init__(self):
                raise RuntimeError("not today")
            def up(self, connection):
                pass
        """,
    )
    report = upgrade(project)
    assert report.outcome is Outcome.FAILED
    assert "not today" in error_of(project, None)


def test_deferred_constraint_fails_the_step_at_commit(project: Project):
    """Found by COMMIT itself: recorded as failed, rolled back, the next one clean."""
    project.create_workspaces("a", "b")
    with project.connect() as connection:
        connection.execute(
            "create table core.parent (id int primary key);"
            "create table core.child (id int references core.parent deferrable initially deferred)"
        )
    project.workspace(
        "1.0.0",
        1,
        "Violates",
        "if ctx.workspace.id == 'a':\n    ctx.connection.execute(text('insert into core.child values (1)'))",
    )
    upgrade(project)
    assert attempts(project) == [("Violates", "a", 1, "failed"), ("Violates", "b", 1, "completed")]
    assert "23503" in error_of(project)
    assert project.query("select count(*) from core.child") == [(0,)]


def test_extension_that_the_embedded_server_lacks_has_a_hint(project: Project, server):
    """Contrib is not there: use a server of one's own."""
    if not server.is_wheel:
        pytest.skip("about the server from the wheel only")
    project.configure(database_url=None)
    project.fast("1.0.0", 1, "NeedsExtension", "create extension citext")
    report = upgrade(project, database_url=project.database_url)
    assert "extension" in str(report.failures[0].error)
