"""`upgrader baseline VERSION`: adopt a database that is already there."""

from tests.support.project import Project
from tests.support.results import assert_code, assert_error, attempts, has_history


def test_baseline_then_upgrade(project: Project):
    """What lies at or below it counts as done; the next upgrade is not the first one."""
    project.create_workspaces("a", "b")
    project.fast("1.0.0", 1, "Old", "select 1/0")
    project.slow("1.0.0", 2, "OldSlow", "select 1/0")
    project.workspace("1.0.0", 3, "OldWorkspace", "select 1/0")
    project.fast("1.1.0", 4, "New")
    project.workspace("1.1.0", 5, "NewWorkspace")
    result = project.run_cli("baseline", "1.0.0")
    assert_code(result, 0)
    assert "the instance and 2 workspaces are at 1.0.0: 3 marks written" in result.stdout
    upgraded = project.run_cli("upgrade")
    assert_code(upgraded, 0)
    assert "first upgrade" not in upgraded.stderr
    assert [name for name, *_ in attempts(project)] == ["New", "NewWorkspace", "NewWorkspace"]
    assert_code(project.run_cli("status", "--exit-code", "--include-slow"), 0)


def test_without_commands_and_again(project: Project):
    """VERSION needs no commands; a second time changes nothing."""
    assert_code(project.run_cli("baseline", "3.0.0"), 0)
    again = project.run_cli("baseline", "3.0.0")
    assert_code(again, 0)
    assert "marked so already" in again.stdout
    assert_error(project.run_cli("baseline", "2.0.0"), 2, "2.0.0")


def test_version_that_cannot_be(project: Project):
    """Above app_version, no version, none given: exit 2, nothing written."""
    project.configure(app_version="1.0.0")
    assert_error(project.run_cli("baseline", "1.1.0"), 2, "above app_version")
    assert_error(project.run_cli("baseline", "1.0"), 2, "1.0")
    assert_error(project.run_cli("baseline"), 2, "VERSION")
    assert not has_history(project)


def test_single_workspaces(project: Project):
    """Only these are marked, and not the instance; what history says against it is told for each."""
    project.create_workspaces("a", "b", "c", "d")
    project.fast("1.0.0", 1, "First")
    project.workspace("1.0.0", 2, "Work", "if ctx.workspace.id == 'b': raise ValueError('broken')")
    project.workspace("1.1.0", 3, "More", "if ctx.workspace.id == 'c': raise ValueError('broken')")
    assert_code(project.run_cli("upgrade"), 1)
    marked = project.run_cli("baseline", "1.0.0", "--workspace-id", "b")
    assert_code(marked, 0)
    assert marked.stdout == "1 workspace is at 1.0.0: 1 mark written\n"
    assert "marked so already" in project.run_cli("baseline", "1.0.0", "-w", "b", "-w", "b").stdout
    assert_code(project.run_cli("upgrade"), 1)
    for ids, words in (
        ("a", "workspace a: completed 1.1.0_More_3"),
        ("c", "workspace c: tried 1.1.0_More_3 (failed)"),
        ("nope", "no workspace of this id"),
    ):
        before = project.query("select count(*) from upgrader.history")
        assert_error(project.run_cli("baseline", "1.0.0", "-w", "b", "-w", ids), 2, words)
        assert project.query("select count(*) from upgrader.history") == before
    assert_code(project.run_cli("baseline", "1.1.0", "-w", "c"), 0)
    assert_error(project.run_cli("baseline", "1.0.0", "-w", "c"), 2, "workspace c: marked at 1.1.0")
    assert_error(project.run_cli("baseline", "2.0.0", "-w", "c"), 2, "above app_version")
    assert_code(project.run_cli("upgrade"), 0)
    assert_code(project.run_cli("status", "--exit-code"), 0)
