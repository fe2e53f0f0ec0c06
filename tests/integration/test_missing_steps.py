"""Missing steps, a database that is ahead, commands that are gone or pruned."""

from pathlib import Path

import pytest

from tests.support.project import Project
from tests.support.results import attempts
from upgrader.model import Outcome
from upgrader.runner.options import UpgradeOptions
from upgrader.runner.result import RunReport
from upgrader.sequence.plan import RefusalReason


def upgrade(project: Project, *, settings: dict[str, object] | None = None, **options: object) -> RunReport:
    return project.api(**(settings or {})).upgrade(UpgradeOptions(**options))  # type: ignore[arg-type]  # by name


def reasons(report: RunReport) -> list[RefusalReason]:
    return [refusal.reason for refusal in report.refusals]


def names(project: Project) -> list[tuple[str, str | None]]:
    return [(name, workspace) for name, workspace, _, _ in attempts(project)]


@pytest.fixture
def upgraded(project: Project) -> Project:
    #   1.0.0 f2 s3 │ w5  ║  1.1.0 f7
    project.create_workspaces("a", "b")
    project.fast("1.0.0", 2, "F2")
    project.workspace("1.0.0", 5, "W5")
    project.fast("1.1.0", 7, "F7")
    assert upgrade(project).outcome is Outcome.DONE
    return project


def test_fast_step_below_a_completed_one_is_missing(upgraded: Project):
    """Refused with its name and both ways out; nothing runs."""
    upgraded.fast("1.0.0", 1, "F1")
    upgraded.fast("1.2.0", 9, "F9")
    report = upgrade(upgraded)
    assert report.outcome is Outcome.REFUSED
    assert reasons(report) == [RefusalReason.MISSING_STEPS]
    assert report.refusals[0].subjects == ("1.0.0_F1_1",)
    assert "--include-missing" in report.refusals[0].hint
    assert 'missing = "run"' in report.refusals[0].hint
    assert len(attempts(upgraded)) == 4


def test_workspace_step_of_a_finished_version_is_missing_in_each(upgraded: Project):
    """Named with the workspaces."""
    upgraded.workspace("1.0.0", 4, "W4")
    (refusal,) = upgrade(upgraded).refusals
    assert "1.0.0_W4_4 (in 2 workspaces: a, b)" in refusal.message


@pytest.mark.parametrize("way", ["flag", "setting"])
def test_missing_steps_run_at_their_place(upgraded: Project, way: str):
    """By `--include-missing` for one run, or by the setting."""
    upgraded.fast("1.0.0", 1, "F1")
    upgraded.workspace("1.0.0", 4, "W4")
    upgraded.fast("1.2.0", 9, "F9")
    report = (
        upgrade(upgraded, include_missing=True)
        if way == "flag"
        else upgrade(upgraded, settings={"missing": "run"})
    )
    assert report.outcome is Outcome.DONE
    assert names(upgraded)[4:] == [("F1", None), ("W4", "a"), ("W4", "b"), ("F9", None)]


def test_slow_step_is_never_missing(upgraded: Project):
    """A slow one below what is done is pending, and runs when it is asked for."""
    upgraded.slow("1.0.0", 3, "S3")
    report = upgrade(upgraded)
    assert report.outcome is Outcome.DONE
    assert [step.class_name for step in report.deferred] == ["S3"]
    assert upgrade(upgraded, include_slow=True).completed == 1


def test_database_that_is_ahead_with_nothing_pending_is_a_warning(upgraded: Project):
    """The code was rolled back: exit 0."""
    report = upgrade(upgraded, settings={"app_version": "1.0.0"})
    assert report.outcome is Outcome.DONE
    assert any("ahead of app_version 1.0.0" in warning for warning in report.warnings)


def test_database_that_is_ahead_with_something_pending_is_refused(upgraded: Project):
    """Unless `--allow-ahead`."""
    upgraded.fast("1.0.0", 3, "F3")
    settings = {"app_version": "1.0.0", "missing": "run"}
    report = upgrade(upgraded, settings=settings)
    assert report.outcome is Outcome.REFUSED
    assert reasons(report) == [RefusalReason.AHEAD]
    assert "--allow-ahead" in report.refusals[0].hint
    allowed = upgrade(upgraded, settings=settings, allow_ahead=True)
    assert allowed.outcome is Outcome.DONE
    assert any("ahead" in warning for warning in allowed.warnings)
    assert names(upgraded)[4:] == [("F3", None)]


def test_completed_step_that_the_code_no_longer_has_is_an_error(upgraded: Project):
    """A renamed class, for example."""
    (upgraded.commands / "v1_1_0" / "7_f7.py").unlink()
    upgraded.fast("1.1.0", 7, "Renamed")
    report = upgrade(upgraded)
    assert report.outcome is Outcome.REFUSED
    assert RefusalReason.COMPLETED_STEP_GONE in reasons(report)
    assert any("1.1.0_F7_7" in refusal.message for refusal in report.refusals)


def test_old_commands_may_be_pruned(upgraded: Project):
    """A whole version from the lowest up: a database that is past it goes on."""
    _prune(upgraded.commands / "v1_0_0")
    upgraded.fast("1.2.0", 9, "F9")
    report = upgrade(upgraded)
    assert report.outcome is Outcome.DONE
    assert names(upgraded)[4:] == [("F9", None)]


def test_scope_that_is_not_past_what_was_pruned_is_refused(project: Project):
    """With ids, and the version to upgrade to first; nothing runs."""
    project.create_workspaces("a", "b")
    with project.connect() as connection:
        connection.execute("drop schema ws_b")
    project.workspace("1.0.0", 1, "W1")
    assert upgrade(project).outcome is Outcome.FAILED
    with project.connect() as connection:
        connection.execute("create schema ws_b")
    _prune(project.commands / "v1_0_0")
    project.fast("1.1.0", 2, "F2")
    report = upgrade(project)
    assert report.outcome is Outcome.REFUSED
    assert reasons(report) == [RefusalReason.UNSUPPORTED_VERSION]
    assert "b" in report.refusals[0].subjects
    assert "1.0.0" in report.refusals[0].hint
    assert ("F2", None) not in names(project)


def test_database_below_oldest_supported_is_refused(project: Project):
    """With the version to upgrade to first."""
    project.fast("1.0.0", 1, "F1")
    upgrade(project)
    project.fast("1.1.0", 2, "F2")
    project.fast("1.2.0", 3, "F3")
    report = upgrade(project, settings={"oldest_supported": "1.1.0"})
    assert report.outcome is Outcome.REFUSED
    assert reasons(report) == [RefusalReason.UNSUPPORTED_VERSION]
    assert "oldest_supported is 1.1.0" in report.refusals[0].message
    assert upgrade(project).outcome is Outcome.DONE
    project.fast("1.3.0", 4, "F4")
    assert upgrade(project, settings={"oldest_supported": "1.1.0"}).outcome is Outcome.DONE


def test_dormant_commands_never_run(project: Project):
    """What is above app_version is loaded and not run; a pre-release of app_version covers its release."""
    project.fast("1.1.0", 1, "F1")
    project.fast("1.2.0", 2, "Dormant", "select 1/0")
    assert upgrade(project, settings={"app_version": "1.1.0rc1"}).completed == 1
    assert upgrade(project, settings={"app_version": "1.1.0.dev5+g1"}).completed == 0
    assert names(project) == [("F1", None)]


def test_to_ends_at_a_version(upgraded: Project):
    """`--to` goes no further, and above app_version warns."""
    upgraded.fast("1.2.0", 9, "F9")
    upgraded.fast("1.3.0", 10, "F10")
    version = upgraded.api().registry.sequence.by_name["1.2.0_F9_9"].version
    assert upgrade(upgraded, to=version).completed == 1
    assert names(upgraded)[4:] == [("F9", None)]
    report = upgrade(upgraded, settings={"app_version": "1.1.0"}, to=version)
    assert any("above app_version" in warning for warning in report.warnings)


def test_changed_checksum_does_not_run_a_step_again(upgraded: Project):
    """A completed step never runs again, whatever became of its code."""
    upgraded.fast("1.1.0", 7, "F7", "select 1/0")
    assert upgrade(upgraded).completed == 0


def _prune(folder: Path) -> None:
    for file in folder.iterdir():
        if file.is_file():
            file.unlink()
    for cached in folder.glob("__pycache__/*"):
        cached.unlink()
