"""The worker's jobs for upgrades, and the log lines of runs."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.project import Project
from tests.support.results import assert_code, document
from tests.support.server import wait_until
from upgrader.worker.metrics.figures import figures_from

BATCHES = """
import time
from sqlalchemy import text
for number in range(15):
    if ctx.stop_requested:
        return
    with ctx.transaction() as connection:
        done = connection.execute(text("select 1 from core.batch where n = :n"), {"n": number}).first()
        if done is None:
            connection.execute(text("insert into core.batch values (:n)"), {"n": number})
            time.sleep(0.2)
"""


@pytest.fixture
def slow(project: Project) -> Project:
    """A project in which nothing but a slow step is pending; it takes three seconds."""
    project.configure(app_version="1.0.0")
    project.create_workspaces("acme")
    project.fast("1.0.0", 1, "AddBatch", "create table core.batch (n int primary key)")
    project.slow(
        "1.0.0",
        2,
        "FillBatch",
        migrate=BATCHES.replace(
            "return", "from upgrader.runner.stop import Interrupted; raise Interrupted()"
        ),
    )
    assert_code(project.run_cli("upgrade"), 0)
    return project


@pytest.fixture
def worker(slow: Project) -> Iterator[list[subprocess.Popen[str]]]:
    """Keeps workers that a test starts, and kills them at its end."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for one in started:
        one.kill()
        one.communicate()


def _attempts(project: Project) -> list[str]:
    rows = project.query("select status from upgrader.history where kind = 'slow-instance' order by id")
    return [status for (status,) in rows]


def _window(cron: str, seconds: float) -> dict[str, str]:
    return {
        "UPGRADER_WORKER__DEFERRED_WINDOW_CRON": cron,
        "UPGRADER_WORKER__DEFERRED_WINDOW_SECONDS": str(seconds),
        "UPGRADER_WORKER__TIMEZONE": "UTC",
    }


def test_deferred_slow_steps_run_in_windows(slow: Project, worker: list[subprocess.Popen[str]]) -> None:
    """Three seconds of work in windows of two: cut off cleanly at the end of one, done in a later one."""
    worker.append(slow.start_cli("worker", env=_window("*/4 * * * * *", 2.0)))
    wait_until(lambda: _attempts(slow)[-1:] == ["completed"])
    assert "interrupted" in _attempts(slow)
    assert slow.query("select count(*) from core.batch") == [(15,)]
    worker[0].send_signal(signal.SIGTERM)
    _, told = worker[0].communicate(timeout=60)
    assert worker[0].returncode == 0, told
    assert "job upgrade.deferred (UpgradeJobs.run_deferred): cron */4 * * * * * (UTC)" in told
    assert "1 deferred slow step until" in told
    assert "the window is over" in told
    assert document(slow.run_cli("status", "--json"))["instance"]["health"] == "up-to-date"


def test_a_deferred_run_is_told_to_handlers_of_events(slow: Project) -> None:
    """Like any other upgrade: the steps that a worker runs stand in the audit table, too."""
    slow.write(
        "jobs/audit.py",
        'from upgrader.worker import AuditTable\n\naudit = AuditTable(patterns=["upgrade.*"])\n',
    )
    slow.configure(worker={"modules": ["jobs"]})
    assert_code(slow.run_cli("jobs", "trigger", "upgrade.deferred"), 0)
    rows = slow.query(
        "select name, event->>'step' from upgrader_worker.workspace_event where name <> 'upgrade.version_completed'"
        " order by id"
    )
    assert rows == [
        ("upgrade.started", None),
        ("upgrade.step_completed", "1.0.0_FillBatch_2"),
        ("upgrade.completed", None),
    ]


def test_a_durable_handler_without_a_queue_is_told_as_the_worker_starts(slow: Project) -> None:
    """Better than in the window at two in the morning."""
    slow.write(
        "jobs/later.py",
        'from upgrader.worker import on_event\n\n@on_event("upgrade.*", durable=True)\ndef later(batch): ...\n',
    )
    slow.configure(
        worker={"modules": ["jobs"], "queue_enabled": False, "deferred_window_cron": "0 0 2 * * *"}
    )
    done = slow.run_cli("worker")
    assert (done.returncode, "later of workspace events is durable" in done.stderr) == (2, True)


def test_a_worker_that_starts_in_a_window_does_not_wait_for_the_next(
    slow: Project, worker: list[subprocess.Popen[str]]
) -> None:
    """The window of a year began on its first day; a signal stops the step, and the worker ends with 0."""
    worker.append(slow.start_cli("worker", env=_window("0 0 1 1 *", 366 * 86_400)))
    wait_until(lambda: slow.query("select count(*) from core.batch")[0][0] >= 2)
    worker[0].send_signal(signal.SIGTERM)
    _, told = worker[0].communicate(timeout=60)
    assert worker[0].returncode == 0, told
    assert _attempts(slow) == ["interrupted"]
    assert "jobs in progress, which have 30 s to finish: upgrade.deferred" in told


def test_a_release_that_nobody_has_begun_is_left_alone(slow: Project) -> None:
    """It waits behind the slow step: that is done; and no job at night begins the release, before or after."""
    slow.configure(app_version="1.1.0")
    slow.fast("1.1.0", 3, "AddMore", "create table core.more (n int)")
    slow.slow("1.1.0", 4, "FillMore")
    assert_code(slow.run_cli("jobs", "trigger", "upgrade.deferred"), 0)
    assert _attempts(slow) == ["completed"]
    assert slow.query("select to_regclass('core.more') is null") == [(True,)]
    done = slow.run_cli("jobs", "trigger", "upgrade.deferred")
    assert_code(done, 0)
    assert "it is left to `upgrader upgrade`" in done.stderr
    assert slow.query("select to_regclass('core.more') is null") == [(True,)]


def test_a_failed_slow_step_is_a_failed_job(slow: Project) -> None:
    """With what to type next; and one that has nothing to do says so."""
    slow.slow("1.0.0", 2, "FillBatch", migrate="raise ValueError('no luck')")
    failed = slow.run_cli("jobs", "trigger", "upgrade.deferred")
    assert failed.returncode == 1
    assert "of the deferred slow steps failed" in failed.stderr
    slow.slow("1.0.0", 2, "FillBatch")
    assert_code(slow.run_cli("upgrade", "--include-slow"), 0)
    assert "no slow steps are deferred" in slow.run_cli("jobs", "trigger", "upgrade.deferred").stderr


def test_the_status_is_kept_for_the_metrics(slow: Project) -> None:
    """What every worker's metrics are read from."""
    assert_code(slow.run_cli("jobs", "trigger", "upgrade.status"), 0)
    ((document,),) = slow.query("select document from upgrader_worker.upgrade_status")
    found = {figure.name: {**figure.samples[0].labels} for figure in figures_from(document) if figure.samples}
    values = {
        (figure.name, *one.labels.values()): one.value
        for figure in figures_from(document)
        for one in figure.samples
    }
    assert values["upgrader_instance_health", "slow-pending"] == 1
    assert values["upgrader_workspaces", "up-to-date"] == 1
    assert found["upgrader_deferred_step_age_seconds"] == {"step": "1.0.0_FillBatch_2"}


def test_the_defaults_of_jobs_do_not_switch_them_off(slow: Project) -> None:
    """A window in the settings is what switches the slow steps on, and a port the status."""
    off = {"UPGRADER_WORKER__JOB_DEFAULTS__ENABLED": "false"}
    assert_code(slow.run_cli("jobs", "trigger", "upgrade.status", env=off), 0)
    assert_code(slow.run_cli("jobs", "trigger", "upgrade.deferred", env=off), 0)
    assert _attempts(slow)[-1:] == ["completed"]


def test_commands_that_cannot_be_loaded_are_told_as_the_worker_starts(slow: Project) -> None:
    """Not at two in the morning."""
    slow.write("commands/v1_0_0/9_broken.py", "import there_is_no_such_module\n")
    done = slow.run_cli("worker", env=_window("0 2 * * *", 60))
    assert done.returncode == 2
    assert "9_broken.py" in done.stderr


def test_a_window_that_is_no_cron_expression(slow: Project) -> None:
    """Exit 2, and the setting is named."""
    done = slow.run_cli("worker", env=_window("tonight", 60))
    assert done.returncode == 2
    assert "'tonight' has 1 fields" in done.stderr
    assert "the setting worker.deferred_window_cron" in done.stderr


def test_a_deferred_run_as_json_lines(slow: Project, worker: list[subprocess.Popen[str]]) -> None:
    """What a worker logs of a run has the job's name as well as the ids of run and step."""
    slow.slow("1.0.0", 2, "FillBatch", migrate="ctx.log.info('filling')")
    worker.append(slow.start_cli("worker", "--log-format", "json", env=_window("* * * * * *", 1)))
    wait_until(lambda: _attempts(slow) == ["completed"])
    worker[0].send_signal(signal.SIGTERM)
    _, told = worker[0].communicate(timeout=60)
    assert worker[0].returncode == 0, told
    lines = [json.loads(line) for line in told.splitlines()]
    of_step = [line for line in lines if line.get("step") == "1.0.0_FillBatch_2"]
    assert "filling" in [line["message"] for line in of_step]
    assert {line["job"] for line in of_step} == {"upgrade.deferred"}
    (run_id,) = {line["run_id"] for line in of_step}
    assert run_id in [line["run_id"] for line in lines if line.get("event") == "run-started"]


def test_a_run_as_json_lines(slow: Project) -> None:
    """`upgrade --log-format json`: every line of stderr is an object, with the ids of run, step and workspace."""
    slow.workspace("1.0.0", 3, "Greet", "ctx.log.info('hello %s', ctx.workspace.id)")
    slow.workspace("1.0.0", 4, "Fail", "SELECT 1 / 0")
    done = slow.run_cli("upgrade", "--log-format", "json", "--json")
    report = document(done)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert {line["run_id"] for line in lines if "run_id" in line} == {report["run_id"]}
    finished = [line for line in lines if line.get("event") == "step-finished"]
    assert [(line["step"], line["workspace_id"], line["level"]) for line in finished] == [
        ("1.0.0_Greet_3", "acme", "info"),
        ("1.0.0_Fail_4", "acme", "error"),
    ]
    (hello,) = [line for line in lines if line["message"] == "hello acme"]
    assert (hello["run_id"], hello["step"], hello["workspace_id"]) == (
        report["run_id"], "1.0.0_Greet_3", "acme",
    )  # fmt: skip
    wrong = slow.run_cli("upgrade", "--log-format", "xml")
    assert (wrong.returncode, "give one of: text, json" in wrong.stderr) == (2, True)
    plain = slow.run_cli("upgrade", "--log-format", "text", "--json")
    assert "failed: acme" in plain.stderr
