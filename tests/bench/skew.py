"""The demo's tenants, of very different sizes, several at a time: is anybody left alone at the end?"""

from __future__ import annotations

import shutil
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from sqlalchemy import NullPool, create_engine

from tests.bench.findings import Row, Section
from tests.bench.stage import Stage
from upgrader.demo.before import prepare
from upgrader.events import Event, SegmentFinished, WorkspaceFinished
from upgrader.model import Jobs, Order, Outcome
from upgrader.runner.options import UpgradeOptions

JOBS = 4
BAR = 1.2
RUNS = 3
VERSION = "1.23.0"
_COMMANDS = Path(__file__).resolve().parents[2] / "commands"


@dataclass
class _Work:
    """What one run did: seconds by workspace, and those of the segments from first to last workspace."""

    by_workspace: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    def note(self, event: Event) -> None:
        if isinstance(event, WorkspaceFinished):
            id_ = event.workspace.id
            self.by_workspace[id_] = self.by_workspace.get(id_, 0.0) + event.seconds
        elif isinstance(event, SegmentFinished):
            self.seconds += event.seconds

    @property
    def least_seconds(self) -> float:
        """What it takes at least: all work on so many lanes, or the largest tenant."""
        return max(sum(self.by_workspace.values()) / JOBS, max(self.by_workspace.values()))


def measure(stage: Stage, *, quick: bool) -> Section:
    """Run the demo's commands on its data, each time on a new copy."""
    runs = 1 if quick else RUNS
    found: dict[Order, list[_Work]] = {order: [] for order in (Order.LARGEST_FIRST, Order.ID)}
    for number in range(runs):
        for order, works in found.items():
            works.append(_run(stage, order, number))
    largest = found[Order.LARGEST_FIRST]
    ratio = statistics.median(work.seconds / work.least_seconds for work in largest)
    by_id = statistics.median(work.seconds / work.least_seconds for work in found[Order.ID])
    work = largest[0]
    told = (
        f"{ratio:.2f}x ({work.seconds:.2f} s to {work.least_seconds:.2f} s; the largest tenant alone"
        f" {max(work.by_workspace.values()):.2f} s; in order of id {by_id:.2f}x)"
    )
    return Section(
        [
            Row(
                f"The demo's {len(work.by_workspace)} tenants, `--jobs {JOBS} --order largest-first`: time beside what"
                " the work takes at least [^skew]",
                f"≤ {BAR}x",
                told,
                ratio <= BAR,
            )
        ],
        [
            f"[^skew]: Median of {runs} runs, each on a new copy of the demo's data, with planner statistics. Time of"
            f" the segments, beside the seconds of all tenants by {JOBS}, or those of the largest one, as the same run"
            " tells them.",
        ],
    )


def _run(stage: Stage, order: Order, number: int) -> _Work:
    with stage.project(f"skew{number}") as project:
        engine = create_engine(
            "postgresql+psycopg://", creator=lambda: psycopg.connect(project.database_url), poolclass=NullPool
        )
        with engine.begin() as connection:
            prepare(connection)
        with project.connect() as driver:
            driver.execute("vacuum (analyze)")
        shutil.copytree(_COMMANDS, project.commands, dirs_exist_ok=True)
        work = _Work()
        api = project.api(emit=work.note, app_version=VERSION)
        started = time.perf_counter()
        report = api.upgrade(UpgradeOptions(include_slow=True, jobs=Jobs(JOBS), order=order))
        if report.outcome is not Outcome.DONE:
            raise RuntimeError(
                f"the demo's upgrade ended after {time.perf_counter() - started:.1f} s: {report}"
            )
    return work
