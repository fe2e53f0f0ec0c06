from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from upgrader.registry import load

PROGRAM = """
import sys
from pathlib import Path
from upgrader.errors import OperatorError
from upgrader.generate import scaffold_command
from upgrader.version import ReleaseVersion

directory, process, shared = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "shared"
sys.stdin.readline()
for number in range(20):
    name = f"step-{number}" if shared else f"step-{process}-{number}"
    type = ("fast", "slow", "workspace")[number % 3]
    try:
        path = scaffold_command(
            name=name,
            type=type,
            version=ReleaseVersion.parse("1.22.0"),
            directory=directory,
            now_ms=lambda: 1000,
        )
    except OperatorError:
        continue
    print(path)
"""


def run_at_once(directory: Path, mode: str) -> list[Path]:
    """Start eight processes, let them go together, and collect the paths that they print."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(directory), str(number), mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for number in range(8)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    printed = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 8
    return [Path(line) for text in printed for line in text.splitlines()]


def test_eight_processes_of_one_moment(tmp_path: Path):
    """160 commands of one millisecond from eight processes: all timestamps differ, and all load."""
    paths = run_at_once(tmp_path, "own")
    timestamps = {int(path.stem.split("_")[0]) for path in paths}
    assert len(paths) == len(timestamps) == 160
    assert {path.name for path in tmp_path.rglob("*")} == {"v1_22_0"} | {path.name for path in paths}
    assert len(load([tmp_path], base=tmp_path).sequence) == 160


def test_eight_processes_that_want_the_same_names(tmp_path: Path):
    """Each name is given once; the other processes are refused."""
    paths = run_at_once(tmp_path, "shared")
    assert len(paths) == 20
    assert len(load([tmp_path], base=tmp_path).sequence) == 20
