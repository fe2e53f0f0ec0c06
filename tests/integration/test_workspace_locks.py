"""The lock of each workspace: no two runners work on one at once, and whoever holds one is waited for and named."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from tests.support.project import Project
from tests.support.results import attempts
from tests.support.server import wait_until
from upgrader.events import RunStarted, Waiting, WorkspaceFinished
from upgrader.history.keys import LockKeys
from upgrader.model import Jobs, Outcome
from upgrader.runner.options import UpgradeOptions
from upgrader.runner.result import RunReport
from upgrader.runner.stop import StopToken
from upgrader.testing import RecordingSink

IDS = ["a", "b", "c", "d", "e"]
KEYS = LockKeys.of("upgrader")


@contextmanager
def holding(project: Project, workspace_id: str) -> Iterator[psycopg.Connection]:
    """Hold the lock of a workspace, as another runner would, until the end of the block or its `close()`."""
    with psycopg.connect(project.database_url, autocommit=True, application_name="other runner") as holder:
        holder.execute("select pg_advisory_lock(%s)", [KEYS.workspace(workspace_id)])
        yield holder


class Run:
    """A run in a thread, with what it tells."""

    def __init__(self, project: Project, *, jobs: int, wait_lock_seconds: float = 0.0) -> None:
        self.sink, self.stop = RecordingSink(), StopToken()
        self.report: RunReport | None = None
        api = project.api(emit=self.sink, stop=self.stop)
        options = UpgradeOptions(jobs=Jobs(jobs), wait_lock_seconds=wait_lock_seconds)

        def run() -> None:
            self.report = api.upgrade(options)

        self._thread = threading.Thread(target=run)
        self._thread.start()

    def ended(self) -> RunReport:
        self._thread.join(120)
        assert self.report is not None
        return self.report

    @property
    def waits(self) -> list[Waiting]:
        return [event for event in self.sink.of(Waiting) if event.reason == "workspace-lock"]


@pytest.fixture
def five(project: Project) -> Project:
    project.create_workspaces(*IDS)
    project.workspace("1.0.0", 1, "First", "create table made (n int)")
    project.workspace("1.0.0", 2, "Second", "insert into made values (1)")
    return project


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_workspace_that_is_held_comes_last_and_its_holder_is_named(five: Project, jobs: int):
    """The others are done meanwhile; it is done once the holder has gone."""
    with holding(five, "b") as holder:
        pid = holder.info.backend_pid
        run = Run(five, jobs=jobs)
        wait_until(lambda: bool(run.waits) and len(run.sink.of(WorkspaceFinished)) == 4)
        assert {event.workspace.id for event in run.sink.of(WorkspaceFinished)} == {"a", "c", "d", "e"}
        assert run.waits[0].message == f"waiting for pid {pid} (other runner), which holds workspace b"
        holder.close()
        report = run.ended()
    assert report.outcome is Outcome.DONE
    assert [scope for _, scope, _, _ in attempts(five)][-2:] == ["b", "b"]
    assert {(attempt, status) for _, _, attempt, status in attempts(five)} == {(1, "completed")}


def test_a_holder_that_stays_is_waited_for_until_a_signal_comes(five: Project):
    """The wait is told about once a second, and the report counts what is left."""
    with holding(five, "b"), holding(five, "d"):
        run = Run(five, jobs=2)
        wait_until(lambda: any("holds workspace d" in wait.message for wait in run.waits[1:]))
        assert run.waits[-1].seconds > run.waits[0].seconds
        assert "holds workspace b" in run.waits[-1].message
        run.stop.request("SIGTERM")
        report = run.ended()
    assert (report.outcome, report.left, report.completed) == (Outcome.INTERRUPTED, 4, 6)


def test_what_the_other_runner_has_done_is_not_done_again(five: Project):
    """It counts as done, with its one attempt."""
    with holding(five, "b") as holder:
        run = Run(five, jobs=2)
        wait_until(lambda: bool(run.waits))
        holder.execute(
            "insert into upgrader.history (name, kind, version, workspace_id, status, attempt, executed_by_version,"
            " checksum, finished_at) select name, kind, version, 'b', status, attempt, 'by the other', checksum,"
            " finished_at from upgrader.history where workspace_id = 'a' and name like '%First%'"
        )
        holder.execute("create table ws_b.made (n int)")
        holder.close()
        report = run.ended()
    assert report.outcome is Outcome.DONE
    assert report.left == 0
    ((segment),) = report.segments.values()
    assert segment.done == 5
    assert five.query(
        "select count(*) filter (where executed_by_version = 'by the other'), count(*) from upgrader.history"
        " where workspace_id = 'b' and not is_initial"
    ) == [(1, 2)]


def test_what_the_other_runner_tried_in_vain_is_the_next_attempt(five: Project):
    """Attempts are counted on from what is there by then."""
    with holding(five, "b") as holder:
        run = Run(five, jobs=2)
        wait_until(lambda: bool(run.waits))
        holder.execute(
            "insert into upgrader.history (name, kind, version, workspace_id, status, attempt, executed_by_version,"
            " checksum, finished_at) select name, kind, version, 'b', 'failed', attempt, '1.0.0', checksum,"
            " finished_at from upgrader.history where workspace_id = 'a' and name like '%First%'"
        )
        holder.close()
        assert run.ended().outcome is Outcome.DONE
    assert [row for row in attempts(five) if row[1] == "b"] == [
        ("First", "b", 1, "failed"),
        ("First", "b", 2, "completed"),
        ("Second", "b", 1, "completed"),
    ]


def test_two_runs_at_once_do_everything_once(project: Project):
    """The second waits for the run lock, then finds what is left; every step has one attempt."""
    ids = [f"w{number:02}" for number in range(30)]
    project.create_workspaces(*ids)
    project.workspace("1.0.0", 1, "First", "create table made (n int)")
    project.workspace("1.0.0", 2, "Second", "insert into made values (1)")
    runs = [Run(project, jobs=3, wait_lock_seconds=100) for _ in range(3)]
    reports = [run.ended() for run in runs]
    assert {report.outcome for report in reports} == {Outcome.DONE}
    assert sum(report.completed for report in reports) == 60
    assert {attempt for _, _, attempt, _ in attempts(project)} == {1}
    assert sum(len(run.sink.of(RunStarted)) for run in runs) == 3
    for id_ in ids:
        assert project.query(f"select n from ws_{id_}.made") == [(1,)]


@pytest.mark.parametrize("kind", ["migration", "autocommit"])
def test_outside_of_transactions_the_session_holds_it(project: Project, kind: str):
    """From before its first row in the history to its end, and not a moment longer; no check trips over it."""
    project.create_workspaces(*IDS)
    watched = (
        "import psycopg\n"
        f"with psycopg.connect({project.database_url!r}, autocommit=True) as other:\n"
        "    row = other.execute('select pg_try_advisory_lock(%s)', [{key}]).fetchone()\n"
        "    assert row == (False,), 'nobody holds it'\n"
    )
    keys = {id_: KEYS.workspace(id_) for id_ in IDS}
    body = f"keys = {keys!r}\n" + watched.replace("{key}", "keys[ctx.workspace.id]")
    if kind == "migration":
        migrate = (
            body + "with ctx.transaction() as connection:\n    connection.execute(text('select 1'))\n"
            "try:\n    with ctx.transaction() as connection:\n        connection.execute(text('select 1 / 0'))\n"
            "except Exception:\n    pass\n"  # the session is replaced, and holds it again in the next transaction
            "with ctx.transaction() as connection:\n    connection.execute(text('select 2'))\n" + body
        )
        project.workspace("1.0.0", 1, "Moves", "select 1", migrate=migrate)
    else:
        project.workspace(
            "1.0.0", 1, "Moves", body + "ctx.connection.execute(text('select 1'))", transactional=False
        )
    project.workspace("1.0.0", 2, "After", "select 1")
    run = Run(project, jobs=2)
    report = run.ended()
    assert report.failures == []
    assert report.outcome is Outcome.DONE
    assert run.waits == []


@pytest.mark.parametrize("options", [{"transactional": False}, {"migrate": "pass"}])
def test_such_a_step_waits_for_its_turn_like_any_other(project: Project, options: dict[str, object]):
    """Nothing of it is in the history before it has the lock."""
    project.create_workspaces("a", "b")
    project.workspace("1.0.0", 1, "Moves", "create table made (n int)", **options)
    with holding(project, "a") as holder:
        run = Run(project, jobs=1)
        wait_until(lambda: bool(run.waits))
        assert attempts(project) == [("Moves", "b", 1, "completed")]
        holder.close()
        assert run.ended().outcome is Outcome.DONE
    assert attempts(project)[-1] == ("Moves", "a", 1, "completed")


def test_a_command_may_not_leave_a_lock_beside_it(project: Project):
    """The lock of the workspace is the runner's; any other that is left fails the step, as before."""
    project.create_workspaces("a", "b")
    project.workspace(
        "1.0.0",
        1,
        "Leaves",
        "ctx.connection.execute(text('select pg_advisory_xact_lock(1)'))\n"
        "if ctx.index == 1:\n    ctx.connection.execute(text('select pg_advisory_lock(2)'))",
    )
    report = Run(project, jobs=1).ended()
    (failure,) = report.failures
    assert failure.scope.workspace_id == "a"
    assert "session advisory lock" in str(failure.error)
