"""A release for workers on several machines that shows what ran, how often, and on which side of the barrier."""

from __future__ import annotations

import subprocess
import sys

from tests.support.distributed import ROOT
from tests.support.project import Project
from tests.support.results import attempts

IDS = [f"w{number:02}" for number in range(40)]
# Each workspace counts how often its step is kept; and takes a while.
COUNTED = "insert into public.counted values ('{step}', current_schema()); select pg_sleep({seconds})"

SESSIONS = (
    "select from pg_stat_activity where application_name like 'upgrader/%' and datname = current_database()"
)
"""The sessions of runs and their workers on this database."""


def write_release(project: Project, seconds: float) -> None:
    """Write two versions whose steps tell how often they ran, one of them outside a transaction."""
    project.create_workspaces(*IDS)
    project.fast("1.0.0", 1, "F1", "create table public.counted (step text, workspace text)")
    project.workspace("1.0.0", 2, "W2", COUNTED.format(step="W2", seconds=seconds))
    project.workspace(
        "1.0.0",
        3,
        "W3",
        "create table made (n int)",
        migrate=f"with ctx.transaction() as connection:\n"
        f"    connection.execute(text('select pg_sleep({seconds})'))",
    )
    project.fast(
        "1.1.0", 4, "F4", "insert into public.counted select 'barrier', count(*) from public.counted"
    )
    project.workspace("1.1.0", 5, "W5", COUNTED.format(step="W5", seconds=seconds))


def assert_each_once(project: Project) -> None:
    """Hold that every step was kept once in every workspace, with the barrier between the versions."""
    counted = project.query(
        "select step, count(*), count(distinct workspace) from counted group by step order by step"
    )
    assert counted == [("W2", 40, 40), ("W5", 40, 40), ("barrier", 1, 1)]
    assert project.query("select workspace from counted where step = 'barrier'") == [("40",)]
    completed = attempts(project, "completed")
    assert len(completed) == len({(step, scope) for step, scope, *_ in completed}) == 2 + 3 * 40
    assert not attempts(project, "running")


def start_coordinator(project: Project, *, stdout: int | None = None) -> subprocess.Popen[bytes]:
    """Start one in a process of its own, that can be killed."""
    environment = {**project.environment(), "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.distributed_coordinator"],
        cwd=project.directory,
        env=environment,
        stdout=stdout,
    )
