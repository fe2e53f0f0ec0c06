"""What an operator sees of commands that misbehave: exit 1, a clear error, and no secret."""

import pytest

from tests.support.project import Project
from tests.support.results import assert_code, assert_error, attempts


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("ctx.connection.commit()", "may not call commit()"),
        ("ctx.connection.close()", "close()"),
        ("ctx.connection.connection.driver_connection.execute('commit; begin')", "ended its transaction"),
        ("raise SystemExit(0)", "SystemExit: 0"),
        ("ctx.connection.execute(text('create temp table mine ()'))", "temporary table mine"),
    ],
)
def test_command_that_misbehaves_in_one_workspace(project: Project, body: str, words: str):
    """It fails there; the other one goes on; no warning of a library is seen."""
    project.create_workspaces("a", "b")
    project.workspace("1.0.0", 1, "Misbehaves", f"if ctx.workspace.id == 'a':\n    {body}")
    result = project.run_cli("upgrade")
    assert_error(result, 1, "1 step failed", words)
    assert words in result.stdout
    assert attempts(project) == [("Misbehaves", "a", 1, "failed"), ("Misbehaves", "b", 1, "completed")]
    assert "Warning" not in result.stderr


def test_error_of_10_megabytes_with_nul_and_password(project: Project):
    """Short on the screen, at most 8 kB in the history, without the password."""
    project.fast(
        "1.0.0",
        1,
        "Fails",
        "raise ValueError('password=hunter2hunter2 \\x00 postgresql://u:hunter2hunter2@h/d ' + 'x' * 10_000_000)",
    )
    result = project.run_cli("upgrade")
    assert_code(result, 1)
    assert len(result.stdout) + len(result.stderr) < 40_000
    assert "hunter2" not in result.stdout + result.stderr
    ((text,),) = project.query("select error_message from upgrader.history where status = 'failed'")
    assert len(text.encode()) <= 8192
    assert "hunter2" not in text
    shown = project.run_cli("history", "--status", "failed")
    assert "hunter2" not in shown.stdout
    assert "***" in shown.stdout


def test_control_characters_of_an_error_do_not_reach_the_terminal(project: Project):
    """What comes from a command must not steer a terminal."""
    project.fast("1.0.0", 1, "Fails", "raise ValueError('\\x1b[2J\\x07 cleared')")
    result = project.run_cli("upgrade")
    assert_code(result, 1)
    assert "\x1b" not in result.stdout + result.stderr
    assert "\x07" not in result.stdout + result.stderr


def test_constructor_that_fails(project: Project):
    """A failed step, no bug of the program."""
    project.write(
        "commands/one.py",
        """
        from upgrader import instance_command

        @instance_command("1.0.0", 1)
        class FailsToBegin:
            def __init__(self):
                raise RuntimeError("not today")
            def up(self, connection): ...
        """,
    )
    assert_error(project.run_cli("upgrade"), 1, "not today")
    assert_error(project.run_cli("upgrade", "--dry-run"), 1, "not today")
