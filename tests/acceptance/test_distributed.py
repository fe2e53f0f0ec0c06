"""`upgrader upgrade --distributed` with `upgrader worker` processes, as an operator types them."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from tests.support.project import Project
from tests.support.results import assert_code, assert_error, attempts, document
from tests.support.server import PostgresServer, wait_until

IDS = [f"w{number:02}" for number in range(20)]
TAKES_PART = "select from upgrader_worker.distributed_member where state = 'admitted'"


@contextmanager
def workers(
    project: Project, count: int = 2, *, queue: str | None = None
) -> Iterator[list[subprocess.Popen[str]]]:
    """Start `upgrader worker` processes; they end with the block, in good order.

    Args:
        queue: the URL of the queue's database, where it is another one.
    """
    started = [project.start_cli("worker", "--concurrency", "2") for _ in range(count)]
    try:
        with psycopg.connect(queue or project.database_url, autocommit=True) as connection:
            for look, there in (
                ("select to_regclass('upgrader_worker.worker') is not null", True),
                ("select count(*) from upgrader_worker.worker", count),
            ):
                wait_until(lambda look=look, there=there: connection.execute(look).fetchone() == (there,))  # type: ignore[misc]  # a lambda with defaults
        yield started
        for process in started:
            process.terminate()
            output = process.communicate(timeout=60)
            assert process.returncode in (0, -signal.SIGKILL), output
    finally:
        for process in started:
            process.kill()
            process.wait(60)


def write_release(project: Project, seconds: float = 0.01) -> None:
    """Write a release with a failing workspace in its second version."""
    project.create_workspaces(*IDS)
    project.fast("1.0.0", 1, "F1")
    project.workspace("1.0.0", 2, "W2", f"select pg_sleep({seconds})")
    project.workspace("1.1.0", 3, "W3", "assert ctx.workspace.id != 'w06', 'not the seventh'")


def test_the_report_is_that_of_jobs_with_a_table_of_workers(project: Project):
    """Failures, counts and exit code; then what each worker did, as text and as JSON; nothing stays in the queue."""
    write_release(project)
    with workers(project):
        text = project.run_cli("upgrade", "--distributed")
        again = document(project.run_cli("upgrade", "--distributed", "--json"))
    assert_code(text, 1)
    assert "20 of 20" in text.stdout
    assert "AssertionError: not the seventh" in text.stdout
    assert "a second" in text.stdout
    assert "takes part" in text.stderr
    assert again["exit_code"] == 1
    assert again["jobs"]["wanted"] == "distributed"
    assert again["failures"][0]["attempt"] == 2
    assert [one["failed"] for one in again["workers"] if one["workspaces"]] == [1]
    assert set(again["workers"][0]) == {
        "name", "lanes", "workspaces", "steps", "failed", "seconds", "workspaces_per_second", "end", "note",
    }  # fmt: skip
    waiting = "select from upgrader_worker.procrastinate_jobs where status = 'todo' and queue_name like '%distributed'"
    assert project.query(waiting) == []


def test_the_queue_may_be_in_another_database(project: Project, server: PostgresServer):
    """The invitations are there, what is run is where the workspaces are."""
    write_release(project)
    with server.database() as other:
        project.configure(worker={"queue_database_url": other})
        with workers(project, queue=other):
            report = document(project.run_cli("upgrade", "--distributed", "--json"))
            with psycopg.connect(other) as connection:
                asked = connection.execute(
                    "select count(*) from upgrader_worker.procrastinate_jobs where task_name = 'upgrade.take_part'"
                ).fetchone()
    assert report["exit_code"] == 1
    assert report["completed"] == 2 * len(IDS)
    assert sum(one["workspaces"] for one in report["workers"]) >= len(IDS)
    assert asked is not None
    assert asked[0] >= 1
    assert project.query("select to_regclass('upgrader_worker.procrastinate_jobs')") == [(None,)]


def test_a_killed_worker_and_a_signal(project: Project):
    """SIGKILL of a worker costs nothing; SIGTERM of the coordinator: exit 143, and the rest is done by the next run."""
    write_release(project, 0.3)
    with workers(project) as started:
        coordinator = project.start_cli("upgrade", "--distributed")
        wait_until(lambda: attempts_of(project) > 2)
        started[0].kill()
        wait_until(lambda: attempts_of(project) > 6)
        coordinator.terminate()
        stdout, stderr = coordinator.communicate(timeout=60)
        assert coordinator.returncode == 143, stdout + stderr
        assert "lost" in stdout
        assert "stopped by SIGTERM" in stderr
        assert 6 < len(attempts(project, "completed")) < 21
        assert not attempts(project, "running")
        assert project.query("select from upgrader_worker.distributed_run") == []
        assert project.run_cli("upgrade", "--distributed").returncode == 1
    done = [scope for step, scope, _, _ in attempts(project, "completed") if step == "W2"]
    assert sorted(done, key=str) == IDS


def test_a_second_signal_cancels_on_all_workers(project: Project):
    """The statements in progress are cancelled, their attempts are interrupted, exit 130."""
    write_release(project, 600)
    with workers(project):
        coordinator = project.start_cli("upgrade", "--distributed")
        wait_until(lambda: len(sleeping(project)) == 4)
        coordinator.send_signal(signal.SIGINT)
        wait_until(
            lambda: project.query("select from upgrader_worker.distributed_run where state = 'stopping'")
        )
        coordinator.send_signal(signal.SIGINT)
        output = coordinator.communicate(timeout=60)
        assert coordinator.returncode == 130, output
        wait_until(lambda: not sleeping(project))
    assert len(attempts(project, "interrupted")) == 4
    assert not attempts(project, "running")


def sleeping(project: Project) -> list[tuple[object, ...]]:
    """Give the sessions at a statement that takes minutes."""
    return project.query(
        "select from pg_stat_activity where position('pg_sleep(600)' in query) > 0 and state = 'active'"
        " and datname = current_database() and pid <> pg_backend_pid()"
    )


def attempts_of(project: Project) -> int:
    """Count what is completed; nothing before there is a history."""
    if project.query("select to_regclass('upgrader.history') is null") == [(True,)]:
        return 0
    return len(attempts(project, "completed"))


@pytest.mark.parametrize(
    ("flags", "word"),
    [(["--jobs", "4"], "--concurrency"), (["--verbose", "--show-parameters"], "--verbose shows")],
    ids=lambda value: str(value),
)
def test_what_it_does_not_go_together_with(project: Project, flags: list[str], word: str):
    """Exit 2, before anything is touched."""
    project.create_workspaces()
    assert_error(project.run_cli("upgrade", "--distributed", *flags), 2, "--distributed", word)


def test_without_a_queue(project: Project):
    """Exit 2 where it is switched off."""
    write_release(project)
    switched_off = project.run_cli(
        "upgrade", "--distributed", env={"UPGRADER_WORKER__QUEUE_ENABLED": "false"}
    )
    assert_error(switched_off, 2, "queue_enabled = true")
    assert project.query("select to_regnamespace('upgrader') is null") == [(True,)]


def test_a_dry_run_is_this_process_own(project: Project):
    """It is one transaction: no worker is asked, no table made."""
    write_release(project)
    assert_code(project.run_cli("upgrade", "--distributed", "--dry-run"), 1)
    assert project.query("select to_regnamespace('upgrader_worker') is null") == [(True,)]
