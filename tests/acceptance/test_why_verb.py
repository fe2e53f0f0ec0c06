"""`upgrader why`, as people and programs see it."""

import pytest

from tests.support.project import Project
from tests.support.results import assert_code, assert_error, document, has_history


@pytest.fixture
def stopped(project: Project) -> Project:
    """An upgrade that stopped: globex failed at 1.1.0, a slow step is deferred, `old` is out of scope."""
    project.configure(app_version="1.2.0")
    project.create_workspaces("acme", "globex", "initech")
    project.create_workspaces("old", status="DELETED")
    #   1.0.0 f1 │ w3  ║  1.1.0 s5 │ w1  ║  1.2.0 w7  ║  1.3.0 w8
    project.fast("1.0.0", 1, "AddThing", "create table core.thing (id int)")
    project.workspace("1.0.0", 3, "AddNote", "create table note (id int)")
    project.slow("1.1.0", 5, "Fill")
    project.workspace(
        "1.1.0", 1, "Guard", "if ctx.workspace.id == 'globex': raise ValueError('password=hunter2')"
    )
    project.workspace("1.2.0", 7, "Newest")
    project.workspace("1.3.0", 8, "Dormant")
    assert_code(project.run_cli("upgrade"), 1)
    assert_code(project.run_cli("upgrade"), 1)
    return project


def test_workspace_that_failed(stopped: Project):
    """What, when, how often, with which error, and what to type; no secret in it."""
    result = stopped.run_cli("why", "globex")
    assert_code(result, 0)
    for words in (
        "workspace globex (Globex), at 1.0.0",
        "1.1.0_Guard_1 failed",
        "attempt 2, 20",
        "ValueError: ",
    ):
        assert words in result.stdout
    assert "next: mend the cause, then try it alone: `upgrader upgrade -w globex`" in result.stdout
    assert "hunter2" not in result.stdout
    assert result.stderr == ""


def test_workspace_behind_a_barrier(stopped: Project):
    """Who holds it, and the slow step that holds it too."""
    result = stopped.run_cli("why", "acme")
    assert_code(result, 0)
    assert "the barrier before 1.2.0 is closed: 1 other workspace" in result.stdout
    assert "\n    globex\n" in result.stdout
    assert "upgrader why globex" in result.stdout
    assert "--include-slow" in result.stdout


def test_what_it_says_to_type_works(stopped: Project):
    """Step by step, until nothing is wrong."""
    (path,) = stopped.commands.glob("v1_1_0/*guard.py")
    path.write_text(path.read_text().replace("globex", "nobody"))
    assert_code(stopped.run_cli("upgrade", "-w", "globex"), 0)
    assert_code(stopped.run_cli("upgrade", "--include-slow"), 0)
    for name in ("globex", "Guard", "Fill", "1.2.0_Newest_7"):
        result = stopped.run_cli("why", name)
        assert "nothing is wrong" in result.stdout, result.stdout
        assert "next:" not in result.stdout


def test_step_by_each_of_its_names(stopped: Project):
    """Completed where and when, failed where."""
    for name in ("Guard", "guard", "1.1.0_Guard_1"):
        result = stopped.run_cli("why", name)
        assert_code(result, 0)
        assert "completed in 2 of 3 workspaces" in result.stdout
        assert "it failed in 1 workspace" in result.stdout
        assert "globex: attempt 2" in result.stdout


def test_json(stopped: Project):
    """One document, with causes as words."""
    found = document(stopped.run_cli("why", "globex", "--json"))
    assert (found["subject"], found["name"], found["fine"]) == ("workspace", "globex", False)
    assert [one["cause"] for one in found["reasons"]] == ["failed"]
    assert found["reasons"][0]["tries"][0]["attempt"] == 2
    assert found["next"]
    assert document(stopped.run_cli("why", "Dormant", "--json"))["fine"]


def test_workspaces_that_runs_leave_alone(stopped: Project):
    """By status, because nobody enrolled it, because somebody set it aside."""
    assert "its status is DELETED" in stopped.run_cli("why", "old").stdout
    assert_code(stopped.run_cli("workspace", "quarantine", "globex", "--reason", "disk full"), 0)
    assert "disk full" in stopped.run_cli("why", "globex").stdout
    assert "workspace release globex" in stopped.run_cli("why", "globex").stdout
    stopped.create_workspaces("fresh")
    assert "it is not enrolled" in stopped.run_cli("why", "fresh").stdout
    assert "no run would begin" in stopped.run_cli("why", "acme").stdout


def test_unknown_names(stopped: Project):
    """Exit 2 with the nearest, also as JSON."""
    assert_error(
        stopped.run_cli("why", "acmee"), 2, "neither a workspace nor a step acmee", "did you mean acme?"
    )
    assert_error(stopped.run_cli("why", "Gard", "--step"), 2, "no step Gard", "1.1.0_Guard_1")
    assert_error(stopped.run_cli("why", "Guard", "--workspace"), 2, "no workspace Guard")
    assert_error(stopped.run_cli("why", "1"), 2, "2 steps are called 1")
    assert_error(stopped.run_cli("why", "acme", "--step", "--workspace"), 2, "exclude each other")
    assert_error(stopped.run_cli("why"), 2, "WORKSPACE|STEP")
    assert document(stopped.run_cli("why", "nope", "--json"))["outcome"] == "refused"


def test_sixty_columns(stopped: Project):
    """Folded; nothing sticks out but what is to be copied."""
    result = stopped.run_cli("why", "acme", env={"COLUMNS": "60"})
    assert max(map(len, result.stdout.splitlines())) <= 60
    assert "\x1b" not in result.stdout


def test_database_without_history(project: Project):
    """It is read, and nothing is made."""
    project.create_workspaces("acme")
    project.workspace("1.0.0", 1, "AddNote")
    result = project.run_cli("why", "acme")
    assert "nothing holds it" in result.stdout
    assert "`upgrader upgrade`" in result.stdout
    assert not has_history(project)
