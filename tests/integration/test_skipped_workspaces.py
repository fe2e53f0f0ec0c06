"""A workspace command puts its workspace off."""

import pytest

from tests.support.project import Project
from tests.support.results import attempts
from upgrader.events import SegmentFinished, WorkspaceFinished
from upgrader.model import AttemptStatus, Outcome
from upgrader.runner.options import UpgradeOptions
from upgrader.runner.result import RunReport
from upgrader.status.health import Health
from upgrader.testing import RecordingSink

SKIPS_B = """
from upgrader import SkipWorkspace
ctx.connection.execute(text("create table half (id int)"))
if ctx.workspace.id == "b" and ctx.connection.scalar(text("select to_regclass('core.gate') is null")):
    raise SkipWorkspace("  its import is running: postgresql://me:s3cret@db/x ")
"""


def upgrade(project: Project, emit: RecordingSink | None = None, **options: object) -> RunReport:
    api = project.api(emit=emit) if emit else project.api()
    return api.upgrade(UpgradeOptions(**options))  # type: ignore[arg-type]  # by name


def open_gate(project: Project) -> None:
    with project.connect() as connection:
        connection.execute("create table core.gate ()")


@pytest.fixture
def skipping(project: Project) -> Project:
    #   1.0.0 w1(skips b) w2  ║  1.1.0 f3
    project.create_workspaces("a", "b", "c")
    project.workspace("1.0.0", 1, "Skips", SKIPS_B)
    project.workspace("1.0.0", 2, "Later")
    project.fast("1.1.0", 3, "Next")
    return project


def test_it_is_rolled_back_recorded_and_holds_the_barrier(skipping: Project):
    """Its later steps wait, the others go on; the next run tries it again, as attempt 2."""
    report = upgrade(skipping)

    assert report.outcome is Outcome.FAILED
    assert report.failures == []
    (skipped,) = report.skipped
    assert (skipped.scope.workspace_id, skipped.status, skipped.attempt) == ("b", AttemptStatus.SKIPPED, 1)
    assert report.stop is not None
    assert report.stop.workspace_ids == ("b",)
    assert attempts(skipping)[2] == ("Skips", "b", 1, "skipped")
    assert "Next" not in [name for name, *_ in attempts(skipping)]
    assert skipping.query("select to_regclass('ws_b.half') is null") == [(True,)]

    open_gate(skipping)
    again = upgrade(skipping)

    assert again.outcome is Outcome.DONE
    assert attempts(skipping)[-3:] == [
        ("Skips", "b", 2, "completed"),
        ("Later", "b", 1, "completed"),
        ("Next", None, 1, "completed"),
    ]


def test_the_reason_is_kept_without_its_secrets(skipping: Project):
    """In the history, the events and the status; the row says that it is no error."""
    sink = RecordingSink()
    upgrade(skipping, sink)

    reason = "its import is running: postgresql://me:***@db/x"
    assert skipping.query("select error_message from upgrader.history where status = 'skipped'") == [
        (reason,)
    ]
    (told,) = [one for one in sink.of(WorkspaceFinished) if one.result != "done"]
    assert (told.workspace.id, told.result, told.error) == ("b", "skipped", reason)
    (segment,) = sink.of(SegmentFinished)
    assert (segment.done, segment.failed, segment.skipped) == (2, 0, 1)
    status = skipping.api().status()
    assert [row.health for row in status.rows] == [Health.UP_TO_DATE, Health.SKIPPED, Health.UP_TO_DATE]
    assert status.rows[1].error == reason
    assert not status.is_good()
    assert [row.workspace_id for row in skipping.api().status(failed_only=True).rows] == ["b"]


def test_in_the_last_version_too_it_is_not_done(project: Project):
    """Nothing waits for it, but the application would find the workspace behind."""
    project.create_workspaces("a", "b")
    project.workspace("1.0.0", 1, "Skips", SKIPS_B)
    report = upgrade(project)
    assert (report.outcome, report.stop) == (Outcome.FAILED, None)


def test_a_dry_run_says_so_and_leaves_nothing(skipping: Project):
    """It looks as far as the barrier, as a run would."""
    report = upgrade(skipping, dry_run=True)
    assert report.outcome is Outcome.FAILED
    assert [one.scope.workspace_id for one in report.skipped] == ["b"]
    assert report.simulated_to is not None
    assert report.simulated_to.text == "1.0.0"
    assert skipping.query("select to_regclass('ws_a.half') is null") == [(True,)]


def test_it_is_no_failure_for_a_limit(skipping: Project):
    """With --fail-fast the others still have their turn."""
    report = upgrade(skipping, fail_fast=True)
    assert [name for name, workspace, *_ in attempts(skipping) if workspace == "c"] == ["Skips", "Later"]
    assert report.too_many_failures is None


@pytest.mark.parametrize("kind", ["data migration", "not transactional", "open transaction"])
def test_outside_the_step_s_transaction(project: Project, kind: str):
    """A step that had a running row ends as skipped, in that row."""
    project.create_workspaces("a", "b")
    body = "from upgrader import SkipWorkspace\nraise SkipWorkspace('not now')"
    if kind == "not transactional":
        project.workspace("1.0.0", 1, "Skips", body, transactional=False)
    elif kind == "data migration":
        project.workspace("1.0.0", 1, "Skips", "pass", migrate=body)
    else:
        inside = (
            "from upgrader import SkipWorkspace\nwith ctx.transaction() as connection:\n"
            "    connection.execute(text('create table half ()'))\n    raise SkipWorkspace('not now')"
        )
        project.workspace("1.0.0", 1, "Skips", "pass", migrate=inside)
    report = upgrade(project)
    assert [one.error for one in report.skipped] == ["not now", "not now"]
    assert attempts(project) == [("Skips", "a", 1, "skipped"), ("Skips", "b", 1, "skipped")]
    assert project.query("select to_regclass('ws_a.half') is null") == [(True,)]


@pytest.mark.parametrize("kind", ["fast", "slow"])
def test_an_instance_command_cannot_skip(project: Project, kind: str):
    """It has failed, and the error says why."""
    body = "from upgrader import SkipWorkspace\nraise SkipWorkspace('not now')"
    if kind == "fast":
        project.fast("1.0.0", 1, "Skips", body)
    else:
        project.slow("1.0.0", 1, "Skips", migrate=body)
    report = upgrade(project, include_slow=True)
    (failure,) = report.failures
    assert report.skipped == []
    assert "SkipWorkspace was raised by an instance command: not now" in (failure.error or "")
    assert attempts(project) == [("Skips", None, 1, "failed")]


def test_raised_without_a_reason_it_is_the_author_s_mistake(project: Project):
    """`raise SkipWorkspace` fails the step; an empty reason is told as none."""
    project.create_workspaces("a")
    project.workspace("1.0.0", 1, "Skips", "from upgrader import SkipWorkspace\nraise SkipWorkspace")
    assert "reason" in (upgrade(project).failures[0].error or "")
    project.workspace("1.0.0", 1, "Skips", "from upgrader import SkipWorkspace\nraise SkipWorkspace(' ')")
    assert upgrade(project).skipped[0].error == "no reason was given"
