"""One upgrade at a time: the second one is told who holds the lock."""

import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.project import Project
from tests.support.results import Result, assert_code, assert_error, attempts, document, is_executing
from tests.support.server import wait_until

GATE = 987_654


@pytest.fixture
def busy(project: Project) -> Iterator[Project]:
    """A project with an upgrade that is at work until the gate is opened."""
    project.fast("1.0.0", 1, "Waits", f"select pg_advisory_xact_lock({GATE})")
    with project.connect() as gate:
        gate.execute("select pg_advisory_lock(%s)", [GATE])
        # Its own time-out for locks would end it.
        process = project.start_cli("upgrade", env={"UPGRADER_LOCK_TIMEOUT_SECONDS": "600"})
        wait_until(lambda: is_waiting(project))
        try:
            yield project
            gate.execute("select pg_advisory_unlock_all()")
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.communicate()


def is_waiting(project: Project) -> bool:
    return is_executing(project, "pg_advisory_xact_lock")


def test_second_one_exits_3_and_names_the_holder(busy: Project):
    """pid, host, since when, silent for how long, and how to end its backend."""
    for verb in ("upgrade", "upgrade --dry-run", "baseline 1.0.0", "workspace enroll a"):
        result = busy.run_cli(*verb.split())
        assert_error(
            result, 3, "another upgrade is running", "--wait-lock", "since", "silent for", "upgrader/"
        )
        pid = re.search(r"pg_terminate_backend\((\d+)\)", result.stderr)
        assert pid is not None
        assert f"session pid {pid[1]}" in result.stderr
        assert re.search(r"on \S+, pid \d+", result.stderr)


def test_reading_verbs_are_not_stopped(busy: Project):
    """plan, status and history take no lock."""
    for verb in ("plan", "status", "history"):
        assert_code(busy.run_cli(verb), 0)


def test_json_of_the_second_one(busy: Project):
    """`locked`."""
    result = busy.run_cli("upgrade", "--json")
    assert_code(result, 3)
    assert document(result)["outcome"] == "locked"


def test_wait_lock_that_is_over(busy: Project):
    """Waits, says for whom, and gives up."""
    result = busy.run_cli("upgrade", "--wait-lock", "0.5")
    assert_error(result, 3, "waiting for another upgrade")


def test_wait_lock_waits_for_the_end(project: Project):
    """The second one begins when the first has ended, and finds nothing to do."""
    project.fast("1.0.0", 1, "Waits", f"select pg_advisory_xact_lock({GATE})")
    with project.connect() as gate:
        gate.execute("select pg_advisory_lock(%s)", [GATE])
        first = project.start_cli("upgrade", env={"UPGRADER_LOCK_TIMEOUT_SECONDS": "600"})
        wait_until(lambda: is_waiting(project))
        second = project.start_cli("upgrade", "--wait-lock", "60")
        assert second.stderr is not None
        while "waiting for another upgrade" not in second.stderr.readline():
            assert second.poll() is None
        gate.execute("select pg_advisory_unlock_all()")
        told = [_end(process) for process in (first, second)]
    assert [result.returncode for result in told] == [0, 0]
    assert "nothing to run" in told[1].stdout
    assert attempts(project) == [("Waits", None, 1, "completed")]


def test_holder_that_is_ended_by_the_hint(busy_or_killed: Project):
    """What the hint says ends the first run: exit 1 there; the next one goes on."""
    assert_code(busy_or_killed.run_cli("upgrade"), 0)


@pytest.fixture
def busy_or_killed(project: Project) -> Project:
    project.fast("1.0.0", 1, "Waits", f"select pg_advisory_xact_lock({GATE})")
    with project.connect() as gate:
        gate.execute("select pg_advisory_lock(%s)", [GATE])
        first = project.start_cli("upgrade", env={"UPGRADER_LOCK_TIMEOUT_SECONDS": "600"})
        wait_until(lambda: is_waiting(project))
        gate.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'upgrader/%'"
            " and datname = current_database()"
        )
        result = _end(first)
    assert_error(result, 1, "the server ended the connection")
    return project


def _end(process: subprocess.Popen[str]) -> Result:
    stdout, stderr = process.communicate(timeout=60)
    return subprocess.CompletedProcess([], process.returncode, stdout, stderr)


@pytest.mark.parametrize("value", ["soon", "-1", "inf", "nan"])
def test_wait_lock_that_is_no_number_of_seconds(project: Project, value: str):
    """Refused."""
    project.fast("1.0.0", 1, "Step")
    assert_error(project.run_cli("upgrade", f"--wait-lock={value}"), 2)
