"""A worker of the queue `mails` as a process of its own, for tests that kill it.

`python -m tests.support.queue_process URL FOLDER`: `hold` makes the file `held` in the folder and goes on once there
is a file `go`; every job that comes to its end is a line of the file `done`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.queue_hosts import queue_settings
from tests.support.server import wait_until
from upgrader.worker import Job, QueueWorkerHost, queue_job_handler, queue_worker
from upgrader.worker.queue.consumer import QueueConsumer

_ROOT = Path(__file__).resolve().parents[2]


@queue_worker("mails")
class HoldingMails(QueueWorkerHost):
    """Holds jobs until the test lets them go."""

    folder = Path()

    @queue_job_handler("hold")
    def hold(self, job: Job[Any]) -> None:
        """Wait for the file."""
        (self.folder / "held").write_text(str(job.id))
        while not (self.folder / "go").exists():
            time.sleep(0.02)
        self.note(job)

    @queue_job_handler("send")
    def note(self, job: Job[Any]) -> None:
        """Write down that it was done."""
        with (self.folder / "done").open("a") as file:
            file.write(f"{job.id} {os.getpid()}\n")


@contextmanager
def worker_process(url: str, folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Run a worker for the time of a block; the process is gone afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.queue_process", url, str(folder), *options],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for_held(folder: Path, number: int | None) -> None:
    """Wait until a worker has begun with the job."""
    held = folder / "held"
    wait_until(lambda: held.exists() and held.read_text() == str(number))


def main(url: str, folder: str, shutdown_timeout_seconds: str = "30") -> None:
    """Work until a signal comes."""
    HoldingMails.folder = Path(folder)
    settings = queue_settings(url, shutdown_timeout_seconds=float(shutdown_timeout_seconds))
    consumer = QueueConsumer(settings, [HoldingMails()])
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    consumer.start()
    assert consumer.wait_until_registered()
    print("ready", flush=True)
    told.wait()
    consumer.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
