"""How much memory the program's process holds, from the first tenth of its work to its end."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests.bench.findings import Row, Section
from tests.bench.stage import Stage, make_workspaces, start_program
from tests.support.project import Project

WORKSPACES = 100_000
LONGEST_SECONDS = 400
GROWTH_BAR = 20 * 10**6
PEAK_BAR = 200 * 10**6
_POLL_SECONDS = 0.1
_ENDING_SECONDS = 60


@dataclass
class Residence:
    """What a process held while it worked: bytes of its resident set, with how far it was at that moment.

    Attributes:
        samples: share of the work that was done (0 to 1), and bytes.
        peak: as the kernel keeps it.
    """

    samples: list[tuple[float, int]] = field(default_factory=list)
    peak: int = 0

    def look(self, pid: int, share: float) -> None:
        """Take a sample; none where the process has just ended."""
        now, peak = _bytes(pid, "VmRSS"), _bytes(pid, "VmHWM")
        self.peak = max(self.peak, peak)
        if now:
            self.samples.append((share, now))

    @property
    def at_first_tenth(self) -> int:
        """What it held when a tenth was done."""
        return next((held for share, held in self.samples if share >= 0.1), 0)

    @property
    def growth(self) -> int:
        """By how much more it held at most after that."""
        after = [held for share, held in self.samples if share >= 0.1]
        return max(after, default=0) - self.at_first_tenth

    def row(self, what: str) -> Row:
        """Hold it against the bar."""
        told = (
            f"{self.growth / 10**6:.1f} MB more than the {self.at_first_tenth / 10**6:.0f} MB then"
            f" (peak of all {self.peak / 10**6:.0f} MB)"
        )
        bar = f"≤ {GROWTH_BAR // 10**6} MB"
        return Row(what, bar, told, bool(self.at_first_tenth) and self.growth <= GROWTH_BAR)


def measure(stage: Stage, *, quick: bool) -> Section:
    """Run one trivial step in every workspace; stop after a while, where the machine is slow."""
    workspaces = 2000 if quick else WORKSPACES
    with stage.project("memory") as project:
        make_workspaces(project, workspaces, with_schemas=False)
        project.workspace("1.0.0", 1, "Trivial", "select 1")
        with project.connect() as connection:
            # The disk has no part in this: without it the run comes to its end, where it looks at everything again.
            connection.execute(
                f"alter database {connection.info.dbname} set synchronous_commit = off".encode()
            )
        residence, completed = _watch(project, workspaces)
    extent = "all of them" if completed == workspaces else f"{completed:,} of them, stopped by SIGTERM"
    what = f"{workspaces:,} workspaces pending"
    return Section(
        [
            residence.row(f"{what}: memory of the process after the first tenth [^memory]"),
            Row(
                f"{what}: peak memory of the process [^memory]",
                f"< {PEAK_BAR // 10**6} MB",
                f"{residence.peak / 10**6:.0f} MB",
                residence.peak < PEAK_BAR,
            ),
        ],
        [
            "[^memory]: A step that selects a constant, in workspaces without a schema of their own, one at a time;"
            f" resident set of the process (`VmRSS`, `VmHWM`), sampled every {_POLL_SECONDS:g} s over {extent}, with"
            " the survey at the end; a tenth of the steps, which begin after everything is enrolled.",
        ],
    )


def watch(
    process: subprocess.Popen[bytes], share: Callable[[], float], *, longest_seconds: float = LONGEST_SECONDS
) -> Residence:
    """Sample a process until it ends; after some time it is asked to stop.

    Args:
        share: tells how much of the work is done, 0 to 1.
    """
    residence, started, is_asked = Residence(), time.monotonic(), False
    while process.poll() is None:
        residence.look(process.pid, share())
        seconds = time.monotonic() - started
        if seconds > longest_seconds and not is_asked:
            process.send_signal(signal.SIGTERM)
            is_asked = True
        if seconds > longest_seconds + _ENDING_SECONDS:
            process.kill()
        time.sleep(_POLL_SECONDS)
    return residence


def _watch(project: Project, workspaces: int) -> tuple[Residence, int]:
    output = project.directory / "report.json"
    process = start_program(project, "upgrade", output=output)
    with project.connect() as connection:
        marks = workspaces + 1  # of the enrolment, which comes first: no part of the steps' tenth
        residence = watch(process, lambda: (_rows(connection) - marks) / workspaces)
    return residence, int(json.loads(output.read_text())["completed"])


def _rows(connection: psycopg.Connection) -> int:
    """Give about how many rows the history has, without reading them; 0 while there is no history."""
    row = connection.execute(
        "select coalesce(pg_sequence_last_value(to_regclass('upgrader.history_id_seq')), 0)"
    ).fetchone()
    assert row is not None
    return int(row[0])


def _bytes(pid: int, name: str) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found.group(1)) * 1024 if found else 0
