"""SIGINT and SIGTERM: the first lets the step in progress end, the second cancels it."""

import signal
import subprocess
import time

import pytest

from tests.support.project import Project
from tests.support.results import assert_code, attempts, document, is_executing
from tests.support.server import wait_until

COUNT = 20


@pytest.fixture
def many(project: Project) -> Project:
    """Workspaces of which each takes a moment, once a gate is open."""
    project.create_workspaces(*(f"w{number:02}" for number in range(COUNT)))
    project.workspace(
        "1.0.0",
        1,
        "Moment",
        "create table made (id int); select pg_sleep(0.2)",
    )
    project.fast("1.1.0", 2, "Later")
    return project


def completed(project: Project) -> int:
    if project.query("select to_regclass('upgrader.history')") == [(None,)]:
        return 0
    ((count,),) = project.query("select count(*) from upgrader.history where not is_initial")
    return int(count)


def ended(process: subprocess.Popen[str]) -> tuple[str, str]:
    return process.communicate(timeout=60)


def backends(project: Project) -> int:
    ((count,),) = project.query(
        "select count(*) from pg_stat_activity where application_name like 'upgrader/%%'"
        " and datname = current_database() and pid <> %s",
        0,
    )
    return int(count)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_first_signal_finishes_the_step_in_progress(many: Project, number: signal.Signals, code: int):
    """The rest is left, the report says how much, and the next run takes it up."""
    process = many.start_cli("upgrade")
    wait_until(lambda: completed(many) >= 2)
    process.send_signal(number)
    stdout, stderr = ended(process)

    assert process.returncode == code, stderr
    done = completed(many)
    assert 2 <= done < COUNT
    assert {status for *_, status in attempts(many)} == {"completed"}
    assert f"{number.name}: stopping" in stderr
    assert f"stopped by {number.name}: {COUNT - done} step" in stderr
    assert "run the same command again" in stderr
    assert f"{done} steps completed" in stdout
    assert many.query("select count(*) from pg_tables where tablename = 'made'") == [(done,)]

    assert_code(many.run_cli("upgrade"), 0)
    assert completed(many) == COUNT + 1
    assert {attempt for _, _, attempt, _ in attempts(many)} == {1}


def test_second_signal_cancels_the_statement(project: Project):
    """What was in progress rolls back, at once; nothing of it is left, no backend either."""
    project.fast("1.0.0", 1, "Long", "create table made (id int); select pg_sleep(300)")
    process = project.start_cli("upgrade")
    wait_until(lambda: is_executing(project, "pg_sleep(300)"))
    process.send_signal(signal.SIGTERM)
    assert process.stderr is not None
    while "stopping" not in process.stderr.readline():
        assert process.poll() is None
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, stderr = ended(process)

    assert time.monotonic() - began < 15
    assert process.returncode == 143, stderr
    assert "Traceback" not in stderr
    assert project.query("select to_regclass('made')") == [(None,)]
    assert [status for *_, status in attempts(project)] == ["interrupted"]
    wait_until(lambda: backends(project) == 0)
    project.fast("1.0.0", 1, "Long", "create table made (id int)")
    assert_code(project.run_cli("upgrade"), 0)
    assert attempts(project)[1:] == [("Long", None, 2, "completed")]


def test_json_of_an_interrupted_run(many: Project):
    """One document: the signal and what is left."""
    process = many.start_cli("upgrade", "--json")
    wait_until(lambda: completed(many) >= 1)
    process.send_signal(signal.SIGINT)
    stdout, _ = ended(process)
    found = document(subprocess.CompletedProcess([], process.returncode, stdout, ""))
    assert (found["outcome"], found["signal"], found["exit_code"]) == ("interrupted", "SIGINT", 130)
    assert found["left"] == COUNT - completed(many)


def test_signal_while_waiting_for_the_lock(project: Project):
    """Nothing was run; exit 143."""
    project.fast("1.0.0", 1, "Long", "select pg_sleep(300)")
    holder = project.start_cli("upgrade")
    wait_until(lambda: backends(project) > 0)
    wait_until(lambda: is_executing(project, "pg_sleep(300)"))
    second = project.start_cli("upgrade", "--wait-lock", "100")
    assert second.stderr is not None
    while "waiting for another upgrade" not in second.stderr.readline():
        assert second.poll() is None
    second.send_signal(signal.SIGTERM)
    _, stderr = ended(second)
    assert second.returncode == 143, stderr
    assert "error: stopped by SIGTERM" in stderr
    assert attempts(project) == []
    holder.kill()
    ended(holder)


def test_dry_run_is_stopped_too(many: Project):
    """And leaves nothing."""
    process = many.start_cli("upgrade", "--dry-run")
    wait_until(lambda: is_executing(many, "pg_sleep(0.2)"))
    process.send_signal(signal.SIGINT)
    _, stderr = ended(process)
    assert process.returncode == 130, stderr
    assert many.query("select to_regnamespace('upgrader')") == [(None,)]
    assert many.query("select count(*) from pg_tables where tablename = 'made'") == [(0,)]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_while_commands_are_loaded(project: Project, number: signal.Signals, code: int):
    """It is no fault of the module that was just being imported."""
    project.write(
        "commands/slow.py",
        "import sys, time\nprint('loading', file=sys.stderr, flush=True)\ntime.sleep(600)\n",
    )
    process = project.start_cli("list", "--json")
    assert process.stderr is not None
    assert "loading" in process.stderr.readline()
    process.send_signal(number)
    stdout, stderr = ended(process)
    assert process.returncode == code, stderr
    assert "slow.py" not in stderr
    assert document(subprocess.CompletedProcess([], code, stdout, ""))["exit_code"] == code
