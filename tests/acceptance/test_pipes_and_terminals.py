"""How output is written: pipes, narrow screens, no colour, no UTF-8, a terminal."""

import os
import pty
import re
import select
import shlex
import subprocess
import sys

import pytest

from tests.support.project import PROGRAM, Project
from tests.support.results import assert_code

ESCAPE = "\x1b["


@pytest.fixture
def product(project: Project) -> Project:
    project.create_workspaces("a", "b", "c")
    project.fast("1.0.0", 1, "AddSomethingWithAnUnusuallyLongNameThatFillsAWholeLineOfTheScreen")
    fails = "if ctx.workspace.id == 'b':\n    raise ValueError('no \u2026 \u201cnever\u201d')"
    project.workspace("1.0.0", 2, "InEachWorkspace", fails)
    return project


def shell(project: Project, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command.replace("upgrader", shlex.quote(str(PROGRAM)), 1)],
        cwd=project.directory,
        env=project.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("verb", ["list", "upgrade", "--help", "history --json"])
def test_pipe_that_is_closed_early(product: Project, verb: str):
    """`| head -1`, and one that reads nothing: no traceback, no complaint."""
    for reader in ("head -1", "true"):
        result = shell(product, f"upgrader {verb} | {reader}")
        assert "Traceback" not in result.stderr
        assert "BrokenPipe" not in result.stderr
        assert "Exception ignored" not in result.stderr


def test_closed_stdout_and_stderr(product: Project):
    """Neither is needed to do the work."""
    result = shell(product, "upgrader upgrade >&- 2>&-")
    assert result.returncode == 1
    assert product.query("select count(*) from upgrader.history where not is_initial") == [(4,)]


def test_full_disk_behind_stdout(product: Project):
    """What cannot be written is no bug of the program; the run is done all the same."""
    result = shell(product, "upgrader upgrade > /dev/full")
    assert "Traceback" not in result.stderr
    assert product.query("select count(*) from upgrader.history where not is_initial") == [(4,)]


def test_60_columns(product: Project):
    """Text is folded; what is to be copied is not cut."""
    for verb in (["list"], ["plan"], ["upgrade"], ["status"], ["history"], ["workspace", "list"]):
        result = product.run_cli(*verb, env={"COLUMNS": "60"})
        long = [line for line in (result.stdout + result.stderr).splitlines() if len(line) > 60]
        # A single word, or a place or statement that people copy, may be longer.
        assert all(len(line.split()) <= 2 or "/" in line or "_" in line for line in long), long


def test_nothing_is_folded_or_coloured_in_a_pipe(product: Project):
    """No width is known there, and no escape sequence is written."""
    for verb in (["plan"], ["upgrade"], ["status"], ["history"]):
        result = product.run_cli(*verb, env={"TERM": "xterm-256color"})
        assert ESCAPE not in result.stdout + result.stderr
    assert "1.0.0_AddSomethingWithAnUnusuallyLongNameThatFillsAWholeLineOfTheScreen_1" in result.stdout


@pytest.mark.parametrize("environment", [{"LANG": "C", "LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"}])
def test_locale_without_utf_8(product: Project, environment: dict[str, str]):
    """Letters that cannot be written are written as escapes; nothing breaks."""
    result = product.run_cli("upgrade", env=environment)
    assert_code(result, 1)
    assert "ValueError: no" in result.stdout
    assert_code(product.run_cli("history", env=environment), 0)


def in_terminal(
    project: Project, *arguments: str, env: dict[str, str] | None = None, typed: str = ""
) -> tuple[int, str]:
    """Run in a terminal of its own; give the exit code and all that it showed."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [str(PROGRAM), *arguments],
        cwd=project.directory,
        env=project.environment({"TERM": "xterm-256color", **(env or {})}),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        close_fds=True,
    )
    os.close(slave)
    os.write(master, typed.encode())
    shown = b""
    while True:
        if not select.select([master], [], [], 60)[0]:
            process.kill()
        try:
            piece = os.read(master, 65536)
        except OSError:  # how Linux says that the other side is closed
            break
        if not piece:
            break
        shown += piece
    os.close(master)
    return process.wait(60), shown.decode(errors="replace")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such terminals on Windows")
def test_terminal_has_colour_and_a_bar(product: Project):
    """On a terminal; NO_COLOR and --no-color take the colour away."""
    code, shown = in_terminal(product, "upgrade")
    assert code == 1
    assert re.search(r"\x1b\[[0-9;]*3[0-9]m|\x1b\[1;31m", shown)
    assert "3/3" in shown or "━" in shown
    for arguments, env in ((["upgrade"], {"NO_COLOR": "1"}), (["--no-color", "upgrade"], {})):
        code, shown = in_terminal(product, *arguments, env=env)
        assert code == 1
        assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", shown), shown


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such terminals on Windows")
def test_the_bar_of_several_lanes_fits_into_60_columns(project: Project):
    """It counts what ended, names what failed, and tells rate and time left; the last line of it is wiped."""
    project.create_workspaces(*(f"w{number:02}" for number in range(24)))
    body = "ctx.connection.execute(text('select pg_sleep(0.25)'))\nif ctx.workspace.id == 'w03': raise ValueError('no')"
    project.workspace("1.0.0", 1, "Sleep", body)

    code, shown = in_terminal(project, "upgrade", "--jobs", "4", env={"COLUMNS": "60"})

    assert code == 1, shown
    drawn = re.sub(r"\x1b\[2K|\r", "\n", shown)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn)
    numbers = [line for line in plain.splitlines() if re.search(r"\d/24", line)]
    counts = [int(found[1]) for line in numbers if (found := re.search(r"(\d+)/24", line))]
    assert counts == sorted(counts)
    assert max(counts) > 4
    assert any(re.search(r"\d/24 1 failed [\d.]+/s <1 min", line) for line in numbers), numbers
    assert max(len(line) for line in plain.splitlines()) <= 60
    assert "23 workspaces done, 1 failed in " in shown


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such terminals on Windows")
def test_check_says_on_a_terminal_what_it_is_at(project: Project):
    """In a line that is gone at the end; nothing of it in a pipe."""
    # As long as it takes until the line is drawn anew, a few times over.
    project.fast("1.0.0", 1, "Wait", "select pg_sleep(1)", down="pass")
    scratch, at = project.database_url, "trying 1.0.0_Wait_1"
    project.configure(database_url=None)

    code, shown = in_terminal(project, "check", "--scratch-url", scratch, "--select", "sequence-fails")

    assert code == 0, shown
    assert at in shown
    assert shown.rindex(at) < shown.rindex("\x1b[2K")  # the line is wiped
    result = project.run_cli("check", "--scratch-url", scratch, "--select", "sequence-fails")
    assert_code(result, 0)
    assert at not in result.stdout + result.stderr


def test_version_and_help(project: Project):
    """`--version`, `--help`, `-h`; without a verb the help."""
    assert re.fullmatch(r"upgrader \d+\.\d+\.\d+\S*\n", project.run_cli("--version").stdout)
    for arguments in (["--help"], ["-h"], []):
        result = project.run_cli(*arguments)
        assert_code(result, 0)
        for verb in ("upgrade", "plan", "status", "generate", "baseline", "workspace", "demo"):
            assert verb in result.stdout
    for verb in ("upgrade", "status"):
        assert_code(project.run_cli(verb, "--help"), 0)


@pytest.mark.parametrize("name", ["bash", "zsh"])
def test_shell_completion(project: Project, name: str):
    """`--show-completion` prints a script, `--install-completion` is offered."""
    # Typer would otherwise take the shell from the processes above, and fail where there is none that it knows.
    result = project.run_cli(
        "--show-completion", name, env={"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    )
    if result.returncode:
        pytest.fail(result.stderr)
    assert "upgrader" in result.stdout


def test_unknown_verb_and_flag(project: Project):
    """Exit 2 with the nearest one."""
    for arguments, words in ((["upgrad"], "upgrade"), (["upgrade", "--include-slwo"], "--include-slow")):
        result = project.run_cli(*arguments)
        assert_code(result, 2)
        assert words in result.stderr
        assert "hint:" in result.stderr


def test_debug_shows_where_an_error_comes_from(project: Project):
    """A traceback only with `--debug`."""
    project.configure(missing="maybe")
    assert "Traceback" not in project.run_cli("plan").stderr
    assert "Traceback" in project.run_cli("--debug", "plan").stderr
