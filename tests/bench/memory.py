"""The most memory that the program's process holds in a run over very many workspaces."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.bench.stage import Stage, make_workspaces
from tests.support.project import PROGRAM, Project

WORKSPACES = 100_000
LONGEST_SECONDS = 300
_POLL_SECONDS = 0.05
_ENDING_SECONDS = 60


@dataclass(frozen=True)
class Memory:
    """What was measured.

    Attributes:
        peak_bytes: the peak of the resident set.
        completed: in so many workspaces the step was completed; fewer than `workspaces` if it was stopped.
    """

    peak_bytes: int
    workspaces: int
    completed: int
    seconds: float


def measure(stage: Stage, *, quick: bool) -> Memory:
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
        return _watch(project, workspaces)


def _watch(project: Project, workspaces: int) -> Memory:
    output = project.directory / "report.json"
    started, peak = time.monotonic(), 0
    with output.open("w") as stdout:
        process = subprocess.Popen(
            [str(PROGRAM), "upgrade", "--json"],
            cwd=project.directory,
            env=project.environment(),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.DEVNULL,
        )
        is_asked = False
        while process.poll() is None:
            peak = max(peak, _peak_bytes(process.pid))
            seconds = time.monotonic() - started
            if seconds > LONGEST_SECONDS and not is_asked:
                process.send_signal(signal.SIGINT)
                is_asked = True
            if seconds > LONGEST_SECONDS + _ENDING_SECONDS:
                process.kill()
            time.sleep(_POLL_SECONDS)
    seconds = time.monotonic() - started
    completed = int(json.loads(output.read_text())["completed"])
    return Memory(peak, workspaces, completed, seconds)


def _peak_bytes(pid: int) -> int:
    """Read the peak as the kernel keeps it; 0 where the process has just ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found.group(1)) * 1024 if found else 0
