"""Where workspaces enter: at the beginning, by the application, by hand; and what happens to the others."""

from collections.abc import Callable

import psycopg
import pytest
import sqlalchemy

from tests.support.project import Project
from tests.support.results import attempts, has_history
from tests.support.server import Role
from upgrader import enroll_workspace
from upgrader.errors import OperatorError, UnknownWorkspaceError
from upgrader.events import FirstUpgrade
from upgrader.model import Outcome
from upgrader.runner.options import UpgradeOptions
from upgrader.runner.result import RunReport
from upgrader.testing import RecordingSink
from upgrader.version import ReleaseVersion


def upgrade(project: Project, **settings: object) -> RunReport:
    return project.api(**settings).upgrade(UpgradeOptions())  # type: ignore[arg-type]  # by name


def marks(project: Project) -> list[tuple[str | None, str, str]]:
    return project.query(  # type: ignore[return-value]  # rows of these columns
        "select workspace_id, version, name from upgrader.history where is_initial order by id"
    )


@pytest.fixture
def upgraded(project: Project) -> Project:
    #   1.0.0 w1  ║  1.1.0 w2      both done in a
    project.create_workspaces("a")
    project.workspace("1.0.0", 1, "W1")
    project.workspace("1.1.0", 2, "W2")
    assert upgrade(project).completed == 2
    return project


def test_first_upgrade_enrols_every_row_at_the_beginning(project: Project):
    """Whatever its status; the event tells tables and workspaces."""
    project.create_workspaces("a", "b")
    project.create_workspaces("c", status="DELETED")
    project.workspace("1.0.0", 1, "W1")
    sink = RecordingSink()
    project.api(emit=sink).upgrade(UpgradeOptions())
    assert sink.of(FirstUpgrade) == [FirstUpgrade(tables=1, workspaces=3)]
    assert marks(project) == [
        (None, "start", "start_enrolment"),
        ("a", "start", "start_enrolment"),
        ("b", "start", "start_enrolment"),
        ("c", "start", "start_enrolment"),
    ]


def test_unenrolled_workspace_stops_the_run_before_anything_runs(upgraded: Project):
    """Refused with the ids, and both ways to enrol explained."""
    upgraded.create_workspaces("new", "other")
    upgraded.workspace("1.2.0", 3, "W3")
    report = upgrade(upgraded)
    assert report.outcome is Outcome.REFUSED
    (refusal,) = report.refusals
    assert refusal.subjects == ("new", "other")
    assert "--at start" in refusal.hint
    assert "--at VERSION" in refusal.hint
    assert len(attempts(upgraded)) == 2


def test_unenrolled_workspace_out_of_scope_is_left_alone(upgraded: Project):
    """Only active workspaces have to be enrolled."""
    upgraded.create_workspaces("new", status="CREATING")
    assert upgrade(upgraded).outcome is Outcome.DONE


def test_apply_all_runs_every_step_on_the_unenrolled(upgraded: Project):
    """`unenrolled_workspaces = "apply-all"`."""
    upgraded.create_workspaces("new")
    report = upgrade(upgraded, unenrolled_workspaces="apply-all")
    assert report.outcome is Outcome.DONE
    assert [(name, workspace) for name, workspace, _, _ in attempts(upgraded)[2:]] == [
        ("W1", "new"),
        ("W2", "new"),
    ]


def test_application_enrols_in_the_transaction_that_creates(upgraded: Project):
    """What lies at or below the given release counts as done; a rollback takes the mark along."""
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(upgraded.database_url)
    )
    with engine.connect() as connection:
        enroll_workspace(connection, "undone", version="1.0.0")
        connection.rollback()
    upgraded.create_workspaces("new")
    with engine.begin() as connection:
        enroll_workspace(connection, "new", version="1.0.0")
    engine.dispose()
    report = upgrade(upgraded)
    assert report.outcome is Outcome.DONE
    assert [(name, workspace) for name, workspace, _, _ in attempts(upgraded)[2:]] == [("W2", "new")]
    assert [workspace for workspace, _, _ in marks(upgraded)] == [None, "a", "new"]


def test_role_with_execute_and_nothing_else_can_enrol(upgraded: Project, make_role: Callable[..., Role]):
    """The function asks for no other right; without EXECUTE it is refused."""
    role = make_role()
    call = "select upgrader.enroll_workspace('new', '1.1.0')"
    with psycopg.connect(role.url(upgraded.database_url), autocommit=True) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(call)
        with upgraded.connect() as admin:
            admin.execute(f'grant execute on function upgrader.enroll_workspace to "{role.name}"'.encode())
        connection.execute(call)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select * from upgrader.history")
    upgraded.create_workspaces("new")
    assert upgrade(upgraded).completed == 0


@pytest.mark.parametrize(
    ("workspace", "version"), [("new", "1.2"), ("new", "latest"), ("", "1.0.0"), ("a", "1.0.0")]
)
def test_enrol_function_refuses_nonsense(upgraded: Project, workspace: str, version: str):
    """No release version, no id, or a workspace that is enrolled at another place."""
    with upgraded.connect() as connection, pytest.raises(psycopg.Error):
        connection.execute("select upgrader.enroll_workspace(%s, %s)", [workspace, version])


def test_enrol_function_is_idempotent(upgraded: Project):
    """The same mark again changes nothing."""
    for _ in range(2):
        upgraded.query("select upgrader.enroll_workspace('new', '1.1.0')")
    assert [row for row in marks(upgraded) if row[0] == "new"] == [("new", "1.1.0", "1.1.0_enrolment")]


def test_workspace_enrolled_during_the_run_is_taken_along(project: Project):
    """After the last one the segment is listed again; what the application made in the meantime is taken too."""
    project.create_workspaces("a")
    project.create_workspaces("zz", status="CREATING")
    project.workspace(
        "1.0.0",
        1,
        "W1",
        """
        if ctx.workspace.id == "a":
            ctx.connection.execute(text("create schema ws_new"))
            ctx.connection.execute(
                text("insert into core.workspace values ('new', 'New', 'ACTIVE', 'ws_new')"))
            ctx.connection.execute(text("select upgrader.enroll_workspace('new', 'start')"))
        """,
    )
    project.fast("1.1.0", 2, "F2")
    report = upgrade(project)
    assert report.outcome is Outcome.DONE
    assert [(name, workspace) for name, workspace, _, _ in attempts(project)] == [
        ("W1", "a"),
        ("W1", "new"),
        ("F2", None),
    ]


def test_workspace_that_appears_unenrolled_holds_the_barrier(project: Project):
    """It is left alone and reported, exit 2; the next run explains how to enrol it."""
    project.create_workspaces("a")
    project.workspace(
        "1.0.0",
        1,
        "W1",
        """
        if ctx.workspace.id == "a":
            ctx.connection.execute(text("create schema ws_new"))
            ctx.connection.execute(
                text("insert into core.workspace values ('new', 'New', 'ACTIVE', 'ws_new')"))
        """,
    )
    project.fast("1.1.0", 2, "F2")
    report = upgrade(project)
    assert report.outcome is Outcome.REFUSED
    assert report.unenrolled == ["new"]
    assert [(name, workspace) for name, workspace, _, _ in attempts(project)] == [("W1", "a")]
    assert report.stop is not None
    assert report.stop.workspace_ids == ("new",)
    assert upgrade(project).refusals[0].subjects == ("new",)


def test_enrol_by_hand_at_current_start_and_a_version(upgraded: Project):
    """`current` is where the instance stands; a version and `start` are taken as they are."""
    upgraded.create_workspaces("at_current", "at_start", "at_version")
    api = upgraded.api()
    assert api.enroll(["at_current"]).at == "1.1.0"
    assert api.enroll(["at_start"], at="start").at == "start"
    assert api.enroll(["at_version"], at="1.0.0").at == "1.0.0"
    assert upgrade(upgraded).completed == 3


def test_enrol_by_hand_of_an_unknown_id_enrols_none(upgraded: Project):
    """All or nothing."""
    upgraded.create_workspaces("new")
    with pytest.raises(UnknownWorkspaceError, match="nobody"):
        upgraded.api().enroll(["new", "nobody"])
    assert [workspace for workspace, _, _ in marks(upgraded)] == [None, "a"]


def test_enrol_by_hand_at_another_version_is_refused(upgraded: Project):
    """A mark is not moved."""
    with pytest.raises(OperatorError, match="enrolled at start already"):
        upgraded.api().enroll(["a"], at="1.0.0")


def test_enrol_at_current_before_anything_ran_names_the_other_ways(project: Project):
    """Without a finished version `current` means nothing."""
    project.create_workspaces("a")
    project.workspace("1.0.0", 1, "W1")
    with pytest.raises(OperatorError, match="current") as caught:
        project.api().enroll(["a"])
    assert "--at start" in str(caught.value.hint)


def test_baseline_marks_instance_and_every_row(project: Project):
    """Slow steps too count as done; what is above runs."""
    #   1.0.0 f1 s2 │ w3  ║  1.1.0 f4 │ w5
    project.create_workspaces("a")
    project.create_workspaces("b", status="INACTIVE")
    project.fast("1.0.0", 1, "F1")
    project.slow("1.0.0", 2, "S2")
    project.workspace("1.0.0", 3, "W3")
    project.fast("1.1.0", 4, "F4")
    project.workspace("1.1.0", 5, "W5")
    report = project.api().baseline(ReleaseVersion.parse("1.0.0"))
    assert (report.workspaces, report.written) == (2, 3)
    assert {(workspace, version) for workspace, version, _ in marks(project)} == {
        (None, "1.0.0"),
        ("a", "1.0.0"),
        ("b", "1.0.0"),
    }
    run = upgrade(project)
    assert (run.outcome, run.is_first) == (Outcome.DONE, False)
    assert [name for name, *_ in attempts(project)] == ["F4", "W5"]


def test_baseline_needs_no_commands_and_no_workspace_table(project: Project):
    """A database that is adopted before the first command is written."""
    assert project.api().baseline(ReleaseVersion.parse("3.1.4")).written == 1
    project.fast("3.1.4", 1, "Old")
    project.fast("3.2.0", 2, "New")
    upgrade(project)
    assert [name for name, *_ in attempts(project)] == ["New"]


def test_baseline_above_app_version_is_refused(project: Project):
    """Nothing is written."""
    project.configure(app_version="1.0.0")
    with pytest.raises(OperatorError, match="above app_version"):
        project.api().baseline(ReleaseVersion.parse("1.1.0"))
    assert not has_history(project)


def test_baseline_only_raises(project: Project):
    """Below an earlier one it is refused; the same one again changes nothing; a higher one raises."""
    project.configure(app_version="9.0.0")
    api = project.api()
    api.baseline(ReleaseVersion.parse("2.0.0"))
    with pytest.raises(OperatorError, match=r"not 1\.0\.0: instance: marked at 2\.0\.0"):
        api.baseline(ReleaseVersion.parse("1.0.0"))
    assert api.baseline(ReleaseVersion.parse("2.0.0")).written == 0
    assert api.baseline(ReleaseVersion.parse("3.0.0")).written == 1


def test_late_step_at_or_below_a_baseline_is_not_missing(project: Project):
    """A command that is added below the baseline counts as done."""
    project.fast("1.1.0", 5, "New")
    project.api().baseline(ReleaseVersion.parse("1.0.0"))
    upgrade(project)
    project.fast("1.0.0", 1, "AddedBelow")
    assert upgrade(project).outcome is Outcome.DONE
    assert [name for name, *_ in attempts(project)] == ["New"]
