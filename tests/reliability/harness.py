"""Starts runs of the command line through the launcher, and tells how each ended."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.reliability.boundaries import GONE, SENT, Boundary, Kill, read_boundaries

ROOT = Path(__file__).resolve().parents[2]
RUN_SECONDS = 60.0
_INHERITED = ("PATH", "TMPDIR", "LD_LIBRARY_PATH")


@dataclass(frozen=True)
class Running:
    """A run that was started."""

    pid: int
    folder: Path

    @property
    def stderr(self) -> str:
        """What it has written to stderr so far."""
        file = self.folder / "stderr"
        return file.read_text(encoding="utf-8") if file.exists() else ""

    @property
    def boundaries(self) -> list[Boundary]:
        """The boundaries it has come to so far."""
        return read_boundaries(self.folder / "boundaries")


@dataclass(frozen=True)
class Ended:
    """A run that has ended.

    Attributes:
        code: the exit code; the negative number of the signal that ended it; None if it had to be ended
            because it took too long.
    """

    code: int | None
    stdout: str
    stderr: str
    boundaries: list[Boundary] = field(repr=False)

    @property
    def kill(self) -> Boundary | None:
        """The boundary at which something was killed."""
        return next((boundary for boundary in self.boundaries if boundary.is_kill), None)

    def completions_after_kill(self) -> list[tuple[int, str]]:
        """Give the messages that would record a step as completed, sent after a session was terminated.

        Returns:
            The process on the server of the session that sent it, and the message.
        """
        return self.sent_after_kill("complete_step")

    def sent_after_kill(self, text: str) -> list[tuple[int, str]]:
        """Give the messages that hold a text, sent after a session was terminated, as those above."""
        gone = next((boundary for boundary in self.boundaries if boundary.point == GONE), self.kill)
        return [
            (boundary.pid, boundary.text)
            for boundary in self.boundaries
            if gone is not None
            and boundary.number > gone.number
            and boundary.point == SENT
            and text in boundary.text
        ]


class Launcher:
    """The launcher's process."""

    def __init__(self, folder: Path, commands: Path) -> None:
        """Start it.

        Args:
            folder: for what the runs write.
            commands: the commands that all runs use.
        """
        self._folder, self._commands = folder, commands
        self._numbers = itertools.count(1)
        self._turn = threading.Lock()
        given = {key: os.environ[key] for key in _INHERITED if key in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.reliability.launcher"],
            cwd=ROOT,
            env={**given, "HOME": str(folder), "LANG": "C.UTF-8"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, url: str, *arguments: str, kill: Kill | None = None, begin_at: float = 0.0) -> Running:
        """Start a run.

        Args:
            kill: where it is to be ended.
            begin_at: the moment, by the monotonic clock, at which `main` begins.
        """
        folder = self._folder / f"run{next(self._numbers)}"
        folder.mkdir()
        answer = self._ask(
            arguments=["--database-url", url, "--commands", str(self._commands), *arguments],
            folder=str(folder),
            directory=str(self._folder),
            url=url,
            kill=asdict(kill) if kill else None,
            begin_at=begin_at,
        )
        return Running(answer["pid"], folder)

    def wait(self, run: Running) -> Ended:
        """Wait for the end of a run."""
        code = self._ask(pid=run.pid, seconds=RUN_SECONDS)["code"]
        stdout = run.folder / "stdout"
        return Ended(
            code,
            stdout.read_text(encoding="utf-8") if stdout.exists() else "",
            run.stderr,
            run.boundaries,
        )

    def run(self, url: str, *arguments: str, kill: Kill | None = None) -> Ended:
        """Start a run and wait for its end."""
        return self.wait(self.start(url, *arguments, kill=kill))

    def close(self) -> None:
        """End the launcher."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)

    def _ask(self, **request: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._turn:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


@contextmanager
def running_launcher(folder: Path, commands: Path) -> Iterator[Launcher]:
    """Give a launcher and end it afterwards."""
    launcher = Launcher(folder, commands)
    try:
        yield launcher
    finally:
        launcher.close()


__all__: Sequence[str] = ["Ended", "Launcher", "Running", "running_launcher"]
