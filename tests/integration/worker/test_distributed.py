"""`--distributed`: the workspaces of a run done by workers, under the rules of one lane."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.distributed import Coordinator, distribute, worker_threads
from tests.support.project import Project
from tests.support.results import attempts, snapshot
from tests.support.server import PostgresServer, wait_until
from upgrader.errors import ConnectionLostError, LockHeldError, RunSupersededError
from upgrader.events import (
    AuthorLog,
    Event,
    SegmentFinished,
    SegmentStarted,
    StepFinished,
    StepRetried,
    StepStarted,
    Waiting,
    WorkspaceFinished,
)
from upgrader.model import FailureLimit, Jobs, Outcome
from upgrader.runner.options import UpgradeOptions
from upgrader.runner.stop import StopToken
from upgrader.sequence.plan import Selection
from upgrader.testing import RecordingSink

IDS = [f"w{number:02}" for number in range(12)]
# Tables of which the second run of a comparison may hold other values: who did what, when.
IN_TRANSACTION = (
    "select from pg_stat_activity where state = 'idle in transaction' and datname = current_database()"
)
_OWN = ("upgrader.run", "upgrader.history", "upgrader_worker.")


@pytest.fixture
def other_project(tmp_path: Path, server: PostgresServer) -> Iterator[Project]:
    """A second one, on a database of its own."""
    folder = tmp_path / "other"
    folder.mkdir()
    with server.database() as url:
        yield Project.create(folder, url)


def done(project: Project, step: str) -> list[str]:
    """Give the workspaces in which a step is completed, each as often as it is."""
    rows = attempts(project, "completed")
    return sorted(scope for name, scope, _, _ in rows if name == step and scope is not None)


def waits_for(gate: Path) -> str:
    """Give the body of a command that waits in its transaction until there is this file."""
    return f"import pathlib, time\nwhile not pathlib.Path({str(gate)!r}).exists():\n    time.sleep(0.01)"


def heard(project: Project, state: str) -> bool:
    """Tell whether all workers have looked at the run since it was in this state."""
    ((since,),) = project.query(
        "select case when state = %s then clock_timestamp() end from upgrader_worker.distributed_run", state
    )
    if since is None:
        return False
    wait_until(
        lambda: project.query("select min(seen_at) > %s from upgrader_worker.distributed_member", since)[0][0]
    )
    return True


def write_release(project: Project) -> None:
    """Write two versions with steps of all kinds."""
    project.fast("1.0.0", 1, "F1", "create table public.seen (workspace text, place int, total int)")
    project.workspace(
        "1.0.0",
        2,
        "W2",
        "ctx.connection.execute(text('create table made (n int)'))\n"
        "ctx.connection.execute(text('insert into public.seen values (:id, :i, :n)'),"
        " {'id': ctx.workspace.id, 'i': ctx.index, 'n': ctx.total})",
    )
    project.workspace(
        "1.0.0",
        3,
        "W3",
        "ctx.connection.execute(text('create index concurrently made_n on made (n)'))",
        transactional=False,
    )
    project.workspace(
        "1.0.0",
        4,
        "W4",
        "alter table made add check (n > 0)",
        migrate="for n in (1, 2):\n"
        "    with ctx.transaction() as connection:\n"
        "        connection.execute(text('insert into made values (:n)'), {'n': n})",
    )
    project.fast("1.1.0", 5, "F5", "insert into public.seen select 'barrier', count(*), 0 from public.seen")
    project.workspace("1.1.0", 6, "W6", "insert into made values (3)")


def test_the_same_database_as_with_one_lane(project: Project, other_project: Project):
    """Table by table: steps in and out of transactions, data migrations, places, barriers; and the same report."""
    for one in (project, other_project):
        one.create_workspaces(*IDS)
        write_release(one)

    with worker_threads(project, 2):
        report = distribute(project)
    alone = other_project.api().upgrade(UpgradeOptions(jobs=Jobs(1)))

    assert report.error is None
    assert (report.outcome, report.completed) == (Outcome.DONE, alone.completed) == (Outcome.DONE, 2 + 4 * 12)
    assert list(report.steps) == list(alone.steps)
    assert list(report.segments.values()) == list(alone.segments.values())
    made, wanted = snapshot(project), snapshot(other_project)
    made["catalog"] = [row for row in made["catalog"] if "upgrader_worker" not in " ".join(map(str, row))]
    same = [key for key in wanted if not key.startswith(_OWN)]
    assert [key for key in made if not key.startswith(_OWN)] == same
    assert {key: made[key] for key in same} == {key: wanted[key] for key in same}
    assert sorted(map(str, attempts(project))) == sorted(map(str, attempts(other_project)))
    names = [step for step, *_ in attempts(project)]
    assert names.index("F5") > max(place for place, name in enumerate(names) if name == "W4"), "the barrier"
    assert project.query("select place from seen where workspace = 'barrier'") == [(12,)]
    assert sum(one.workspaces for one in report.workers) == 2 * len(IDS)
    assert sum(one.steps for one in report.workers) == 4 * len(IDS)
    assert {one.end for one in report.workers} == {"worked"}
    assert project.query("select count(*) from upgrader_worker.distributed_run") == [(0,)]


def test_nothing_is_distributed_where_nothing_is_to_be_done(project: Project):
    """A run without workspaces asks for no worker, and makes no table."""
    project.create_workspaces()
    project.fast("1.0.0", 1, "F1")
    assert distribute(project).outcome is Outcome.DONE
    assert project.query("select to_regnamespace('upgrader_worker')") == [(None,)]


def test_events_are_those_of_lanes(project: Project):
    """Each workspace's attempts begin and end in order, with what its command logged."""
    project.create_workspaces(*IDS)
    project.workspace("1.0.0", 1, "W1", "ctx.log.info('hello %s', ctx.workspace.id)")
    project.workspace("1.0.0", 2, "W2")
    sink = RecordingSink()

    with worker_threads(project, 2):
        distribute(project, emit=sink)

    assert [event.total for event in sink.of(SegmentStarted)] == [12]
    assert [(event.done, event.failed) for event in sink.of(SegmentFinished)] == [(12, 0)]
    assert sorted(event.message for event in sink.of(AuthorLog)) == [f"hello {id_}" for id_ in IDS]
    finished = sink.of(WorkspaceFinished)
    assert sorted((event.index, event.workspace.id) for event in finished) == list(enumerate(IDS, start=1))
    for id_ in IDS:
        told = [
            (type(event).__name__, event.step.class_name)
            for event in sink.events
            if isinstance(event, StepStarted | StepFinished) and event.scope.workspace_id == id_
        ]
        assert told == [(kind, step) for step in ("W1", "W2") for kind in ("StepStarted", "StepFinished")]


def test_failures_hold_the_barrier_and_are_told_in_order(project: Project):
    """Later steps of a failed workspace wait, nobody else does; the next run tries them again."""
    project.create_workspaces(*IDS)
    project.workspace("1.0.0", 1, "W1", "assert ctx.index % 3, 'every third'")
    project.workspace("1.0.0", 2, "W2")
    project.fast("1.1.0", 3, "F3")

    with worker_threads(project, 2):
        report = distribute(project)

    failed = [id_ for place, id_ in enumerate(IDS, start=1) if place % 3 == 0]
    assert report.outcome is Outcome.FAILED
    assert [failure.scope.workspace_id for failure in report.failures] == failed
    assert "every third" in (report.failures[0].error or "")
    assert done(project, "W2") == [id_ for id_ in IDS if id_ not in failed]
    assert "F3" not in [step for step, *_ in attempts(project)]
    assert sum(one.failed for one in report.workers) == len(failed)
    project.workspace("1.0.0", 1, "W1")
    with worker_threads(project):
        assert distribute(project).outcome is Outcome.DONE
    assert done(project, "W2") == IDS
    assert {attempt for step, _, attempt, _ in attempts(project, "completed") if step == "W1"} == {1, 2}


def test_skips_and_workspaces_that_went_away(project: Project):
    """A command that skips is told of as with one lane; what is gone since the survey is left out."""
    project.create_workspaces(*IDS)
    project.workspace(
        "1.0.0",
        1,
        "W1",
        "if ctx.index == 2:\n    from upgrader import SkipWorkspace\n    raise SkipWorkspace('later')",
    )

    def suspend(event: Event) -> None:
        if isinstance(event, SegmentStarted):
            project.query("update core.workspace set activation_status = 'GONE' where id = 'w11' returning 1")

    project.configure(workspaces={"statuses": ["ACTIVE"]})
    with worker_threads(project):
        report = distribute(project, emit=suspend)
    assert [(one.scope.workspace_id, one.error) for one in report.skipped] == [("w01", "later")]
    (segment,) = report.segments.values()
    assert (segment.done, segment.skipped, segment.left_out) == (10, 1, 1)


@pytest.mark.parametrize("options", [{"fail_fast": True}, {"max_failures": FailureLimit(count=3)}], ids=str)
def test_too_many_failures_end_a_segment(project: Project, options: dict[str, Any]):
    """What was in progress ends, what was given out is taken back, and the rest is counted as left."""
    ids = [f"w{number:03}" for number in range(200)]
    project.create_workspaces(*ids)
    project.workspace("1.0.0", 1, "W1", "raise RuntimeError('no')")

    with worker_threads(project, 2):
        report = distribute(project, **options)

    early = report.too_many_failures
    assert early is not None
    assert report.outcome is Outcome.FAILED
    assert early.limit.count is not None
    assert early.limit.count <= early.failed <= len(report.failures) < 100
    (segment,) = report.segments.values()
    assert segment.failed == len(report.failures)
    assert segment.failed + report.left == 200
    assert len(attempts(project, "failed")) == segment.failed


def test_filters_and_slow_steps_are_the_coordinators(project: Project):
    """The selection is made where the plan is."""
    project.create_workspaces(*IDS)
    project.workspace("1.0.0", 1, "W1")
    with worker_threads(project):
        report = distribute(project, selection=Selection(start_from="w05", count_limit=3))
    assert done(project, "W1") == ["w05", "w06", "w07"]
    assert report.outcome is Outcome.DONE


def test_the_coordinators_settings_hold_on_workers(project: Project):
    """A lock is waited for as long as the coordinator says, and tried again as often; the report has the waits."""
    project.create_workspaces("a")
    project.fast("1.0.0", 1, "F1", "create table public.shared (n int)")
    project.workspace("1.0.0", 2, "W2", "lock table public.shared")
    holder = project.connect(autocommit=False)
    sink = RecordingSink()

    def hold(event: Event) -> None:
        sink(event)
        if isinstance(event, SegmentStarted):
            holder.execute("lock table public.shared")

    settings = {"lock_timeout_seconds": 0.05, "lock_tries": 3, "lock_retry_initial_seconds": 0.01}
    with worker_threads(project):
        report = distribute(project, emit=hold, settings=settings)
    holder.close()
    (failure,) = report.failures
    assert failure.tries == 3
    assert "lock timeout" in (failure.error or "")
    assert [event.tries for event in sink.of(StepRetried)] == [1, 2]


def test_a_run_without_workers_says_so_and_waits(project: Project):
    """It goes on as soon as one is there, and one that joins late has its part."""
    project.create_workspaces(*IDS)
    project.workspace("1.0.0", 1, "W1")
    sink = RecordingSink()
    with Coordinator(project, {"emit": sink}) as coordinator:
        wait_until(lambda: sink.of(Waiting))
        assert "upgrader worker" in sink.of(Waiting)[0].message
        with worker_threads(project):
            assert coordinator.report.outcome is Outcome.DONE
    assert done(project, "W1") == IDS


def test_two_coordinators_at_once(project: Project):
    """The second one is told who holds the lock, and has changed nothing of the first one's run."""
    project.create_workspaces(*IDS)
    project.workspace("1.0.0", 1, "W1")
    sink = RecordingSink()
    with Coordinator(project, {"emit": sink}) as coordinator:
        wait_until(lambda: sink.of(SegmentStarted))
        with pytest.raises(LockHeldError):
            distribute(project)
        with worker_threads(project):
            assert coordinator.report.outcome is Outcome.DONE


LOSES_ITS_SESSION = """\
import pathlib
if ctx.workspace.id == 'w02' and not pathlib.Path({mark!r}).exists():
    pathlib.Path({mark!r}).touch()
    ctx.connection.execute(text('select pg_terminate_backend(pg_backend_pid())'))
"""


@pytest.mark.parametrize("method", ["body", "migrate"])
def test_a_lost_session_of_a_worker_costs_nothing(project: Project, method: str):
    """Its step rolled back; the workspace and the rest of the chunk are done by a session that lives.

    An attempt that was written down as running is interrupted by the end of the run, not by a later one.
    """
    project.create_workspaces(*IDS)
    bodies = {"body": "ctx.connection.execute(text('create table made (n int)'))\n", "migrate": ""}
    bodies[method] += LOSES_ITS_SESSION.format(mark=str(project.directory / "lost"))
    if method == "migrate":
        bodies[method] = "with ctx.transaction() as connection:\n" + textwrap.indent(
            bodies[method].replace("ctx.connection", "connection"), "    "
        )
    project.workspace("1.0.0", 1, "W1", **{name: body for name, body in bodies.items() if body})
    with worker_threads(project, 2):
        report = distribute(project)
    assert (report.outcome, report.error) == (Outcome.DONE, None)
    assert done(project, "W1") == IDS
    assert report.completed == len(IDS)
    assert attempts(project, "running") == []


def test_what_a_dead_run_has_left_goes_with_the_next(project: Project):
    """Also where that has nothing to hand out: a coordinator may be killed after its last step."""
    project.create_workspaces(*IDS)
    project.workspace("1.0.0", 1, "W1")
    with worker_threads(project, 1):
        assert distribute(project).outcome is Outcome.DONE
    with project.connect() as connection:
        connection.execute(
            "insert into upgrader_worker.distributed_run (run_id, terms) values ('dead', '{}')"
        )
    assert distribute(project).outcome is Outcome.DONE
    assert project.query("select from upgrader_worker.distributed_run") == []


def test_a_workspace_that_ends_every_session_ends_the_run(project: Project):
    """After a handful of them: the report names it."""
    project.create_workspaces(*IDS)
    project.workspace(
        "1.0.0",
        1,
        "W1",
        "if ctx.index == 3:\n    ctx.connection.execute(text('select pg_terminate_backend(pg_backend_pid())'))\n",
    )
    with worker_threads(project, 2):
        report = distribute(project)
    assert isinstance(report.error, ConnectionLostError)
    assert "w02" in report.error.message
    assert "w02" not in done(project, "W1")


def test_a_lost_run_lock_stops_all_workers(project: Project):
    """Steps in progress end, nobody begins another; the next run goes on."""
    project.create_workspaces(*IDS)
    gate = project.directory / "gate"
    project.workspace(
        "1.0.0",
        1,
        "W1",
        waits_for(gate),
    )
    project.workspace("1.0.0", 2, "W2")
    with worker_threads(project, 2):
        with Coordinator(project) as coordinator:
            wait_until(lambda: len(project.query(IN_TRANSACTION)) == 4)
            project.query("select pg_terminate_backend(backend_pid, 10000) from upgrader.run")
            assert isinstance(coordinator.report.error, RunSupersededError)
        gate.touch()
    assert done(project, "W2") == []
    assert len(done(project, "W1")) <= 4
    with worker_threads(project, 2):
        assert distribute(project).outcome is Outcome.DONE
    assert done(project, "W2") == IDS


def test_a_stop_lets_workers_finish_their_step(project: Project):
    """One signal: steps in progress end, the rest is left and counted, no chunk stays."""
    project.create_workspaces(*IDS)
    gate = project.directory / "gate"
    project.workspace("1.0.0", 1, "W1", waits_for(gate))
    project.workspace("1.0.0", 2, "W2")
    stop = StopToken()
    with worker_threads(project, 2), Coordinator(project, {"stop": stop}) as coordinator:
        wait_until(lambda: len(project.query(IN_TRANSACTION)) == 4)
        stop.request("SIGTERM")
        wait_until(lambda: heard(project, "stopping"))
        gate.touch()
        report = coordinator.report
    assert report.outcome is Outcome.INTERRUPTED
    assert len(done(project, "W1")) == 4
    assert done(project, "W2") == []
    assert report.completed + report.left == 2 * len(IDS)
    assert not report.failures
    assert [one.end for one in report.workers] == ["worked", "worked"]
