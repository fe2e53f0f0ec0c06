"""Downgrades on a real database: what is taken back, what is recorded, what goes wrong."""

from __future__ import annotations

import pytest

from tests.support.project import Project
from tests.support.scopes import assert_scopes_are_as_rebuilt
from upgrader.errors import OperatorError
from upgrader.model import AttemptStatus, Outcome
from upgrader.runner.options import DowngradeOptions, UpgradeOptions
from upgrader.runner.result import RunReport
from upgrader.runner.stop import StopToken
from upgrader.sequence.plan import RefusalReason, Selection
from upgrader.version import ReleaseVersion

_STATES = """
select coalesce(workspace_id, 'instance'), split_part(name, '_', 2), attempt, status, direction, changes_state
from upgrader.history where not is_initial order by id
"""
_TABLES = "select schemaname || '.' || tablename from pg_tables where schemaname ~ '^(core|ws_)' order by 1"
V1 = ReleaseVersion.parse("1.0.0")


@pytest.fixture
def releases(project: Project) -> Project:
    """Two releases over three workspaces, upgraded."""
    project.create_workspaces("a", "b", "c")
    project.fast("1.1.0", 1, "AddBook", "create table core.book (i int)", down="drop table core.book")
    project.slow(
        "1.1.0", 2, "FillBook", "alter table core.book add n int", down="alter table core.book drop n"
    )
    project.workspace("1.1.0", 3, "AddPage", "create table page (i int)", down="drop table page")
    project.fast("1.2.0", 4, "AddShelf", "create table core.shelf (i int)", down="drop table core.shelf")
    project.workspace("1.2.0", 5, "AddNote", "create table note (i int)", down="drop table note")
    assert upgrade(project).outcome is Outcome.DONE
    return project


def downgrade(project: Project, to: str | None = None, **options: object) -> RunReport:
    version = ReleaseVersion.parse(to) if to else None
    return project.api().downgrade(DowngradeOptions(to=version, **options))  # type: ignore[arg-type] # by name


def upgrade(project: Project) -> RunReport:
    return project.api().upgrade(UpgradeOptions(include_slow=True))


def execute(project: Project, sql: str) -> None:
    with project.connect() as connection:
        connection.execute(sql.encode())


def order(project: Project) -> list[tuple[str, str]]:
    return [(row[0], row[1]) for row in project.query(_STATES) if row[3] == "reverted"]


def tables(project: Project) -> list[str]:
    return [row[0] for row in project.query(_TABLES)]


def reasons(report: RunReport) -> list[RefusalReason]:
    return [one.reason for one in report.refusals]


def enrolled(project: Project, workspace_id: str, *, status: str = "ACTIVE") -> None:
    """Make a workspace as the application of 1.2.0 does."""
    project.create_workspaces(workspace_id, status=status)
    execute(project, f"create table ws_{workspace_id}.note (i int)")
    execute(project, f"create table ws_{workspace_id}.page (i int)")
    execute(project, f"select upgrader.enroll_workspace('{workspace_id}', '1.2.0')")


def test_everything_is_taken_back_in_the_opposite_order(releases: Project):
    """Newest version first, workspaces before the instance; and up again."""
    before = tables(releases)
    report = downgrade(releases, "1.0.0")

    assert (report.outcome, report.completed) == (Outcome.DONE, 9)
    assert order(releases) == [
        *(("a", "AddNote"), ("b", "AddNote"), ("c", "AddNote"), ("instance", "AddShelf")),
        *(("a", "AddPage"), ("b", "AddPage"), ("c", "AddPage")),
        *(("instance", "FillBook"), ("instance", "AddBook")),
    ]
    assert tables(releases) == ["core.workspace"]
    assert releases.query("select distinct through, open > 0, completed from upgrader.scope") == [
        (None, True, 0)
    ]
    assert upgrade(releases).completed == 9
    assert tables(releases) == before
    assert releases.query("select distinct through, open from upgrader.scope") == [("1.2.0", 0)]
    assert releases.query("select max(attempt) from upgrader.history") == [(3,)]


def test_to_a_version(releases: Project):
    """What the version has stays, and so does what is recorded of it."""
    assert downgrade(releases, "1.1.0").completed == 4
    assert tables(releases) == ["core.book", "core.workspace", "ws_a.page", "ws_b.page", "ws_c.page"]
    assert releases.query("select distinct through from upgrader.scope") == [("1.1.0",)]
    assert downgrade(releases, "1.1.0").completed == 0


def test_a_failure_holds_the_barrier_and_leaves_the_step_completed(releases: Project):
    """The others go on, nothing older and no instance step is touched; the same command goes on later."""
    execute(releases, "create view ws_b.v as select * from ws_b.note")
    report = downgrade(releases, "1.0.0")

    assert report.outcome is Outcome.FAILED
    assert [(one.scope.workspace_id, one.status) for one in report.failures] == [("b", AttemptStatus.FAILED)]
    assert report.stop is not None
    assert report.stop.workspace_ids == ("b",)
    assert order(releases) == [("a", "AddNote"), ("c", "AddNote")]
    failed = [row for row in releases.query(_STATES) if row[3] == "failed"]
    assert failed == [("b", "AddNote", 2, "failed", "down", False)]
    assert releases.query("select completed, open from upgrader.scope where workspace_id = 'b'") == [(2, 0)]

    execute(releases, "drop view ws_b.v")
    assert downgrade(releases, "1.0.0").outcome is Outcome.DONE
    assert tables(releases) == ["core.workspace"]


def test_an_upgrade_after_a_failure_leaves_the_failed_one_alone(releases: Project):
    """A transactional way down that failed left the step as it was: `up` does not run on it again."""
    execute(releases, "create view ws_b.v as select * from ws_b.note")
    downgrade(releases, "1.1.0")

    assert upgrade(releases).completed == 2
    assert "ws_b.note" in tables(releases)


def test_a_failing_instance_step_stops_the_run(releases: Project):
    """Exit 1; what is older stays."""
    execute(releases, "create view core.v as select * from core.shelf")
    report = downgrade(releases, "1.0.0")

    assert (report.outcome, report.completed) == (Outcome.FAILED, 3)
    assert {"core.shelf", "ws_a.page"} <= set(tables(releases))


def test_fail_fast(releases: Project):
    """Stops at the first failure."""
    execute(releases, "create view ws_a.v as select * from ws_a.note")
    report = downgrade(releases, "1.0.0", fail_fast=True)
    assert (report.outcome, report.completed, len(report.failures)) == (Outcome.FAILED, 0, 1)


def test_nothing_runs_where_one_command_has_no_way_down(releases: Project):
    """The whole way is looked at before anything of it is begun."""
    releases.fast("1.1.5", 9, "DropColumn", "select 1")
    releases.api().upgrade(UpgradeOptions(include_slow=True, include_missing=True))
    report = downgrade(releases, "1.0.0")

    assert (report.outcome, reasons(report)) == (Outcome.REFUSED, [RefusalReason.IRREVERSIBLE])
    assert report.refusals[0].subjects == ("1.1.5_DropColumn_9",)
    assert order(releases) == []


def test_nothing_runs_where_a_way_down_only_says_that_there_is_none(releases: Project):
    """It is read from the source: what lies above it is not taken back first; its words are told."""
    lost = "from upgrader import IrreversibleError\nraise IrreversibleError('late, after a look')"
    releases.fast("1.2.5", 8, "Looks", "select 1", down=lost)
    releases.fast("1.2.5", 9, "DropColumn", "select 1", down="raise IrreversibleError('the prices are gone')")
    releases.fast("1.3.0", 1, "AddBin", "create table core.bin (i int)", down="drop table core.bin")
    upgrade(releases)

    for verb in (("plan", "--down"), ("downgrade", "--yes")):
        run = releases.run_cli(*verb, "--to", "1.0.0")
        assert run.returncode == 2
        assert "1.2.5_DropColumn_9 (the prices are gone)" in " ".join(run.stderr.split())
    assert (order(releases), "core.bin" in tables(releases)) == ([], True)
    listed = " ".join(releases.run_cli("list").stdout.split())
    assert "9 DropColumn (irreversible) irreversible: the prices are gone" in listed
    assert downgrade(releases, steps=1).completed == 1


def test_a_way_down_that_raises(releases: Project):
    """An exception is an ordinary failure, with its words."""
    releases.workspace("1.3.0", 1, "Merge", "select 1", down="raise RuntimeError('merged for good')")
    upgrade(releases)
    report = downgrade(releases, "1.2.0")
    assert report.outcome is Outcome.FAILED
    assert str(report.failures[0].error).startswith("RuntimeError: merged for good")


def test_workspaces_out_of_scope_and_enrolled_past_it_are_taken_back(releases: Project):
    """Whatever their status is now, and though no step ever ran on them."""
    execute(releases, "update core.workspace set activation_status = 'CLOSED' where id = 'b'")
    enrolled(releases, "z", status="DELETED")
    enrolled(releases, "n")

    assert downgrade(releases, "1.1.0").completed == 6
    assert [name for name in tables(releases) if name.endswith(".note")] == []
    execute(releases, "update core.workspace set activation_status = 'ACTIVE'")
    assert upgrade(releases).completed == 6


def test_a_workspace_that_is_gone_is_left_alone(releases: Project):
    """A row that is no longer there has nothing to take back."""
    execute(releases, "delete from core.workspace where id = 'c'")
    assert downgrade(releases, "1.1.0").completed == 3


def test_a_workspace_without_its_schema_fails(releases: Project):
    """Nothing runs on it, the step stays completed, the barrier holds."""
    execute(releases, "drop schema ws_c cascade")
    report = downgrade(releases, "1.1.0")
    assert report.outcome is Outcome.FAILED
    assert "the schema ws_c of this workspace does not exist" in str(report.failures[0].error)
    assert "core.shelf" in tables(releases)


def test_a_filtered_downgrade_takes_one_segment_back(releases: Project):
    """Exit 0, who is left is told; below it the way is closed until the others are back, too."""
    only_a = Selection(("a",))
    report = downgrade(releases, "1.0.0", selection=only_a)

    assert (report.outcome, order(releases)) == (Outcome.DONE, [("a", "AddNote")])
    assert report.stop is not None
    assert report.stop.workspace_ids == ("b", "c")
    scopes = "select workspace_id, through from upgrader.scope where workspace_id in ('a', 'b') order by 1"
    assert releases.query(scopes) == [("a", "1.1.0"), ("b", "1.2.0")]
    again = downgrade(releases, "1.0.0", selection=only_a)
    assert reasons(again) == [RefusalReason.SELECTION_BEHIND_BARRIER]


def test_steps_that_failed_are_the_same_steps_again(releases: Project):
    """The last N of what is left would be others: what was meant is kept until it is done."""
    execute(releases, "create view core.v as select * from core.shelf")
    assert downgrade(releases, steps=2).outcome is Outcome.FAILED
    execute(releases, "drop view core.v")

    assert downgrade(releases, steps=2).completed == 1
    assert "ws_a.page" in tables(releases)
    assert releases.query("select key from upgrader.meta") == [("layout",)]
    assert downgrade(releases, steps=2).completed == 4
    assert order(releases)[-1] == ("instance", "FillBook")


def test_steps_mean_others_after_an_upgrade(releases: Project):
    """Whatever has run upwards makes an end of an unfinished downgrade."""
    execute(releases, "create view core.v as select * from core.shelf")
    assert downgrade(releases, steps=2).outcome is Outcome.FAILED
    releases.fast("1.3.0", 1, "AddOne", "select 1", down="select 1")
    releases.fast("1.3.0", 2, "AddTwo", "select 1", down="select 1")
    upgrade(releases)

    assert downgrade(releases, steps=2).completed == 2
    assert order(releases)[-2:] == [("instance", "AddTwo"), ("instance", "AddOne")]


def test_below_a_baseline(project: Project):
    """What was adopted is not taken back."""
    project.create_workspaces("a")
    project.fast("1.2.0", 1, "AddBook", "create table core.book (i int)", down="drop table core.book")
    project.api(app_version="1.2.0").baseline(ReleaseVersion.parse("1.1.0"))
    upgrade(project)

    assert reasons(downgrade(project, "1.0.0")) == [RefusalReason.BELOW_BASELINE]
    assert downgrade(project, "1.1.0").completed == 1


def test_ahead(releases: Project):
    """The older code is told to leave it to the newer."""
    report = releases.api(app_version="1.1.0").downgrade(DowngradeOptions(to=V1))
    assert reasons(report) == [RefusalReason.AHEAD]
    assert "release 1.2.0" in report.refusals[0].hint


def test_a_step_without_a_transaction_that_fails_half_way(project: Project):
    """It is neither done nor undone: both directions go through it again."""
    project.create_workspaces("a")
    execute(project, "create table core.fuse (i int)")
    down = """
    connection.execute(text('drop table if exists core.half'))
    connection.execute(text('select 1 / (select count(*) from core.fuse)'))
    """
    up = "create table if not exists core.half (i int)"
    project.fast("1.1.0", 1, "Half", up, down=down, transactional=False)
    upgrade(project)
    assert downgrade(project, "1.0.0").outcome is Outcome.FAILED
    assert project.query(_STATES)[-1] == ("instance", "Half", 2, "failed", "down", True)
    assert project.api().status().instance.health.value == "failed"

    assert upgrade(project).completed == 1
    assert "core.half" in tables(project)
    assert downgrade(project, "1.0.0").outcome is Outcome.FAILED
    execute(project, "insert into core.fuse values (1)")
    assert downgrade(project, "1.0.0").completed == 1
    statuses = [row[3] for row in project.query(_STATES)]
    assert statuses == ["completed", "failed", "completed", "failed", "reverted"]


def test_a_slow_step_that_failed_half_way_is_taken_back(project: Project):
    """Its data migration may have done something; its way down finds that."""
    project.create_workspaces("a")
    migrate = """
    with ctx.transaction() as connection:
        connection.execute(text('create table if not exists core.filled (i int)'))
    """
    project.slow("1.1.0", 1, "Fill", "select 1 / 0", migrate=migrate, down="drop table if exists core.filled")
    assert upgrade(project).outcome is Outcome.FAILED
    plan = project.api().plan_down(DowngradeOptions(to=V1)).plan
    assert [one.status for one in plan.unfinished] == [AttemptStatus.FAILED]
    assert downgrade(project, "1.0.0").completed == 1
    assert tables(project) == ["core.workspace"]
    assert downgrade(project, "1.0.0").completed == 0


def test_a_dry_run_keeps_nothing(releases: Project):
    """It goes the whole way in transactions that are rolled back, and finds what would fail."""
    before = tables(releases)
    report = downgrade(releases, "1.0.0", dry_run=True)
    assert (report.outcome, report.completed) == (Outcome.DONE, 9)
    execute(releases, "create view core.v as select * from core.shelf")
    failed = downgrade(releases, "1.0.0", dry_run=True)
    assert [one.step.class_name for one in failed.failures] == ["AddShelf"]
    assert (tables(releases), order(releases)) == (before, [])


def test_a_dry_run_ends_where_its_limits_are(releases: Project):
    """Workspaces are undone one by one then, so that the instance steps behind them cannot be tried."""
    report = releases.api(dry_run_lock_seconds=0.001).downgrade(DowngradeOptions(to=V1, dry_run=True))
    assert report.completed == 3
    assert report.warnings[-1].startswith("the dry run looked not beyond its workspaces: 1.2.0 would hold")


def test_what_was_not_confirmed_is_not_taken_back(releases: Project):
    """Between the question and the run somebody may have been at work."""
    with pytest.raises(OperatorError, match="another one than was confirmed"):
        downgrade(releases, "1.0.0", confirmed=frozenset(["1.2.0_AddNote_5"]))
    assert order(releases) == []


def test_a_stop_leaves_the_rest(releases: Project):
    """The step in progress is finished, the rest is counted; the same command goes on."""
    stop = StopToken()

    def stop_at_first(event: object) -> None:
        if type(event).__name__ == "StepFinished":
            stop.request("SIGTERM")

    report = releases.api(emit=stop_at_first, stop=stop).downgrade(DowngradeOptions(to=V1))
    assert (report.outcome, report.completed, report.left) == (Outcome.INTERRUPTED, 1, 8)
    assert downgrade(releases, "1.0.0").completed == 8


def test_a_workspace_that_is_made_meanwhile_is_taken_back_too(releases: Project):
    """The newer application is still at work: before an instance step everything is read again."""
    made = []

    def make_one(event: object) -> None:
        if type(event).__name__ == "SegmentFinished" and not made:
            made.append(event)
            enrolled(releases, "late")

    wanted = DowngradeOptions(to=ReleaseVersion.parse("1.1.0"))
    report = releases.api(emit=make_one).downgrade(wanted)
    assert (report.outcome, report.completed) == (Outcome.DONE, 5)
    assert "ws_late.note" not in tables(releases)


def test_without_a_history(project: Project):
    """There is nothing to take back."""
    project.create_workspaces("a")
    project.fast("1.1.0", 1, "AddBook", "select 1", down="select 1")
    assert downgrade(project, "1.0.0").outcome is Outcome.DONE


def test_an_enrolment_says_no_more_how_far_a_workspace_is(releases: Project):
    """Commands that were pruned after a way down are missed by nobody in silence."""

    enrolled(releases, "n")
    assert downgrade(releases, "1.0.0").completed == 11
    for file in (*releases.commands.glob("v1_1_0/*.py"), *releases.commands.glob("v1_2_0/*.py")):
        file.unlink()
    releases.workspace("1.1.0", 3, "AddPage", "create table page (i int)", down="drop table page")
    releases.workspace("1.1.0", 9, "AddPen", "create table pen (i int)")
    plan = releases.api(app_version="1.2.0").plan(UpgradeOptions()).plan
    assert [task.workspace_id for version in plan.versions for task in version.tasks] == ["a", "b", "c", "n"]


def test_a_step_that_was_taken_back_stays_pending_until_it_is_completed_again(releases: Project):
    """Also below an enrolment, and though the next attempts to run it fail; told so by every verb."""
    enrolled(releases, "n")
    assert downgrade(releases, "1.1.0").completed == 5
    execute(releases, "create table ws_n.note (i int)")  # somebody was at work: AddNote fails there
    for _ in range(2):
        assert [failure.scope.workspace_id for failure in upgrade(releases).failures] == ["n"]
    status = releases.api().status()
    row = next(row for row in status.rows if row.workspace_id == "n")
    assert (str(row.inferred_version), row.health.value) == ("1.1.0", "failed")
    assert (status.missing, row.failed_step and row.failed_step.attempt) == ((), 3)
    told = releases.run_cli("why", "n")
    assert "1.2.0_AddNote_5 failed" in told.stdout

    # There is nothing of it in n, so that the way down has nothing to take back there.
    plan = releases.api().plan_down(DowngradeOptions(to=V1)).plan
    tasks = {task.workspace_id: task.steps for task in plan.versions[0].tasks}
    assert "n" not in tasks
    execute(releases, "drop table ws_n.note")
    report = upgrade(releases)
    assert (report.outcome, report.completed) == (Outcome.DONE, 1)
    assert "ws_n.note" in tables(releases)
    with releases.connect() as connection:
        assert_scopes_are_as_rebuilt(connection)


def test_a_baseline_is_refused_over_what_was_taken_back(releases: Project):
    """Also where it failed since; what failed and was never taken back is adopted."""
    enrolled(releases, "n")
    downgrade(releases, "1.1.0")
    execute(releases, "create table ws_n.note (i int)")
    upgrade(releases)

    with pytest.raises(OperatorError, match=r"workspace n: took 1\.2\.0_AddNote_5 back"):
        releases.api().baseline(ReleaseVersion.parse("1.2.0"), workspace_ids=["n"])
