"""Two worker processes beside `--jobs` with as many connections: a column for each of very many workspaces."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

from tests.bench.blocks import in_turns
from tests.bench.findings import Row, Section, at_least
from tests.bench.stage import Stage, make_workspaces, run_program
from tests.support.project import PROGRAM, Project

WORKSPACES = 3_000
BLOCKS = 5
PROCESSES, LANES = 2, 2
BAR = 0.8
DISTRIBUTED, JOBS = "distributed", "jobs"
_START_SECONDS = 60.0
_POLL_SECONDS = 0.05


def measure(stage: Stage, *, quick: bool) -> Section:
    """Run versions in turns, one with `--jobs`, one with `--distributed`."""
    workspaces, blocks = (100, 2) if quick else (WORKSPACES, BLOCKS)
    with stage.project("distributed") as project:
        make_workspaces(project, workspaces, with_schemas=True)
        for number in range(1, 2 * (blocks + 1) + 1):
            column = f"alter table item add column upgrader_{number} integer"
            project.workspace(f"1.{number}.0", number, f"AddColumn{number}", column)
        project.configure(app_version=f"1.{2 * (blocks + 1)}.0")
        versions = count(1)
        with _workers(project):
            contenders = {
                JOBS: _contender(project, versions, workspaces, "--jobs", str(PROCESSES * LANES)),
                DISTRIBUTED: _contender(project, versions, workspaces, "--distributed"),
            }
            times = in_turns(contenders, blocks=blocks)
    own, peer = 1 / times.median(DISTRIBUTED), 1 / times.median(JOBS)
    row: Row = at_least(
        f"{workspaces:,} workspaces, a column each, `--distributed` with {PROCESSES} worker processes of {LANES} at a"
        f" time on one machine: rate beside `--jobs {PROCESSES * LANES}` [^distributed]",
        times.median_ratio(JOBS, DISTRIBUTED),
        BAR,
        f"{own:,.0f} to {peer:,.0f} workspaces a second",
    )
    note = (
        f"[^distributed]: {blocks} versions of each in turns, the run's own seconds with its lock held; the ratio is"
        " the median of neighbours'. The workers run already, the process that is typed begins anew each time. As many"
        " connections run commands; each worker has one more for what it tells. All share the cores of one machine,"
        " which is where more processes help least."
    )
    return Section([row], [note])


def _contender(
    project: Project, versions: Iterator[int], workspaces: int, *flags: str
) -> Callable[[int], float]:
    def block(_: int) -> float:
        document = run_program(project, "upgrade", "--to", f"1.{next(versions)}.0", *flags)
        if document["completed"] != workspaces:
            raise RuntimeError(f"not all workspaces were upgraded: {document}")
        return float(document["seconds"]) / workspaces

    return block


@contextmanager
def _workers(project: Project) -> Iterator[None]:
    """Let workers wait for runs."""
    arguments = ["worker", "--no-scheduler", "--concurrency", str(LANES)]
    with (project.directory / "workers.log").open("wb") as log:
        started = [
            subprocess.Popen(
                [str(PROGRAM), *arguments],
                cwd=project.directory,
                env=project.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
            for _ in range(PROCESSES)
        ]
    try:
        _wait(project)
        yield
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(_START_SECONDS)


def _wait(project: Project) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if project.query("select to_regclass('upgrader_worker.worker') is not null") == [(True,)]:
            found = project.query("select count(*) from upgrader_worker.worker")
            if found == [(PROCESSES,)]:
                return
        time.sleep(_POLL_SECONDS)
    raise RuntimeError("the workers did not start: see workers.log")
