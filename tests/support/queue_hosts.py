"""Hosts for tests of the queue, and a consumer of a test's own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.server import wait_until
from upgrader.settings import Settings
from upgrader.worker import Job, QueueWorkerHost, queue_job_handler, queue_worker
from upgrader.worker.queue.consumer import QueueConsumer

TIGHT = {"heartbeat_seconds": 1.0, "stalled_seconds": 3.0, "rescue_seconds": 1.0, "poll_seconds": 1.0}


def queue_settings(url: str, **worker: Any) -> Settings:
    """Give settings of a worker."""
    return Settings.model_validate({"database_url": url, "worker": {**TIGHT, **worker}})


@contextmanager
def consuming(url: str, *hosts: QueueWorkerHost, ended: Any = None, **worker: Any) -> Iterator[QueueConsumer]:
    """Let a consumer work for the time of a block."""
    consumer = QueueConsumer(queue_settings(url, **worker), hosts, ended=ended)
    consumer.start()
    try:
        assert consumer.wait_until_registered()
        yield consumer
    finally:
        consumer.stop(1.0)


@queue_worker("mails")
class Mails(QueueWorkerHost):
    """Writes down what it is given; `hold` waits until the test lets it go."""

    def __init__(self) -> None:
        self.seen: list[Job[Any]] = []
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self.fail_times = 0

    @queue_job_handler("send")
    def send(self, job: Job[Any]) -> None:
        """Write it down."""
        self.seen.append(job)

    @queue_job_handler("send.soon")
    async def send_soon(self, job: Job[Any]) -> None:
        """Write it down, as a coroutine."""
        self.seen.append(job)

    @queue_job_handler("hold")
    def hold(self, job: Job[Any]) -> None:
        """Wait for the test."""
        self.begun.set()
        self.go_on.wait(60)
        self.seen.append(job)

    @queue_job_handler("fail")
    def fail(self, job: Job[Any]) -> None:
        """Fail so often, then succeed."""
        self.seen.append(job)
        if len(self.seen) <= self.fail_times:
            raise RuntimeError(f"no try {len(self.seen)}")

    def wait_for(self, count: int) -> None:
        """Wait until so many jobs were seen."""
        wait_until(lambda: len(self.seen) >= count)
