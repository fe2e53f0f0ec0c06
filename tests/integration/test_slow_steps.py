"""Slow instance steps: deferred unless asked for."""

import pytest

from tests.support.project import Project
from tests.support.results import attempts
from upgrader.model import Outcome
from upgrader.runner.options import UpgradeOptions
from upgrader.runner.result import RunReport
from upgrader.runner.stop import StopToken


def upgrade(project: Project, **options: object) -> RunReport:
    return project.api().upgrade(UpgradeOptions(**options))  # type: ignore[arg-type]  # by name


@pytest.fixture
def slow(project: Project) -> Project:
    #   1.0.0 f1 s2 │ w3 w4(after slow)
    project.create_workspaces("a", "b")
    project.fast("1.0.0", 1, "Fast", "create table core.thing (id int)")
    project.slow("1.0.0", 2, "Slow", "alter table core.thing add column extra int")
    project.workspace("1.0.0", 3, "Plain")
    project.workspace("1.0.0", 4, "Waits", "select extra from core.thing", after_slow=True)
    return project


def test_slow_steps_are_deferred_and_named(slow: Project):
    """With nothing beyond them the run is done; what waits for them waits."""
    report = upgrade(slow)
    assert report.outcome is Outcome.DONE
    assert [step.class_name for step in report.deferred] == ["Slow"]
    assert [name for name, *_ in attempts(slow)] == ["Fast", "Plain", "Plain"]


def test_what_waits_for_slow_runs_with_them(slow: Project):
    """`--include-slow` runs the slow step, then what waited."""
    upgrade(slow)
    report = upgrade(slow, include_slow=True)
    assert report.outcome is Outcome.DONE
    assert [(name, workspace) for name, workspace, *_ in attempts(slow)[3:]] == [
        ("Slow", None),
        ("Waits", "a"),
        ("Waits", "b"),
    ]


def test_a_later_version_with_something_to_run_is_not_begun(slow: Project):
    """The run stops before it, names what holds it and what to type."""
    slow.fast("1.1.0", 5, "Later", "create table core.later (id int)")
    report = upgrade(slow)
    assert report.outcome is Outcome.STOPPED_AT_BARRIER
    assert report.stop is not None
    assert [step.class_name for step in report.stop.steps] == ["Slow"]
    assert "--include-slow" in report.stop.hint
    assert "--defer-slow" in report.stop.hint
    assert slow.query("select to_regclass('core.later')") == [(None,)]


def test_defer_slow_goes_on_with_a_warning_for_each_step(slow: Project):
    """Slow steps and what waits for them are told to run out of order."""
    slow.fast("1.1.0", 5, "Later", "create table core.later (id int)")
    report = upgrade(slow, defer_slow=True)
    assert report.outcome is Outcome.DONE
    assert [name for name in ("Slow_2", "Waits_4") if any(name in text for text in report.warnings)] == [
        "Slow_2",
        "Waits_4",
    ]
    assert upgrade(slow, include_slow=True).completed == 3


def test_slow_step_of_a_later_version_beyond_does_not_count_as_something_to_run(slow: Project):
    """With only deferred steps beyond, the run is done."""
    slow.slow("1.1.0", 5, "AlsoSlow")
    report = upgrade(slow)
    assert report.outcome is Outcome.DONE
    assert [step.class_name for step in report.deferred] == ["Slow", "AlsoSlow"]


def test_data_migration_runs_before_up_and_outside_its_transaction(project: Project):
    """What it committed stays where `up` fails; the second attempt does both again."""
    with project.connect() as connection:
        connection.execute("create table batch (number int)")
    project.slow(
        "1.0.0",
        1,
        "Fill",
        "alter table done rename to done_now",
        migrate="""
        for number in (1, 2):
            with ctx.transaction() as connection:
                connection.execute(text("insert into batch values (:number)"), {"number": number})
        """,
    )
    report = upgrade(project, include_slow=True)
    assert report.outcome is Outcome.FAILED
    assert project.query("select number from batch order by 1") == [(1,), (2,)]

    with project.connect() as connection:
        connection.execute("create table done ()")
    assert upgrade(project, include_slow=True).outcome is Outcome.DONE
    assert attempts(project) == [("Fill", None, 1, "failed"), ("Fill", None, 2, "completed")]
    assert project.query("select count(*) from batch") == [(4,)]


def test_data_migration_of_a_workspace_runs_in_its_schema(project: Project):
    """`run_data_migration` of a workspace command has the workspace and its search_path."""
    project.create_workspaces("a", "b")
    project.workspace(
        "1.0.0",
        1,
        "Fill",
        "insert into filled values ('up')",
        migrate="""
        with ctx.transaction() as connection:
            connection.execute(text("create table filled (note text)"))
            connection.execute(text("insert into filled values (:id)"), {"id": ctx.workspace.id})
        """,
    )
    assert upgrade(project).failures == []
    assert project.query("select note from ws_a.filled union all select note from ws_b.filled") == [
        ("a",),
        ("up",),
        ("b",),
        ("up",),
    ]


def test_data_migration_lists_the_workspaces(project: Project):
    """`ctx.workspaces()` gives those in scope, in order."""
    project.create_workspaces("b", "a")
    project.create_workspaces("gone", status="INACTIVE")
    project.slow(
        "1.0.0",
        1,
        "List",
        migrate="""
        ids = [workspace.id for workspace in ctx.workspaces()]
        with ctx.transaction() as connection:
            connection.execute(text("create table core.listed as select :ids as ids"), {"ids": ",".join(ids)})
        """,
    )
    assert upgrade(project, include_slow=True).failures == []
    assert project.query("select ids from core.listed") == [("a,b",)]


def test_data_migration_that_is_told_to_stop_is_interrupted(project: Project):
    """One that asks `stop_requested` and returns is not done: the next run begins it again."""
    project.slow("1.0.0", 1, "Long", migrate="assert ctx.stop_requested")
    project.fast("1.1.0", 2, "After")
    stop = StopToken()

    class StopsInside:
        def __call__(self, event: object) -> None:
            if type(event).__name__ == "StepStarted":
                stop.request("SIGTERM")

    report = project.api(emit=StopsInside(), stop=stop).upgrade(UpgradeOptions(include_slow=True))

    assert report.outcome is Outcome.INTERRUPTED
    assert attempts(project) == [("Long", None, 1, "interrupted")]
    project.slow("1.0.0", 1, "Long", migrate="ctx.log.info('again')")
    assert upgrade(project, include_slow=True).outcome is Outcome.DONE
    assert attempts(project)[1:] == [("Long", None, 2, "completed"), ("After", None, 1, "completed")]
