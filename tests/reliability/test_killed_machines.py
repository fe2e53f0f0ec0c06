"""Upgrades over several machines whose workers and coordinators are killed at random moments."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable

import psycopg
import pytest

from tests.reliability.options import number_of
from tests.support.distributed import WAIT_SECONDS, WorkerProcess, start_worker, worker_processes
from tests.support.distributed_release import SESSIONS, assert_each_once, start_coordinator, write_release
from tests.support.project import Project
from tests.support.server import wait_until

WORKERS = 3
_STEP_SECONDS = 0.02
_MOST_KILLS = 6
"""After so many a case is left in peace: it has to come to its end."""
_KILLED = """
select pid, application_name from pg_stat_activity
where application_name like 'upgrader/%' and datname = current_database() and pid <> pg_backend_pid()
"""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make as many cases as are asked for, each with a seed of its own."""
    count = number_of(metafunc.config, "--machine-kills", 3)
    seed = number_of(metafunc.config, "--kill-seed", 1)
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", [f"{seed}-{number}" for number in range(count)])


def test_every_step_once_whoever_is_killed(project: Project, seed: str, note: Callable[..., None]) -> None:
    """Workers, coordinators and sessions die at random moments; the same command is run again until it is through."""
    write_release(project, _STEP_SECONDS)
    chance = random.Random(seed)
    kills: dict[str, int] = {"worker": 0, "coordinator": 0, "session": 0}
    told: dict[str, object] = {"kind": "machines", "failed": True}
    try:
        with worker_processes(project, WORKERS) as workers:
            told["runs"] = _run_until_it_is_through(project, workers, chance, kills)
        wait_until(lambda: not project.query(SESSIONS))
        assert_each_once(project)
        assert project.query("select from upgrader_worker.distributed_run") == []
        told["failed"] = False
    finally:
        note(**told, **kills)


def _run_until_it_is_through(
    project: Project, workers: list[WorkerProcess], chance: random.Random, kills: dict[str, int]
) -> int:
    give_up, runs = time.monotonic() + 2 * WAIT_SECONDS, 0
    while True:
        assert time.monotonic() < give_up, f"not through after {runs} runs: {[one.said for one in workers]}"
        runs += 1
        coordinator = start_coordinator(project, stdout=subprocess.PIPE)
        try:
            while coordinator.poll() is None and time.monotonic() < give_up:
                if sum(kills.values()) < _MOST_KILLS and _is_begun(project):
                    _kill_one(project, workers, coordinator, chance, kills)
                time.sleep(chance.uniform(0.05, 0.6))
        finally:
            coordinator.kill()
            output, _ = coordinator.communicate()
        if coordinator.returncode == 0 and output.strip() == b"done":
            return runs


def _is_begun(project: Project) -> bool:
    """Tell whether a run is there: a kill while a process imports its modules would show nothing."""
    there = project.query("select to_regclass('upgrader_worker.distributed_run') is not null")
    return there == [(True,)] and bool(project.query("select from upgrader_worker.distributed_run"))


def _kill_one(
    project: Project,
    workers: list[WorkerProcess],
    coordinator: subprocess.Popen[bytes],
    chance: random.Random,
    kills: dict[str, int],
) -> None:
    match chance.choice(["worker", "worker", "coordinator", "session"]):
        case "worker":
            place = chance.randrange(len(workers))
            workers[place].kill()
            workers[place] = start_worker(project, f"worker-{place}")
            kills["worker"] += 1
        case "coordinator":
            coordinator.kill()
            coordinator.wait()
            kills["coordinator"] += 1
        case _:
            with psycopg.connect(project.database_url, autocommit=True) as connection:
                if found := connection.execute(_KILLED).fetchall():
                    pid, _ = chance.choice(found)
                    connection.execute("select pg_terminate_backend(%s)", [pid])
                    kills["session"] += 1
