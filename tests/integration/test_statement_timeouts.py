"""Timeouts of statements and of transactions that stand still: whose they are, and what is told."""

from __future__ import annotations

import threading

import psycopg
import pytest

from tests.support.project import Project
from tests.support.results import attempts, is_executing
from tests.support.server import wait_until, with_parameters
from upgrader.model import Outcome
from upgrader.runner.options import UpgradeOptions
from upgrader.runner.result import RunReport

SHOW = """
names = ("statement_timeout", "idle_in_transaction_session_timeout", "lock_timeout")
shown = [connection.execute(text(f"show {name}")).scalar() for name in names]
connection.execute(text("create table if not exists shown (place text, what text[])"))
connection.execute(text("insert into shown values (:place, :what)"), {"place": PLACE, "what": shown})
"""


def upgrade(project: Project, **settings: object) -> RunReport:
    return project.api(**settings).upgrade(UpgradeOptions(include_slow=True))


def show(place: str) -> str:
    return SHOW.replace("PLACE", repr(place))


def shown(project: Project) -> dict[str, list[str]]:
    return dict(project.query("select place, what from shown"))


def in_migration(place: str) -> str:
    body = show(place).strip().replace("\n", "\n    ")
    return f"with ctx.transaction() as connection:\n    {body}"


def test_role_and_database_do_not_undercut_the_settings(project: Project):
    """Neither their timeouts nor those that only newer servers know; RESET ALL comes back to the run's own."""
    with project.connect() as connection:
        name = connection.info.dbname
        for setting in (
            "statement_timeout = 50",
            "idle_in_transaction_session_timeout = 50",
            "lock_timeout = 50",
        ):
            connection.execute(f"alter database {name} set {setting}")
        if connection.info.server_version >= 170_000:
            connection.execute(f"alter database {name} set transaction_timeout = 50")
    project.create_workspaces("a")
    project.fast("1.0.0", 1, "First", show("first") + "connection.execute(text('select pg_sleep(0.2)'))\n")
    project.fast("1.0.0", 2, "Again", show("again"))
    project.slow("1.0.0", 3, "Migrate", migrate=in_migration("migration"))
    project.fast("1.1.0", 4, "Outside", show("outside"), transactional=False)
    report = upgrade(
        project,
        lock_timeout_seconds=3,
        statement_timeout_seconds=70,
        idle_in_transaction_session_timeout_seconds=80,
    )
    assert report.failures == []
    assert shown(project) == {
        "first": ["70s", "80s", "3s"],
        "again": ["70s", "80s", "3s"],
        "migration": ["70s", "80s", "0"],
        "outside": ["0", "80s", "0"],
    }


def test_command_overrides_the_settings(project: Project):
    """In its transaction, in its data migration, outside of both; 0 is none."""
    own = {
        "lock_timeout_seconds": 5,
        "statement_timeout_seconds": 6.5,
        "idle_in_transaction_session_timeout_seconds": 0,
    }
    project.slow("1.0.0", 1, "Both", show("up"), migrate=in_migration("migration"), **own)
    project.fast("1.0.0", 2, "Outside", show("outside"), transactional=False, **own)
    project.fast("1.0.0", 3, "Plain", show("plain"))
    assert upgrade(project).failures == []
    assert shown(project) == {
        "up": ["6500ms", "0", "5s"],
        "migration": ["6500ms", "0", "5s"],
        "outside": ["6500ms", "0", "0"],
        "plain": ["0", "10min", "2s"],
    }


def test_dry_run_uses_the_same(project: Project):
    """Also where a command has its own."""
    check = """
    assert connection.execute(text("show statement_timeout")).scalar() == WANTED
    """
    project.fast("1.0.0", 1, "Own", check.replace("WANTED", "'6s'"), statement_timeout_seconds=6)
    project.fast("1.0.0", 2, "Settings", check.replace("WANTED", "'70s'"))
    report = project.api(statement_timeout_seconds=70).upgrade(UpgradeOptions(dry_run=True))
    assert report.failures == []


def test_statement_timeout_names_itself(project: Project):
    """The limit, the setting, and how to give this command more; nothing is repeated."""
    project.fast("1.0.0", 1, "Slow", "create table made (); select pg_sleep(60)")
    (failure,) = upgrade(project, statement_timeout_seconds=0.2).failures
    assert failure.tries == 1
    for words in (
        "QueryCanceled: canceling statement due to statement timeout",
        "a statement took longer than 0.2 s, which is its statement_timeout (setting statement_timeout_seconds)",
        "hint: give the command more: statement_timeout_seconds=… in its decorator (0: as long as it takes)",
        "SQLSTATE: 57014",
    ):
        assert words in str(failure.error)
    assert project.query("select to_regclass('made')") == [(None,)]
    project.fast(
        "1.0.0", 1, "Slow", "create table made (); select pg_sleep(0.3)", statement_timeout_seconds=60
    )
    assert upgrade(project, statement_timeout_seconds=0.2).completed == 1


def test_timeout_that_the_command_sets_itself(project: Project):
    """Is not blamed on the settings."""
    project.fast("1.0.0", 1, "Own", "set local statement_timeout = 100; select pg_sleep(60)")
    (failure,) = upgrade(project).failures
    assert "the command has set statement_timeout itself" in str(failure.error)


def test_cancelled_statement_is_no_timeout(project: Project):
    """A DBA who cancels it is told apart."""
    project.fast("1.0.0", 1, "Slow", "select pg_sleep(60)")

    def cancel() -> None:
        wait_until(lambda: is_executing(project, "pg_sleep(60)"))
        project.query(
            "select pg_cancel_backend(pid) from pg_stat_activity where query like '%pg_sleep(60)%'"
            " and datname = current_database() and pid <> pg_backend_pid()"
        )

    thread = threading.Thread(target=cancel)
    thread.start()
    (failure,) = upgrade(project, statement_timeout_seconds=100).failures
    thread.join()
    assert "canceling statement due to user request" in str(failure.error)
    assert "statement_timeout" not in str(failure.error)


@pytest.mark.parametrize("kind", ["up", "migrate"])
def test_transaction_that_stands_still(project: Project, kind: str):
    """The server ends it, so that its locks go; the step fails with what to do, and the run goes on."""
    idle = "import time\nconnection.execute(text('select 1'))\ntime.sleep(1)\nconnection.execute(text('select 1'))"
    own = {"idle_in_transaction_session_timeout_seconds": 0.2}
    if kind == "up":
        project.create_workspaces("a", "b")
        only = "connection = ctx.connection\nif ctx.workspace.id == 'a':\n    " + idle.replace("\n", "\n    ")
        project.workspace("1.0.0", 1, "Idle", only, **own)
    else:
        migrate = "with ctx.transaction() as connection:\n    " + idle.replace("\n", "\n    ")
        project.slow("1.0.0", 1, "Idle", migrate=migrate, **own)
    report = upgrade(project)
    (failure,) = report.failures
    assert report.outcome is Outcome.FAILED
    assert "the command did nothing in its transaction for more than 0.2 s" in str(failure.error)
    assert "idle_in_transaction_session_timeout_seconds=…" in str(failure.error)
    assert ("Idle", failure.scope.workspace_id, 1, "failed") in attempts(project)
    if kind == "up":
        assert ("Idle", "b", 1, "completed") in attempts(project)


def test_lock_session_outlives_every_timeout(project: Project):
    """It is idle for the whole run, and its role may not end it."""
    with project.connect() as connection:
        name = connection.info.dbname
        connection.execute(f"alter database {name} set idle_session_timeout = 100")
        connection.execute(f"alter database {name} set statement_timeout = 100")
        connection.execute(f"alter database {name} set idle_in_transaction_session_timeout = 100")
    project.fast("1.0.0", 1, "Long", "select pg_sleep(0.5)", statement_timeout_seconds=0)
    project.fast("1.0.0", 2, "After")
    report = upgrade(project, statement_timeout_seconds=0.2, idle_in_transaction_session_timeout_seconds=0.2)
    assert report.completed == 2


def test_url_that_says_more_wins(project: Project):
    """What an operator writes into the URL is asked for."""
    url = with_parameters(project.database_url, options="-c statement_timeout=90s")
    project.fast("1.0.0", 1, "Show", show("url"))
    assert upgrade(project, database_url=url).failures == []
    assert shown(project)["url"][0] == "90s"
    with psycopg.connect(url) as connection:
        assert connection.execute("show statement_timeout").fetchone() == ("90s",)


def test_errors_know_how_long_their_statement_took(project: Project):
    """What tells a timeout from a cancel where the server speaks another language."""
    body = """
    from upgrader.database.failures import seconds_of
    try:
        connection.execute(text("set local statement_timeout = 300"))
        connection.execute(text("select pg_sleep(60)"))
    except Exception as error:
        assert 0.29 < seconds_of(error.orig) < 30, seconds_of(error.orig)
        raise RuntimeError("it was noted") from None
    """
    project.fast("1.0.0", 1, "Slow", body)
    (failure,) = upgrade(project).failures
    assert "it was noted" in str(failure.error)
