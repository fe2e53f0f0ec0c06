"""Workers of a project, each for the time of a block."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.support.project import Project
from tests.support.server import wait_until


@dataclass(frozen=True)
class StartedWorker:
    """A worker that is at work."""

    process: subprocess.Popen[str]

    def end(self, number: int = signal.SIGTERM) -> str:
        """End it in good order, and give what it has said."""
        self.process.send_signal(number)
        _, told = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, told
        return told

    def kill(self) -> None:
        """End it as a machine that breaks down does."""
        self.process.kill()
        self.process.wait(60)


@contextmanager
def working(project: Project, *arguments: str, **variables: str) -> Iterator[StartedWorker]:
    """Start `upgrader worker`, wait until it is entered in the table of workers, and see to its end."""
    process = project.start_cli("worker", *arguments, env=variables)
    try:
        wait_until(lambda: process.poll() is not None or _is_entered(project, process.pid))
        assert process.poll() is None, process.communicate()
        yield StartedWorker(process)
    finally:
        process.kill()
        process.communicate()


def _is_entered(project: Project, number: int) -> bool:
    there = project.query("select to_regclass('upgrader_worker.worker') is not null") == [(True,)]
    return there and project.query("select from upgrader_worker.worker where pid = %s", number) != []
