"""`upgrader status`: health of instance and workspaces, `--exit-code`, `--wait`."""

import signal
import subprocess

import pytest

from tests.support.project import Project
from tests.support.results import assert_code, assert_error, document, has_history
from tests.support.server import wait_until

FAILS_IN_B = "if ctx.workspace.id == 'b':\n    ctx.connection.execute(text('select 1/0'))"


@pytest.fixture
def product(project: Project) -> Project:
    #   1.0.0 f1 s2 │ w3
    project.create_workspaces("a", "b")
    project.fast("1.0.0", 1, "First")
    project.slow("1.0.0", 2, "Slow")
    project.workspace("1.0.0", 3, "InWorkspace")
    return project


def health(project: Project) -> dict[str, str]:
    found = document(project.run_cli("status", "--json"))
    return {"instance": found["instance"]["health"]} | {
        row["id"]: row["health"] for row in found["workspaces"]
    }


def test_exit_code_before_and_after(product: Project):
    """5 while something is pending; slow steps aside, unless they are asked for; nothing is written."""
    assert_code(product.run_cli("status"), 0)
    assert_code(product.run_cli("status", "--exit-code"), 5)
    assert not has_history(product)
    assert_code(product.run_cli("upgrade"), 0)
    assert_code(product.run_cli("status", "--exit-code"), 0)
    assert_code(product.run_cli("status", "--exit-code", "--include-slow"), 5)
    assert health(product)["instance"] == "slow-pending"
    assert_code(product.run_cli("upgrade", "--include-slow"), 0)
    assert_code(product.run_cli("status", "--exit-code", "--include-slow"), 0)
    assert health(product) == {"instance": "up-to-date", "a": "up-to-date", "b": "up-to-date"}


def test_failed_and_behind(product: Project):
    """`--failed-only` leaves the failed ones, with the error; `-w` one workspace."""
    product.workspace("1.0.0", 4, "MayFail", FAILS_IN_B)
    product.fast("1.1.0", 5, "Later")
    product.run_cli("upgrade", "--include-slow")
    found = health(product)
    assert (found["a"], found["b"]) == ("up-to-date", "failed")
    assert found["instance"] == "behind"
    failed = product.run_cli("status", "--failed-only")
    assert "division by zero" in failed.stdout
    assert "MayFail" in failed.stdout
    one = document(product.run_cli("status", "-w", "a", "--json"))
    assert [row["id"] for row in one["workspaces"]] == ["a"]
    assert_error(product.run_cli("status", "-w", "nobody"), 2, "nobody")


def test_ahead_counts_as_good(product: Project):
    """The code was rolled back."""
    product.fast("2.0.0", 9, "Later")
    assert_code(product.run_cli("upgrade", "--include-slow"), 0)
    result = product.run_cli("--app-version", "1.0.0", "status", "--exit-code")
    assert_code(result, 0)
    assert "ahead" in result.stdout


def test_wait_that_is_over(product: Project):
    """Exit 5 when the time has passed."""
    assert_code(product.run_cli("status", "--wait", "0.2"), 5)


def test_wait_until_an_upgrade_is_through(product: Project):
    """What a new release's pods do before they start."""
    waiting = product.start_cli("status", "--wait", "60")
    assert waiting.stderr is not None
    while "waiting" not in waiting.stderr.readline():
        assert waiting.poll() is None
    assert_code(product.run_cli("upgrade"), 0)
    wait_until(lambda: waiting.poll() is not None)
    stdout, stderr = waiting.communicate()
    assert waiting.returncode == 0, stderr
    assert "slow-pending" in stdout


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "ended by SIGTERM")],
)
def test_a_signal_ends_a_wait(product: Project, number: signal.Signals, code: int, word: str):
    """With a word and a document: what watches a deployment can tell it from a status."""
    waiting = product.start_cli("status", "--wait", "60", "--json")
    assert waiting.stderr is not None
    while "waiting" not in waiting.stderr.readline():
        assert waiting.poll() is None
    waiting.send_signal(number)
    stdout, stderr = waiting.communicate(timeout=60)
    found = document(subprocess.CompletedProcess([], waiting.returncode, stdout, ""))
    assert (waiting.returncode, found["exit_code"], found["outcome"]) == (code, code, "interrupted")
    assert found["error"]["message"] == word
    assert f"error: {word}" in stderr
