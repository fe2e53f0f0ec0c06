"""`upgrader downgrade` and `upgrader plan --down` as a person or a script meets them."""

from __future__ import annotations

import json

import pytest

from tests.acceptance.test_pipes_and_terminals import in_terminal
from tests.support.project import Project


@pytest.fixture
def releases(project: Project) -> Project:
    """Two releases over two workspaces, upgraded."""
    project.create_workspaces("a", "b")
    project.fast("1.1.0", 1, "AddBook", "create table core.book (i int)", down="drop table core.book")
    project.workspace("1.1.0", 2, "AddPage", "create table page (i int)", down="drop table page")
    project.fast("1.2.0", 3, "AddShelf", "create table core.shelf (i int)", down="drop table core.shelf")
    project.workspace("1.2.0", 4, "AddNote", "create table note (i int)", down="drop table note")
    assert project.run_cli("upgrade").returncode == 0
    return project


def reverted(project: Project) -> int:
    return len(project.query("select from upgrader.history where status = 'reverted'"))


def test_it_goes_down_and_up_again(releases: Project):
    """What happened goes to stderr, the report to stdout."""
    done = releases.run_cli("downgrade", "--to", "1.1.0", "--yes")

    assert done.returncode == 0, done.stderr
    assert "3 steps reverted in " in done.stdout
    assert "AddShelf (fast) reverted, attempt 2" in done.stderr
    status = releases.run_cli("status")
    assert "behind at 1.1.0" in status.stdout
    assert "failed" not in status.stdout
    assert "reverted" in releases.run_cli("history", "--status", "reverted").stdout
    again = releases.run_cli("upgrade")
    assert (again.returncode, "3 steps completed" in again.stdout) == (0, True)


def test_nothing_to_take_back(releases: Project):
    """That is exit 0, and said."""
    done = releases.run_cli("downgrade", "--to", "1.2.0", "--yes")
    assert (done.returncode, done.stdout.strip()) == (0, "nothing to take back: nothing above 1.2.0 is there")


def test_without_a_terminal_it_needs_yes(releases: Project):
    """Nobody can be asked: nothing is taken back."""
    done = releases.run_cli("downgrade", "--to", "1.0.0", input="y\n")
    assert done.returncode == 2
    assert "error: a downgrade needs a confirmation" in done.stderr
    assert "--yes" in done.stderr
    assert reverted(releases) == 0


@pytest.mark.parametrize(
    ("typed", "code", "count"),
    [("y\n", 0, 3), ("n\n", 2, 0), ("what?\nYes\n", 0, 3), ("\x04", 2, 0)],
)
def test_a_terminal_is_asked(releases: Project, typed: str, code: int, count: int):
    """The question names what is taken back; no answer is no."""
    ended, shown = in_terminal(
        releases, "downgrade", "--to", "1.1.0", env={"COLUMNS": "60", "NO_COLOR": "1"}, typed=typed
    )
    assert "AddShelf (fast)" in shown
    assert "Take 3 steps back? [y/N]" in shown
    assert (ended, reverted(releases)) == (code, count), shown


def test_nobody_is_asked_about_nothing(releases: Project):
    """Nor about what is refused."""
    ended, shown = in_terminal(releases, "downgrade", "--to", "1.2.0")
    assert (ended, "nothing to take back" in shown, "?" in shown) == (0, True, False)
    releases.fast("1.3.0", 1, "DropBook", "drop table core.book")
    assert releases.run_cli("upgrade").returncode == 0
    ended, shown = in_terminal(releases, "downgrade", "--to", "1.0.0")
    assert (ended, "[y/N]" in shown) == (2, False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["downgrade", "--yes"], "give --to or --steps"),
        (["downgrade", "--yes", "--to", "1.0.0", "--steps", "1"], "--to and --steps contradict each other"),
        (["downgrade", "--yes", "--to", "x"], "x"),
        (["downgrade", "--yes", "--steps", "0"], "--steps"),
        (["downgrade", "--yes", "--to", "1.0.0", "-w", "nobody"], "there is no workspace nobody"),
        (["plan", "--down"], "give --to or --steps"),
        (["plan", "--steps", "1"], "--steps belongs to the way down"),
        (["plan", "--down", "--to", "1.0.0", "--include-slow"], "--include-slow belongs to the way up"),
    ],
)
def test_wrong_input_is_exit_2(releases: Project, arguments: list[str], said: str):
    """With an error, a hint, and nothing taken back."""
    done = releases.run_cli(*arguments)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert reverted(releases) == 0


def test_plan_shows_the_way_and_runs_nothing(releases: Project):
    """For people and as a document."""
    shown = releases.run_cli("plan", "--down", "--steps", "2")
    assert shown.returncode == 0
    assert shown.stdout.index("AddNote") < shown.stdout.index("AddShelf (fast)")
    assert "3 steps to take back in 1 version" in shown.stdout

    found = json.loads(releases.run_cli("plan", "--down", "--to", "1.0.0", "--json").stdout)
    assert [one["version"] for one in found["versions"]] == ["1.2.0", "1.1.0"]
    assert (found["direction"], found["steps_to_take_back"], found["outcome"]) == ("down", 6, "done")
    assert reverted(releases) == 0


def test_a_refusal_names_what_has_no_way_down(releases: Project):
    """In the plan and in the run alike, before anything is taken back."""
    releases.fast("1.3.0", 1, "DropBook", "drop table core.book")
    assert releases.run_cli("upgrade").returncode == 0
    for verb in (["plan", "--down"], ["downgrade", "--yes"], ["downgrade", "--dry-run"]):
        done = releases.run_cli(*verb, "--to", "1.0.0")
        assert done.returncode == 2, done.stderr
        assert "error: 1 step on the way back has no way down: 1.3.0_DropBook_1" in done.stderr
        assert "upgrader downgrade --to 1.3.0" in done.stderr
    assert reverted(releases) == 0


def test_json(releases: Project):
    """One document on stdout; a failure is exit 1 and in it."""
    with releases.connect() as connection:
        connection.execute("create view ws_a.v as select * from ws_a.note")
    done = releases.run_cli("downgrade", "--to", "1.1.0", "--yes", "--json")

    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert (found["direction"], found["reverted"], found["completed"]) == ("down", 1, 0)
    assert [one["workspace_id"] for one in found["failures"]] == ["a"]
    assert found["stop"]["workspace_ids"] == ["a"]
    rows = json.loads(releases.run_cli("history", "--json", "-w", "a", "--limit", "1").stdout)["attempts"]
    assert (rows[0]["direction"], rows[0]["changes_state"]) == ("down", False)


def test_filters_and_dry_run(releases: Project):
    """A filtered run says who is left; a dry run keeps nothing and asks nobody."""
    tried = releases.run_cli("downgrade", "--to", "1.0.0", "--dry-run")
    assert (tried.returncode, "6 steps tried and rolled back" in tried.stdout) == (0, True)
    assert reverted(releases) == 0
    done = releases.run_cli("downgrade", "--to", "1.0.0", "--yes", "--start-from", "b")
    assert done.returncode == 0
    assert "the filter leaves 1 workspace in 1.2.0: a" in done.stderr
    limited = releases.run_cli("downgrade", "--to", "1.0.0", "--yes", "--count-limit", "1", "--verbose")
    assert limited.returncode == 0
    assert "drop table note" in limited.stderr
    assert reverted(releases) == 2


def test_another_run_holds_the_lock(releases: Project):
    """Exit 3, as for an upgrade."""
    with releases.api()._access.run():
        done = releases.run_cli("downgrade", "--to", "1.0.0", "--yes", "--wait-lock", "0.1")
    assert done.returncode == 3
    assert reverted(releases) == 0
