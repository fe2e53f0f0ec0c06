"""What `status` says of a real database."""

from collections.abc import Callable

import psycopg
import pytest

from tests.support.project import Project
from tests.support.server import Role
from upgrader.database.connect import Connector
from upgrader.errors import DatabaseUnavailableError, UnknownWorkspaceError
from upgrader.events import ignore_events
from upgrader.history.run_lock import RunLock
from upgrader.model import AttemptStatus
from upgrader.runner.options import UpgradeOptions
from upgrader.runner.stop import StopToken
from upgrader.status.health import Health
from upgrader.status.waiting import StatusPoll

EVERYTHING = UpgradeOptions(include_slow=True)

# Fails in workspace `b` as long as there is no table `mended`.
FAILS_IN_B = """
if ctx.workspace.id == "b":
    ctx.connection.execute(text("select * from core.mended"))
"""


@pytest.fixture
def upgradable(project: Project) -> Project:
    #   1.0.0 f1 s2 │ w3  ║  1.1.0 w4
    project.create_workspaces("a", "b", "c")
    project.fast("1.0.0", 1, "AddTable", "create table core.thing (id int)")
    project.slow("1.0.0", 2, "FillTable")
    project.workspace("1.0.0", 3, "AddView", "create view things as select * from core.thing")
    project.workspace("1.1.0", 4, "MayFail", FAILS_IN_B)
    return project


def mend(project: Project) -> None:
    with project.connect() as connection:
        connection.execute("create table core.mended ()")


def leave_running(project: Project, name: str) -> None:
    with project.connect() as connection:
        connection.execute(
            "insert into upgrader.history (name, kind, version, status, attempt, executed_by_version, checksum)"
            " values (%s, 'slow-instance', '1.0.0', 'running', 1, '1.1.0', '')",
            [name],
        )


def test_a_database_without_history_is_behind_and_stays_as_it_is(upgradable: Project) -> None:
    report = upgradable.api().status()
    assert report.is_first
    assert report.instance.health is Health.BEHIND
    assert report.summary[Health.BEHIND] == len(report.rows) == 3
    assert report.instance.last_step is None
    assert not report.is_good()
    assert upgradable.query("select to_regnamespace('upgrader')") == [(None,)]


def test_deferred_slow_steps_are_named(upgradable: Project) -> None:
    """The run stops before 1.1.0: the instance has only slow steps left, the workspaces more."""
    upgradable.api().upgrade(UpgradeOptions())
    report = upgradable.api().status()
    assert report.instance.health is Health.SLOW_PENDING
    assert report.instance.last_step == "1.0.0_AddTable_1"
    assert [step.name for step in report.deferred] == ["1.0.0_FillTable_2"]
    assert {(row.health, str(row.inferred_version), row.pending_count) for row in report.rows} == {
        (Health.BEHIND, "1.0.0", 1)
    }


def test_a_failed_workspace_is_told_with_its_error(upgradable: Project) -> None:
    upgradable.api().upgrade(EVERYTHING)
    upgradable.api().upgrade(EVERYTHING)
    report = upgradable.api().status()
    assert [row.health for row in report.rows] == [Health.UP_TO_DATE, Health.FAILED, Health.UP_TO_DATE]
    failed = report.rows[1]
    assert failed.display_name == "B"
    assert failed.error == 'UndefinedTable: relation "core.mended" does not exist'
    assert failed.failed_step is not None
    assert (failed.failed_step.name, failed.failed_step.attempt) == ("1.1.0_MayFail_4", 2)
    assert failed.failed_step.finished_at is not None
    assert failed.last_step == "1.0.0_AddView_3"
    assert not report.is_good()


def test_ids_and_failed_only_choose_the_rows(upgradable: Project) -> None:
    upgradable.api().upgrade(EVERYTHING)
    upgrader = upgradable.api()
    assert [row.workspace_id for row in upgrader.status(failed_only=True).rows] == ["b"]
    only = upgrader.status(workspace_ids=["c"])
    assert [row.workspace_id for row in only.rows] == ["c"]
    assert only.is_good()
    with pytest.raises(UnknownWorkspaceError, match="there is no workspace nobody"):
        upgrader.status(workspace_ids=["nobody"])


def test_a_failed_instance_step_is_told_with_its_whole_error(project: Project) -> None:
    project.create_workspaces("a")
    project.fast("1.0.0", 1, "Breaks", "select * from nowhere")
    project.api().upgrade(UpgradeOptions())
    (failed,) = project.api().status().instance.failed_steps
    assert (failed.name, failed.attempt, failed.status) == ("1.0.0_Breaks_1", 1, AttemptStatus.FAILED)
    assert failed.error is not None
    assert "SQLSTATE: 42P01" in failed.error
    assert failed.error_line == 'UndefinedTable: relation "nowhere" does not exist'


def test_out_of_scope_and_unenrolled_workspaces_are_told(upgradable: Project) -> None:
    upgradable.api().upgrade(EVERYTHING)
    upgradable.create_workspaces("d")
    upgradable.create_workspaces("e", status="DELETED")
    report = upgradable.api().status()
    assert report.out_of_scope == 1
    assert report.unenrolled == ("d",)
    assert report.rows[3].note == "not enrolled"


def test_a_database_that_is_ahead_is_good(upgradable: Project) -> None:
    mend(upgradable)
    upgradable.api().upgrade(EVERYTHING)
    report = upgradable.api(app_version="1.0.0").status()
    assert report.instance.health is Health.UP_TO_DATE
    assert report.summary[Health.AHEAD] == 3
    assert str(report.rows[0].last_step) == "1.1.0_MayFail_4"
    assert report.is_good(include_slow=True)


def test_a_living_run_is_named_and_what_runs_has_not_failed(upgradable: Project) -> None:
    upgradable.api().upgrade(UpgradeOptions())
    leave_running(upgradable, "1.0.0_FillTable_2")
    connector = Connector(upgradable.database_url, "upgrader/abc")
    lock = RunLock(connector, "upgrader", run_id="abc", emit=ignore_events)
    try:
        lock.acquire(wait_seconds=0, is_stopping=lambda: False)
        unannounced = upgradable.api().status().running
        assert unannounced is not None
        assert (unannounced.run_id, unannounced.client) == ("abc", None)
        lock.announce("1.1.0")
        report = upgradable.api().status()
    finally:
        lock.close()
    assert report.instance.health is Health.SLOW_PENDING
    assert report.running is not None
    assert report.running.executed_by_version == "1.1.0"
    assert "pid" in str(report.running.client)
    assert report.running.held_seconds is not None


def test_what_a_dead_run_left_running_has_failed(upgradable: Project) -> None:
    upgradable.api().upgrade(UpgradeOptions())
    leave_running(upgradable, "1.0.0_FillTable_2")
    report = upgradable.api().status()
    assert report.running is None
    assert report.instance.health is Health.FAILED
    (failed,) = report.instance.failed_steps
    assert (failed.status, failed.error, failed.finished_at) == (AttemptStatus.RUNNING, None, None)


def test_a_role_that_may_only_read_the_history_sees_all(
    upgradable: Project, make_role: Callable[..., Role]
) -> None:
    upgradable.api().upgrade(EVERYTHING)
    role = make_role()
    with upgradable.connect() as connection:
        for grant in (
            "usage on schema core, upgrader",
            "select on core.workspace, upgrader.history, upgrader.scope, upgrader.meta, upgrader.quarantine",
        ):
            connection.execute(f'grant {grant} to "{role.name}"'.encode())
    reader = upgradable.api(database_url=role.url(upgradable.database_url))
    lock = RunLock(
        Connector(upgradable.database_url, "upgrader/abc"), "upgrader", run_id="abc", emit=ignore_events
    )
    try:
        lock.acquire(wait_seconds=0, is_stopping=lambda: False)
        lock.announce("1.1.0")
        report = reader.status()
    finally:
        lock.close()
    assert report.rows[1].error is not None
    assert report.running is not None
    assert (report.running.run_id, report.running.client) == ("abc", None)


def test_waiting_ends_when_the_upgrade_is_through(upgradable: Project) -> None:
    mend(upgradable)
    seen: list[bool] = []

    def on_poll(poll: StatusPoll) -> None:
        seen.append(poll.is_good)
        if not poll.is_good:
            upgradable.api().upgrade(EVERYTHING)

    report = upgradable.api().wait_until_good(60, include_slow=True, on_poll=on_poll)
    assert report is not None
    assert report.is_good(include_slow=True)
    assert seen == [False, True]


def test_waiting_survives_the_end_of_its_connection(upgradable: Project) -> None:
    """As when the server is started anew while an application waits for it."""
    mend(upgradable)
    upgradable.api().upgrade(EVERYTHING)
    upgradable.create_workspaces("d")
    errors: list[str] = []

    def on_poll(poll: StatusPoll) -> None:
        if poll.error is not None:
            errors.append(type(poll.error).__name__)
            upgradable.query("delete from core.workspace where id = 'd' returning id")
        elif not poll.is_good:
            upgradable.query(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
                " and backend_type = 'client backend'"
            )

    report = upgradable.api().wait_until_good(60, on_poll=on_poll)
    assert report is not None
    assert report.is_good()
    assert errors == ["ConnectionLostError"]


def test_waiting_is_over_at_once_without_time_or_when_stopped(upgradable: Project) -> None:
    report = upgradable.api().wait_until_good(0)
    assert report is not None
    assert not report.is_good()
    stop = StopToken()
    stop.request("SIGTERM")
    assert upgradable.api(stop=stop).wait_until_good(3600) is not None


def test_waiting_for_a_database_that_never_comes_is_an_error(upgradable: Project) -> None:
    missing = psycopg.conninfo.make_conninfo(upgradable.database_url, dbname="status_nowhere")
    with pytest.raises(DatabaseUnavailableError, match="status_nowhere"):
        upgradable.api(database_url=missing).wait_until_good(0)
