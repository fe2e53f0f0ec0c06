"""What a command does to its connection, or to the process, ends with it."""

from collections.abc import Callable

import psycopg
import pytest

from tests.support.project import Project
from tests.support.results import assert_code, assert_error, attempts
from tests.support.server import PostgresServer, Role
from upgrader.model import Outcome
from upgrader.runner.options import UpgradeOptions

LATER = "assert ctx.connection.execute(text('select 1')).scalar_one() == 1"


@pytest.mark.parametrize(
    "body",
    [
        "ctx.connection.execution_options(stream_results=True)",
        "from sqlalchemy import event\n"
        "@event.listens_for(ctx.connection, 'before_cursor_execute')\ndef fail(*_): raise RuntimeError('mine')",
        "ctx.connection.connection.driver_connection.row_factory = __import__('psycopg').rows.dict_row",
        "driver = ctx.connection.connection.driver_connection\ndriver.prepare_threshold = 0\n"
        "driver.execute('select 1')",
        "ctx.connection.execute(text(\"set client_encoding = 'LATIN1'\"))",
    ],
)
def test_what_a_command_sets_ends_with_it(project: Project, body: str):
    """Options, listeners and the driver's attributes do not reach the next step or the next workspace."""
    project.create_workspaces("a", "é")
    project.workspace("1.0.0", 1, "Sets", body)
    project.workspace("1.0.0", 2, "Later", LATER)
    assert project.api().upgrade(UpgradeOptions()).failures == []
    assert attempts(project, "completed") == [
        (name, workspace, 1, "completed") for workspace in ("a", "é") for name in ("Sets", "Later")
    ]


@pytest.mark.parametrize("dry_run", [False, True])
def test_schema_translation_of_one_workspace_does_not_write_into_the_next(project: Project, dry_run: bool):
    """A `schema_translate_map` ends with the step that set it."""
    project.create_workspaces("a", "b")
    with project.connect() as connection:
        connection.execute("create table ws_a.t (i int); create table ws_b.t (i int)")
    project.workspace(
        "1.0.0",
        1,
        "Translates",
        "if ctx.workspace.id == 'a':\n"
        "    ctx.connection.execution_options(schema_translate_map={None: ctx.workspace.schema})",
    )
    project.workspace(
        "1.0.0",
        2,
        "Fills",
        "from sqlalchemy import Column, Integer, MetaData, Table, insert\n"
        "table = Table('t', MetaData(), Column('i', Integer))\n"
        "ctx.connection.execute(insert(table).values(i=1))\n"
        "assert ctx.connection.execute(text(f'select count(*) from {ctx.workspace.schema}.t')).scalar() == 1",
    )
    assert project.api().upgrade(UpgradeOptions(dry_run=dry_run)).failures == []


def test_schema_that_the_role_may_not_use_fails_its_workspace(
    project: Project, make_role: Callable[..., Role]
):
    """SET search_path minds no missing right: without a look the table would fall into `public`."""
    role = make_role()
    project.create_workspaces("a", "b")
    database = psycopg.conninfo.conninfo_to_dict(project.database_url)["dbname"]
    with project.connect() as connection:
        connection.execute(
            f'grant create on database "{database}" to {role.name}; grant usage on schema core to {role.name};'
            f" grant select on core.workspace to {role.name}; grant create on schema public to {role.name};"
            f" alter schema ws_b owner to {role.name}".encode()
        )
    project.workspace("1.0.0", 1, "Makes", "create table made (i int)")
    settings = {"database_url": role.url(project.database_url)}
    assert len(project.api(**settings).upgrade(UpgradeOptions(dry_run=True)).failures) == 1
    report = project.api(**settings).upgrade(UpgradeOptions())
    assert [failure.scope.workspace_id for failure in report.failures] == ["a"]
    assert "may not use it" in str(report.failures[0].error)
    assert project.query("select oid::regclass::text from pg_class where relname = 'made'") == [
        ("ws_b.made",)
    ]


def test_schema_that_goes_away_between_two_steps_fails_its_workspace(project: Project):
    """The later step does not run in `public` instead."""
    project.create_workspaces("a")
    project.workspace("1.0.0", 1, "Renames", "alter schema ws_a rename to ws_gone")
    project.workspace("1.0.0", 2, "Makes", "create table made (i int)")
    report = project.api().upgrade(UpgradeOptions())
    assert [str(failure.error).splitlines()[0] for failure in report.failures] == [
        "StepError: the schema ws_a of this workspace does not exist, or this role may not use it;"
        " nothing ran on it"
    ]
    assert project.query("select to_regclass('public.made')") == [(None,)]


@pytest.mark.parametrize("end", ["drop schema ws_a", "alter schema ws_a rename to ws_gone"])
def test_schema_that_somebody_takes_away_under_a_step_fails_it(project: Project, end: str):
    """What has fallen into the next schema of the search path is not kept; the step runs once the schema is back."""
    project.create_workspaces("a", "b")
    body = f"""
    import psycopg
    if ctx.workspace.id == "a" and ctx.connection.scalar(text("select to_regnamespace('ws_back') is null")):
        with psycopg.connect({project.database_url!r}) as other:
            other.execute({end!r})
    ctx.connection.execute(text("create table made (i int)"))
    """
    project.workspace("1.0.0", 1, "Makes", body)
    report = project.api().upgrade(UpgradeOptions())
    assert [str(failure.error).splitlines()[0] for failure in report.failures] == [
        "StepError: the schema ws_a of this workspace went away while the step ran; nothing of it is kept"
    ]
    assert project.query("select to_regclass('public.made'), to_regclass('ws_b.made')") == [
        (None, "ws_b.made")
    ]
    with project.connect() as connection:
        connection.execute("create schema ws_back; create schema if not exists ws_a")
    assert project.api().upgrade(UpgradeOptions()).outcome is Outcome.DONE


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_database_that_is_not_in_utf8(tmp_path, server: PostgresServer, encoding: str):
    """Ids with letters beyond ASCII are read and recorded; an error's text is kept as far as it can be."""
    with server.database(encoding=encoding) as url:
        project = Project.create(tmp_path, url)
        project.create_workspaces("a")
        with psycopg.connect(project.database_url, autocommit=True, client_encoding="utf8") as connection:
            connection.execute("create schema ws_e")
            connection.execute("insert into core.workspace values ('é', 'É', 'ACTIVE', 'ws_e')")
        project.workspace("1.0.0", 1, "Fine")
        project.workspace("1.0.0", 2, "Fails", "raise ValueError('snowman \\u2603')")
        report = project.api().upgrade(UpgradeOptions())
        assert (report.outcome, report.completed, len(report.failures)) == (Outcome.FAILED, 2, 2)
        with psycopg.connect(project.database_url, client_encoding="utf8") as connection:
            rows = connection.execute(
                "select workspace_id = 'é', error_message like '%snowman%' from upgrader.history"
                " where status = 'failed' order by id"
            ).fetchall()
        assert rows == [(False, True), (True, True)]


def test_encoding_of_the_client_does_not_matter(project: Project):
    """PGCLIENTENCODING of the environment is not what the program talks in."""
    project.create_workspaces("é")
    project.workspace("1.0.0", 1, "Fine")
    assert_code(project.run_cli("upgrade", env={"PGCLIENTENCODING": "LATIN1"}), 0)
    assert attempts(project) == [("Fine", "é", 1, "completed")]


def test_command_that_returns_a_coroutine_has_failed(project: Project):
    """Nothing of it has run, so it is not completed."""
    project.fast("1.0.0", 1, "Deferred", "async def real(): pass\nreturn real()")
    report = project.api().upgrade(UpgradeOptions())
    assert "its body has not run" in str(report.failures[0].error)


@pytest.mark.parametrize(
    "body",
    [
        "import os\nchild = os.fork()\nif not child:\n    return\nassert os.waitpid(child, 0)[1] == 0",
        "import os, sys\nchild = os.fork()\nif not child:\n    sys.exit(3)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3",
        # Python itself drops a signal that comes before a forked child is set up: so the child says when it is.
        "import os, time\nready, say = os.pipe()\nchild = os.fork()\n"
        "if not child:\n    os.write(say, b'x')\n    time.sleep(60)\n    os._exit(0)\n"
        "os.read(ready, 1)\nos.kill(child, 15)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -15",
    ],
)
def test_child_of_a_command_does_not_go_on_with_the_run(project: Project, body: str):
    """It ends where the command ends, and at SIGTERM; the run keeps its connection."""
    project.create_workspaces("a", "b")
    project.workspace("1.0.0", 1, "Forks", body)
    result = project.run_cli("upgrade", "--json", timeout=30)
    assert_code(result, 0)
    assert result.stdout.count("schema_version") == 1
    assert [status for *_, status in attempts(project)] == ["completed", "completed"]


def test_log_line_whose_arguments_do_not_fit_fails_nothing(project: Project):
    """As with the standard library; and a logged exception brings its traceback along."""
    project.create_workspaces("a")
    project.workspace(
        "1.0.0",
        1,
        "Logs",
        "ctx.log.warning('%s and %s', 1)\ntry:\n    1 / 0\nexcept ArithmeticError:\n    ctx.log.exception('oops')",
    )
    result = project.run_cli("upgrade")
    assert result.returncode == 0
    assert "%s and %s" in result.stderr
    assert "ZeroDivisionError" in result.stderr


def test_error_tells_its_notes_and_what_its_group_holds(project: Project):
    """What `add_note` added and the exceptions of a group are in the history."""
    project.fast(
        "1.0.0",
        1,
        "Groups",
        "error = ExceptionGroup('many', [ValueError('one'), TypeError('two')])\n"
        "error.add_note('row 17')\nraise error",
    )
    error = str(project.api().upgrade(UpgradeOptions()).failures[0].error)
    for words in ("- ValueError: one", "- TypeError: two", "row 17"):
        assert words in error


def test_triggers_that_a_command_turns_off_do_not_unhinge_the_history(project: Project):
    """`session_replication_role = replica` is the way to load data without checks; the step counts as done."""
    project.create_workspaces("a")
    project.fast("1.0.0", 1, "Loads", "set session_replication_role = replica")
    project.workspace("1.0.0", 2, "Fills", "set local session_replication_role = replica")
    assert project.api().upgrade(UpgradeOptions()).completed == 2
    assert project.api().upgrade(UpgradeOptions()).completed == 0


def test_read_only_database_is_refused(project: Project, make_role: Callable[..., Role]):
    """A standby, or a role that is read-only by default: nothing can run, and it says so."""
    role = make_role("superuser")
    with project.connect() as connection:
        connection.execute(f"alter role {role.name} set default_transaction_read_only = on".encode())
    project.fast("1.0.0", 1, "Fine")
    for first in (True, False):
        result = project.run_cli("--database-url", role.url(project.database_url), "upgrade")
        assert_error(result, 2, "read-only")
        if first:
            assert_code(project.run_cli("upgrade"), 0)


@pytest.mark.parametrize("dry_run", [False, True])
def test_another_connection_through_the_engine_is_refused(project: Project, dry_run: bool):
    """What is done there would be kept although the step failed, or was only tried."""
    project.fast(
        "1.0.0",
        1,
        "Leaks",
        "from sqlalchemy.orm import Session\n"
        "with Session(connection.engine) as session:\n"
        "    session.execute(text('create table public.leak ()'))\n"
        "    session.commit()",
    )
    report = project.api().upgrade(UpgradeOptions(dry_run=dry_run))
    assert report.outcome is Outcome.FAILED
    assert "may not open another connection" in str(report.failures[0].error)
    assert project.query("select to_regclass('public.leak')") == [(None,)]


def test_an_orm_session_on_the_connection_is_fine(project: Project):
    """It joins the step's transaction; its commit() ends nothing."""
    project.fast(
        "1.0.0",
        1,
        "Uses",
        "from sqlalchemy.orm import Session\n"
        "with Session(connection) as session:\n"
        "    session.execute(text('create table public.kept ()'))\n"
        "    session.commit()",
    )
    project.fast("1.0.0", 2, "Fails", "select 1/0")
    report = project.api().upgrade(UpgradeOptions())
    assert [failure.step.class_name for failure in report.failures] == ["Fails"]
    assert project.query("select to_regclass('public.kept')::text") == [("kept",)]


def test_a_schema_named_like_the_placeholder_of_the_role_is_refused(project: Project):
    """In search_path "$user" would mean the role's own schema."""
    project.create_workspaces("a")
    with project.connect() as connection:
        connection.execute('create schema "$user"')
        connection.execute("update core.workspace set database_schema = '$user'")
    project.workspace("1.0.0", 1, "Makes", "create table made ()")
    report = project.api().upgrade(UpgradeOptions())
    assert report.outcome is Outcome.FAILED
    assert project.query("select count(*) from pg_class where relname = 'made'") == [(0,)]
