"""`--jobs`: several workspaces at a time, under the rules of one."""

from __future__ import annotations

from typing import Any

from psycopg.sql import SQL, Identifier

from tests.support.meeting import meeting
from tests.support.project import Project
from tests.support.results import attempts, snapshot
from upgrader.errors import ConnectionLostError, RunSupersededError
from upgrader.events import Event, EventSink, StepFinished, StepRetried, WorkspaceFinished, ignore_events
from upgrader.model import FailureLimit, Jobs, Outcome
from upgrader.runner.options import DowngradeOptions, UpgradeOptions
from upgrader.runner.result import RunReport
from upgrader.sequence.plan import Selection
from upgrader.testing import RecordingSink
from upgrader.version import ReleaseVersion

IDS = [f"w{number:02}" for number in range(12)]
SEEN = """
ctx.connection.execute(text(
    "insert into public.seen select current_schema(), pg_backend_pid(), count(*) from pg_stat_activity"
    " where datname = current_database() and application_name like 'upgrader%'"
))
"""
SHORT_PAUSES = {"lock_retry_initial_seconds": 0.01, "lock_retry_max_seconds": 0.05, "lock_tries": 50}


def upgrade(
    project: Project,
    jobs: int,
    *,
    emit: EventSink = ignore_events,
    settings: dict[str, Any] | None = None,
    **options: Any,
) -> RunReport:
    api = project.api(emit=emit, **(settings or {}))
    return api.upgrade(UpgradeOptions(jobs=Jobs(jobs), **options))


def done(project: Project, step: str) -> list[str]:
    """Give the workspaces in which a step is completed, each as often as it is."""
    rows = attempts(project, "completed")
    return sorted(scope for name, scope, _, _ in rows if name == step and scope is not None)


def test_each_workspace_on_one_connection_and_never_more_than_n_and_two(project: Project):
    """Four are at work at a time; each has its steps in order on a session of its own."""
    project.create_workspaces(*IDS)
    project.fast("1.0.0", 1, "F1", "create table public.seen (workspace text, pid int, sessions int)")
    project.workspace("1.0.0", 2, "W2", meeting(project.directory, 4) + SEEN)
    project.workspace("1.0.0", 3, "W3", "create table made (n int)")
    project.fast("1.1.0", 4, "F4")
    project.workspace("1.1.0", 5, "W5", "insert into made values (1)")

    report = upgrade(project, 4)

    assert report.outcome is Outcome.DONE
    assert report.completed == 2 + 3 * len(IDS)
    assert [done(project, step) for step in ("W2", "W3", "W5")] == [IDS] * 3
    names = [step for step, *_ in attempts(project)]
    assert names.index("F4") > max(place for place, name in enumerate(names) if name == "W3"), "the barrier"
    for id_ in IDS:
        assert [step for step, scope, _, _ in attempts(project) if scope == id_] == ["W2", "W3", "W5"]
    assert project.query("select count(distinct pid), max(sessions) from seen") == [(4, 6)]


def test_failures_stop_nobody_else_and_are_told_in_order(project: Project):
    """Later steps of a failed workspace wait, the barrier holds, and the next run tries them again."""
    project.create_workspaces(*IDS)
    project.workspace("1.0.0", 1, "W1", "assert ctx.index % 3 or ctx.dry_run, 'every third'")
    project.workspace("1.0.0", 2, "W2")
    project.fast("1.1.0", 3, "F3")

    report = upgrade(project, 4)

    failed = [id_ for place, id_ in enumerate(IDS, start=1) if place % 3 == 0]
    assert report.outcome is Outcome.FAILED
    assert [failure.scope.workspace_id for failure in report.failures] == failed
    assert done(project, "W1") == done(project, "W2") == [id_ for id_ in IDS if id_ not in failed]
    assert "F3" not in [step for step, *_ in attempts(project)]
    project.workspace("1.0.0", 1, "W1")
    assert upgrade(project, 4).outcome is Outcome.DONE
    assert done(project, "W2") == IDS
    assert {attempt for step, scope, attempt, _ in attempts(project, "completed") if step == "W1"} == {1, 2}


def test_max_failures_and_filters_hold(project: Project):
    """What was in progress ends; nothing more begins."""
    project.create_workspaces(*IDS)
    project.workspace("1.0.0", 1, "W1", "raise RuntimeError('no')")
    report = upgrade(project, 3, max_failures=FailureLimit(count=2), selection=Selection(start_from="w02"))
    early = report.too_many_failures
    assert early is not None
    assert 2 <= early.failed <= 4
    assert early.failed + early.left_workspaces == 10
    assert [failure.scope.workspace_id for failure in report.failures] == IDS[2 : 2 + early.failed]


def test_deadlocks_between_workspaces_are_repeated(project: Project):
    """Two lanes take the same two rows in opposite order; each is counted once."""
    project.create_workspaces("a", "b")
    project.fast(
        "1.0.0",
        1,
        "F1",
        "create table shared as select id, 0 as n from generate_series(1, 2) id",
    )
    project.workspace(
        "1.0.0",
        2,
        "W2",
        "add = text('update public.shared set n = n + 1 where id = :id')\n"
        "ctx.connection.execute(add, {'id': ctx.index})\n"
        + meeting(project.directory, 2)
        + "ctx.connection.execute(add, {'id': 3 - ctx.index})\n",
    )
    sink = RecordingSink()

    report = upgrade(project, 2, emit=sink, settings=SHORT_PAUSES)

    assert report.outcome is Outcome.DONE
    assert "deadlock" in {event.reason for event in sink.of(StepRetried)}
    assert project.query("select id, n from shared order by id") == [(1, 2), (2, 2)]
    assert {attempt for _, _, attempt, _ in attempts(project)} == {1}, "within one attempt"


def test_serialization_failures_between_workspaces_are_repeated(project: Project):
    """Every lane adds to one row under REPEATABLE READ: nothing is lost, nothing counted twice."""
    project.create_workspaces(*IDS)
    with project.connect() as connection:
        setting = SQL("alter database {} set default_transaction_isolation = 'repeatable read'")
        connection.execute(setting.format(Identifier(connection.info.dbname)))
    project.fast("1.0.0", 1, "F1", "create table public.shared (n int); insert into public.shared values (0)")
    add = "ctx.connection.execute(text('update public.shared set n = n + 1'))"
    project.workspace("1.0.0", 2, "W2", meeting(project.directory, 3) + add)
    sink = RecordingSink()
    report = upgrade(project, 3, emit=sink, settings=SHORT_PAUSES)
    assert report.outcome is Outcome.DONE
    assert "serialization failure" in {event.reason for event in sink.of(StepRetried)}
    assert project.query("select n from shared") == [(len(IDS),)]


def test_a_lost_connection_ends_the_run_and_loses_nothing(project: Project):
    """Exit 1; the other lane has finished its step, and the next run goes on where both were."""
    project.create_workspaces(*IDS)
    mark = project.directory / "lost"
    project.workspace(
        "1.0.0",
        1,
        "W1",
        f"import pathlib\nmark = pathlib.Path({str(mark)!r})\n"
        "if ctx.index == 3 and not mark.exists():\n    mark.touch()\n"
        "    ctx.connection.execute(text('select pg_terminate_backend(pg_backend_pid())'))\n"
        "ctx.connection.execute(text('create table made (n int)'))",
    )
    report = upgrade(project, 3)
    assert report.outcome is Outcome.FAILED
    assert isinstance(report.error, ConnectionLostError)
    assert len(done(project, "W1")) == report.completed < len(IDS)
    assert upgrade(project, 3).outcome is Outcome.DONE
    assert done(project, "W1") == IDS


def test_a_lost_run_lock_stops_every_lane(project: Project):
    """The steps in progress end, nobody begins another, exit 1."""
    project.create_workspaces(*IDS)
    project.workspace("1.0.0", 1, "W1", meeting(project.directory, 3))
    project.workspace("1.0.0", 2, "W2")

    def end_the_lock(event: Event) -> None:
        if isinstance(event, StepFinished) and not ended:
            ended.append(event)
            project.query("select pg_terminate_backend(backend_pid, 10000) from upgrader.run")

    ended: list[Event] = []
    report = upgrade(project, 3, emit=end_the_lock)
    assert report.outcome is Outcome.FAILED
    assert isinstance(report.error, RunSupersededError)
    assert done(project, "W1") == IDS[:3]
    assert done(project, "W2") == []
    assert upgrade(project, 3).outcome is Outcome.DONE
    assert done(project, "W2") == IDS


def test_workspaces_that_come_and_go_meanwhile(project: Project):
    """Deleted and suspended ones are left out; one that is made is taken in the same run."""
    project.create_workspaces(*IDS)
    project.configure(workspaces={"statuses": ["ACTIVE"]})
    project.workspace("1.0.0", 1, "W1", "create table made (n int)")
    project.workspace("1.0.0", 2, "W2", "insert into made values (1)")

    def change(event: Event) -> None:
        if isinstance(event, WorkspaceFinished) and not changed:
            changed.append(event)
            with project.connect() as connection:
                connection.execute("delete from core.workspace where id = 'w10'; drop schema ws_w10 cascade")
                connection.execute("update core.workspace set activation_status = 'GONE' where id = 'w11'")
            project.create_workspaces("new")
            with project.connect(autocommit=False) as connection:
                connection.execute("select upgrader.enroll_workspace('new', 'start')")

    changed: list[Event] = []
    report = upgrade(project, 2, emit=change)
    assert report.outcome is Outcome.DONE
    assert done(project, "W2") == ["new", *IDS[:10]]
    (segment,) = report.segments.values()
    assert (segment.done, segment.left_out) == (11, 2)


def test_quarantine_and_skips_in_the_middle(project: Project):
    """A skip puts one workspace off; one that is set aside meanwhile holds no barrier."""
    project.create_workspaces(*IDS)
    project.workspace(
        "1.0.0",
        1,
        "W1",
        "if ctx.index == 2:\n    from upgrader import SkipWorkspace\n    raise SkipWorkspace('later')\n"
        "assert ctx.index != 3",
    )
    project.fast("1.1.0", 2, "F2")

    def set_aside(event: Event) -> None:
        if isinstance(event, StepFinished) and event.scope.workspace_id in ("w01", "w02"):
            project.api().quarantine([event.scope.workspace_id], reason="broken")

    report = upgrade(project, 3, emit=set_aside)
    assert [one.scope.workspace_id for one in report.skipped] == ["w01"]
    assert [one.scope.workspace_id for one in report.failures] == ["w02"]
    assert sorted(one.workspace_id for one in report.quarantined) == ["w01", "w02"]
    assert ("F2", None, 1, "completed") in attempts(project)


def test_dry_run_is_one_transaction_whatever_jobs_says(project: Project):
    """Nothing is kept, and no more sessions than with one."""
    project.create_workspaces(*IDS)
    project.workspace("1.0.0", 1, "W1", "create table made (n int)")
    before = snapshot(project)
    sessions: list[int] = []

    def count(event: Event) -> None:
        if isinstance(event, StepFinished):
            ((found,),) = project.query(
                "select count(*) from pg_stat_activity where datname = current_database()"
                " and application_name like 'upgrader%'"
            )
            sessions.append(found)

    report = upgrade(project, 8, emit=count, dry_run=True)
    assert (report.outcome, report.completed) == (Outcome.DONE, len(IDS))
    assert max(sessions) <= 3
    assert snapshot(project) == before


def test_downgrade_takes_several_back_at_a_time(project: Project):
    """The mirror of upgrade: every workspace before the instance."""
    project.create_workspaces(*IDS)
    project.fast("1.0.0", 1, "F1", "create table public.first (n int)", down="drop table public.first")
    project.workspace(
        "1.0.0",
        2,
        "W2",
        "create table made (n int)",
        down=meeting(project.directory, 3) + "ctx.connection.execute(text('drop table made'))",
    )
    upgrade(project, 2)
    options = DowngradeOptions(steps=2, jobs=Jobs(3))
    report = project.api().downgrade(options)
    assert report.outcome is Outcome.DONE
    assert project.query("select count(*) from pg_tables where tablename in ('made', 'first')") == [(0,)]
    assert attempts(project)[-1] == ("F1", None, 2, "reverted")


def test_the_setting_decides_where_no_flag_is_given(project: Project):
    """`jobs = 4` in the file; a flag wins over it."""
    project.configure(jobs=4)
    project.create_workspaces(*IDS)
    project.workspace("1.0.0", 1, "W1", meeting(project.directory, 4))
    project.workspace("1.1.0", 2, "W2")
    assert project.api().upgrade(UpgradeOptions(to=ReleaseVersion.parse("1.0.0"))).outcome is Outcome.DONE
    sink = RecordingSink()
    assert upgrade(project, 1, emit=sink).outcome is Outcome.DONE
    order = [event.workspace.id for event in sink.of(WorkspaceFinished)]
    assert order == IDS


def test_an_invalid_index_of_another_lane_is_that_lanes_affair(project: Project):
    """One leaves an invalid index while the others are at work: it alone fails."""
    project.create_workspaces("a", "b")
    project.workspace("1.0.0", 1, "Make", "create table item (id int); insert into item values (1), (1)")
    failed = meeting((project.directory, "failed"), 2)
    body = (
        f"{meeting((project.directory, 'begun'), 2)}"
        "try:\n"
        "    if ctx.workspace.id == 'a':\n"
        "        ctx.connection.execute(text('create unique index concurrently item_id on item (id)'))\n"
        f"finally:\n    {failed.replace(chr(10), chr(10) + '    ').rstrip()}\n"
    )
    project.workspace("1.0.0", 2, "Index", body, transactional=False)
    report = upgrade(project, 2)
    assert [failure.scope.workspace_id for failure in report.failures] == ["a"]
    assert "left behind: the invalid index ws_a.item_id" in str(report.failures[0].error)
    assert done(project, "Index") == ["b"]
