"""Workers and coordinators of a distributed run that are killed, cut off, late, stopped, or have other code."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support.distributed import (
    Coordinator,
    distribute,
    start_worker,
    worker_processes,
)
from tests.support.distributed_release import (
    COUNTED,
    SESSIONS,
    assert_each_once,
    start_coordinator,
    write_release,
)
from tests.support.project import Project
from tests.support.results import attempts
from tests.support.server import wait_until
from upgrader.events import Notice, SegmentStarted
from upgrader.history import run_lock
from upgrader.model import Outcome
from upgrader.testing import RecordingSink

WORKING = "select pid from pg_stat_activity where datname = current_database() and query like %s and state = 'active'"


def is_working(project: Project) -> bool:
    """Tell whether a worker is at a step."""
    return bool(project.query(WORKING, "%pg_sleep%"))


def test_a_killed_worker_gives_back_what_it_had(project: Project):
    """One of three is killed in each version: the others do its part, at once, and nothing runs twice."""
    write_release(project, 0.03)
    with worker_processes(project, 3) as workers:
        sink = RecordingSink()
        with Coordinator(project, {"emit": sink}) as coordinator:
            wait_until(lambda: is_working(project) and len(coordinator_members(project)) == 3)
            workers[0].kill()
            report = coordinator.report
    assert (report.outcome, report.error) == (Outcome.DONE, None)
    assert_each_once(project)
    assert report.completed == 2 + 3 * 40
    lost = [one for one in report.workers if one.end == "lost"]
    assert [one.name.endswith(f"pid {workers[0].process.pid}") for one in lost] == [True]
    assert any("was lost" in text for text in report.warnings)


def coordinator_members(project: Project) -> list[tuple[object, ...]]:
    """Give the workers that take part."""
    return project.query("select from upgrader_worker.distributed_member where state = 'admitted'")


def test_a_silent_worker_is_given_up(project: Project):
    """One is stopped in the middle of a step: after a while its sessions are ended, and it begins nothing more."""
    write_release(project, 0.02)
    with worker_processes(project, 2) as workers:
        with Coordinator(project, {"stalled_seconds": 1.0}) as coordinator:
            wait_until(lambda: is_working(project) and len(coordinator_members(project)) == 2)
            # One that is a member may still be about to join: it would say that it takes no part.
            wait_until(lambda: "takes part in run" in workers[0].said)
            workers[0].process.send_signal(signal.SIGSTOP)
            report = coordinator.report
            workers[0].process.send_signal(signal.SIGCONT)
        wait_until(lambda: any(line.startswith("run ") for line in workers[0].said.splitlines()))
        assert workers[0].stop() == 0
    assert (report.outcome, report.error) == (Outcome.DONE, None)
    assert_each_once(project)
    assert sorted(one.end for one in report.workers) == ["lost", "worked"]


def test_a_lost_control_session_makes_a_worker_come_back(project: Project):
    """Its coordinator takes it for lost; the process joins anew, as another one."""
    write_release(project, 0.05)
    with worker_processes(project, 1) as workers:
        with Coordinator(project) as coordinator:
            wait_until(lambda: is_working(project))
            project.query(
                "select pg_terminate_backend(l.pid) from pg_locks l join pg_stat_activity a using (pid)"
                " where application_name like 'upgrader/%%/control' and l.locktype = 'advisory'"
                " and l.mode = 'ExclusiveLock' and l.database = (select oid from pg_database where datname = %s)",
                project.query("select current_database()")[0][0],
            )
            report = coordinator.report
        assert workers[0].stop() == 0
    assert (report.outcome, report.error) == (Outcome.DONE, None)
    assert_each_once(project)
    assert [one.end for one in report.workers] == ["lost", "worked"]


def test_workers_stop_at_the_next_step_of_a_dead_run(project: Project):
    """The coordinator is killed; steps in progress end, no other begins, the same command again takes up."""
    write_release(project, 0.1)
    with worker_processes(project, 2) as workers:
        process = start_coordinator(project)
        # Only who takes part when the coordinator dies has something to say about it.
        wait_until(lambda: is_working(project) and len(coordinator_members(project)) == 2)
        wait_until(lambda: all("takes part in run" in worker.said for worker in workers))
        wait_until(lambda: len(attempts(project, "completed")) > 6)
        process.kill()
        process.wait()
        wait_until(lambda: not project.query(SESSIONS))
        before = len(attempts(project, "completed"))
        report = distribute(project)
        assert all("the run has ended" in worker.said for worker in workers)
    assert before < 3 * 40
    assert (report.outcome, report.error) == (Outcome.DONE, None)
    assert_each_once(project)


def test_a_frozen_worker_of_a_dead_run(project: Project, monkeypatch: pytest.MonkeyPatch):
    """It is stopped in the middle of a step, and its coordinator is killed: the same command again gets through."""
    monkeypatch.setattr(run_lock, "_ABANDONED_SECONDS", 2.0)
    write_release(project, 0.1)
    with worker_processes(project, 2) as workers:
        process = start_coordinator(project)
        wait_until(lambda: is_working(project) and len(coordinator_members(project)) == 2)
        wait_until(lambda: all("takes part in run" in worker.said for worker in workers))
        workers[0].process.send_signal(signal.SIGSTOP)
        process.kill()
        process.wait()
        sink = RecordingSink()
        report = distribute(project, emit=sink)
        workers[0].process.send_signal(signal.SIGCONT)
        wait_until(lambda: "its connection was lost" in workers[0].said)
        assert workers[0].stop() == 0
    assert (report.outcome, report.error) == (Outcome.DONE, None)
    assert any("left by a killed run" in notice.message for notice in sink.of(Notice))
    assert_each_once(project)


def test_a_worker_that_joins_late_and_one_that_leaves(project: Project):
    """Both have their part; what the first one had in hand beyond its step goes to the other."""
    write_release(project, 0.2)
    with worker_processes(project, 1) as workers, Coordinator(project) as coordinator:
        wait_until(lambda: is_working(project))
        workers.append(start_worker(project, "late"))
        wait_until(lambda: len(coordinator_members(project)) == 2)
        assert workers[0].stop() == 0
        report = coordinator.report
    assert (report.outcome, report.error) == (Outcome.DONE, None)
    assert_each_once(project)
    assert [one.end for one in report.workers] == ["left", "worked"]
    assert all(one.workspaces for one in report.workers)
    assert not report.failures
    assert not report.warnings


def test_a_worker_with_other_code_takes_no_part(project: Project, tmp_path: Path):
    """It says so, the report says so, and the other one does all of it."""
    write_release(project, 0.01)
    folder = tmp_path / "other"
    folder.mkdir()
    other = Project.create(folder, project.database_url)
    write_release_files(other)
    sink = RecordingSink()
    with worker_processes(other, 1) as (stranger,), Coordinator(project, {"emit": sink}) as coordinator:
        wait_until(lambda: sink.of(SegmentStarted))
        wait_until(lambda: "takes no part" in stranger.said)
        assert attempts(project, "completed") == [("F1", None, 1, "completed")]
        with worker_processes(project, 1):
            report = coordinator.report
    assert (report.outcome, report.error) == (Outcome.DONE, None)
    assert_each_once(project)
    assert [(one.end, one.workspaces) for one in report.workers] == [("refused", 0), ("worked", 80)]
    assert "it has other code of 1.0.0_W2_2" in (report.workers[0].note or "")
    assert any("takes no part" in text for text in report.warnings)


def write_release_files(project: Project) -> None:
    """Write the same release with another step in it; its database is not touched."""
    project.fast("1.0.0", 1, "F1", "create table public.counted (step text, workspace text)")
    project.workspace("1.0.0", 2, "W2", "select 'something else'")
    project.workspace(
        "1.0.0",
        3,
        "W3",
        "create table made (n int)",
        migrate="with ctx.transaction() as connection:\n"
        "    connection.execute(text('select pg_sleep(0.01)'))",
    )
    project.fast(
        "1.1.0", 4, "F4", "insert into public.counted select 'barrier', count(*) from public.counted"
    )
    project.workspace("1.1.0", 5, "W5", COUNTED.format(step="W5", seconds=0.01))
