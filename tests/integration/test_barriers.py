"""Nothing of the next version starts before everything of this one is through."""

import threading

import pytest

from tests.support.project import Project
from tests.support.results import attempts
from tests.support.server import wait_until
from upgrader.events import StepFinished, Waiting
from upgrader.model import Outcome
from upgrader.runner.options import UpgradeOptions
from upgrader.runner.result import RunReport
from upgrader.sequence.plan import Selection, StopReason
from upgrader.testing import RecordingSink

FAILS_IN_B = """
if ctx.workspace.id == "b":
    ctx.connection.execute(text("select * from core.mended"))
"""


def upgrade(project: Project, **options: object) -> RunReport:
    return project.api().upgrade(UpgradeOptions(**options))  # type: ignore[arg-type]  # by name


def mend(project: Project) -> None:
    with project.connect() as connection:
        connection.execute("create table core.mended ()")


@pytest.fixture
def failing(project: Project) -> Project:
    #   1.0.0 w1 w2(fails in b) w3  ║  1.1.0 f4 │ w5
    project.create_workspaces("a", "b", "c")
    project.workspace("1.0.0", 1, "First", "create table first (id int)")
    project.workspace("1.0.0", 2, "MayFail", FAILS_IN_B)
    project.workspace("1.0.0", 3, "Third", "create table third (id int)")
    project.fast("1.1.0", 4, "NextRelease", "create table core.next_release (id int)")
    project.workspace("1.1.0", 5, "Last", "create table last (id int)")
    return project


def test_one_failing_workspace_does_not_stop_the_others(failing: Project):
    """Others go on, its own later steps wait, and the run stops at the barrier."""
    report = upgrade(failing)

    assert report.outcome is Outcome.FAILED
    assert [(one.step.class_name, one.scope.workspace_id, one.attempt) for one in report.failures] == [
        ("MayFail", "b", 1)
    ]
    assert report.stop is not None
    assert report.stop.reason is StopReason.WORKSPACES_LEFT
    assert report.stop.workspace_ids == ("b",)
    assert attempts(failing) == [
        ("First", "a", 1, "completed"),
        ("MayFail", "a", 1, "completed"),
        ("Third", "a", 1, "completed"),
        ("First", "b", 1, "completed"),
        ("MayFail", "b", 1, "failed"),
        ("First", "c", 1, "completed"),
        ("MayFail", "c", 1, "completed"),
        ("Third", "c", 1, "completed"),
    ]
    assert failing.query("select to_regclass('core.next_release')") == [(None,)]


def test_a_repaired_workspace_is_taken_up_with_attempt_2(failing: Project):
    """The next run does what is left, as attempt 2, and nothing twice."""
    upgrade(failing)
    mend(failing)
    before = len(attempts(failing))

    report = upgrade(failing)

    assert report.outcome is Outcome.DONE
    assert attempts(failing)[before:] == [
        ("MayFail", "b", 2, "completed"),
        ("Third", "b", 1, "completed"),
        ("NextRelease", None, 1, "completed"),
        ("Last", "a", 1, "completed"),
        ("Last", "b", 1, "completed"),
        ("Last", "c", 1, "completed"),
    ]
    assert upgrade(failing).completed == 0


def test_the_next_run_tries_a_failed_step_again(failing: Project):
    """A step that is not repaired fails as attempt 2; the barrier stays closed."""
    upgrade(failing)
    report = upgrade(failing)
    assert [(one.step.class_name, one.attempt) for one in report.failures] == [("MayFail", 2)]
    assert report.completed == 0


def test_fail_fast_leaves_the_workspaces_after_the_failure(failing: Project):
    """The first failure ends the run; the report says how much is left."""
    report = upgrade(failing, fail_fast=True)
    assert report.outcome is Outcome.FAILED
    assert report.left == 3
    assert {workspace for _, workspace, _, _ in attempts(failing)} == {"a", "b"}


def test_a_failing_instance_step_stops_the_run_at_once(project: Project):
    """Neither the steps after it nor the workspaces run, and what it did is undone."""
    project.create_workspaces("a")
    project.fast("1.0.0", 1, "Before", "create table core.before (id int)")
    project.fast("1.0.0", 2, "Fails", "create table core.half (id int); select 1/0")
    project.fast("1.0.0", 3, "After", "create table core.after (id int)")
    project.workspace("1.0.0", 4, "InWorkspace")

    report = upgrade(project)

    assert report.outcome is Outcome.FAILED
    assert attempts(project) == [("Before", None, 1, "completed"), ("Fails", None, 1, "failed")]
    assert project.query("select to_regclass('core.half'), to_regclass('core.after')") == [(None, None)]


def test_order_is_the_sequence_version_by_version(project: Project):
    """Fast, slow, workspace within a version, each by timestamp; versions ascending, not as texts."""
    #   1.9.0 f8 s2 │ w1 w9  ║  1.10.0 f3 f7 │ w5
    project.create_workspaces("b", "a")
    project.fast("1.10.0", 7, "F7")
    project.fast("1.10.0", 3, "F3")
    project.workspace("1.10.0", 5, "W5")
    project.workspace("1.9.0", 9, "W9")
    project.workspace("1.9.0", 1, "W1")
    project.slow("1.9.0", 2, "S2")
    project.fast("1.9.0", 8, "F8")
    sink = RecordingSink()

    project.api(emit=sink).upgrade(UpgradeOptions(include_slow=True))

    order = [(event.step.class_name, event.scope.workspace_id) for event in sink.of(StepFinished)]
    assert order == [
        ("F8", None),
        ("S2", None),
        ("W1", "a"),
        ("W9", "a"),
        ("W1", "b"),
        ("W9", "b"),
        ("F3", None),
        ("F7", None),
        ("W5", "a"),
        ("W5", "b"),
    ]


def test_workspaces_run_in_the_order_of_the_id_column(project: Project):
    """Numbers as numbers, not as texts."""
    with project.connect() as connection:
        connection.execute(
            "create schema core;"
            "create table core.workspace (id bigint primary key, display_name text, activation_status text,"
            " database_schema text);"
            "insert into core.workspace values (10, 'ten', 'ACTIVE', null), (9, 'nine', 'ACTIVE', null),"
            " (-1, 'minus', 'SUSPENDED', null)"
        )
    project.workspace("1.0.0", 1, "Step")
    upgrade(project)
    assert [workspace for _, workspace, _, _ in attempts(project)] == ["-1", "9", "10"]


def test_text_ids_run_in_byte_order(project: Project):
    """Whatever the collation of the database: `COLLATE "C"`."""
    project.create_workspaces("b", "a", "B", "_", "é")
    project.workspace("1.0.0", 1, "Step")
    upgrade(project)
    assert [workspace for _, workspace, _, _ in attempts(project)] == ["B", "_", "a", "b", "é"]


def test_barrier_looks_at_workspaces_that_a_filter_leaves_out(failing: Project):
    """A workspace behind the segment closes the way for all, selected or not; nothing runs."""
    upgrade(failing)
    report = upgrade(failing, selection=Selection(workspace_ids=("a",)))
    assert report.outcome is Outcome.REFUSED
    assert report.refusals[0].reason == "selection-behind-barrier"
    assert report.refusals[0].subjects == ("b",)
    assert failing.query("select to_regclass('core.next_release')") == [(None,)]


def test_twelve_workspaces_of_different_columns(project: Project):
    """One statement over tables that differ in columns: no plan of an earlier workspace is used again."""
    ids = [f"w{number:02}" for number in range(12)]
    project.create_workspaces(*ids)
    with project.connect() as connection:
        for number, workspace in enumerate(ids):
            more = "".join(f", extra_{column} text default 'x'" for column in range(number % 5))
            kind = ("int", "bigint", "text")[number % 3]
            connection.execute(f"create table ws_{workspace}.item (id {kind}{more})".encode())
            connection.execute(f"insert into ws_{workspace}.item (id) values ('1')".encode())
    project.workspace(
        "1.0.0",
        1,
        "ReadAll",
        """
        for _ in range(8):
            row = ctx.connection.execute(text("select * from item where id::text = :id"), {"id": "1"}).one()
        ctx.connection.execute(text("create table seen as select * from item"))
        ctx.connection.execute(text("alter table item add column note text"))
        again = ctx.connection.execute(text("select * from item where id::text = :id"), {"id": "1"}).one()
        assert len(again) == len(row) + 1
        """,
    )

    report = upgrade(project)

    assert report.failures == []
    widths = project.query(
        "select count(*) from information_schema.columns where table_name = 'seen'"
        " group by table_schema order by table_schema"
    )
    assert [width for (width,) in widths] == [1 + number % 5 for number in range(12)]


def test_sessions_carry_the_id_of_the_run(project: Project):
    """`application_name` is `upgrader/<run id>` on every connection, the one that commands work on too."""
    project.fast(
        "1.0.0",
        1,
        "Looks",
        "create table seen as select current_setting('application_name') as own, (select count(*)"
        " from pg_stat_activity a where a.application_name = current_setting('application_name')"
        " and a.datname = current_database()) as sessions",
    )
    report = upgrade(project)
    ((own, sessions),) = project.query("select own, sessions from seen")
    assert own == f"upgrader/{report.run_id}"
    assert sessions >= 2


def test_a_locked_workspace_table_is_waited_for_and_told(project: Project):
    """The application may hold it, and wait for the barrier itself: nobody waits for ever."""
    project.create_workspaces("a")
    project.fast("1.0.0", 1, "First")
    sink = RecordingSink()
    holder = project.connect()
    holder.autocommit = False
    holder.execute("lock table core.workspace in access exclusive mode")
    run = threading.Thread(target=lambda: project.api(emit=sink).upgrade(UpgradeOptions()))
    run.start()
    wait_until(lambda: any(event.reason == "workspaces" for event in sink.of(Waiting)))
    holder.rollback()
    holder.close()
    run.join()
    assert project.query("select count(*) from upgrader.history where name like '%First%'") == [(1,)]
