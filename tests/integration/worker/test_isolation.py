"""Jobs of a queue are kept apart for Sentry: what one of them sets is not there in the next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sentry_sdk

from tests.support.queue_hosts import consuming
from tests.support.server import wait_until
from tests.support.worker_queue import QueueGround
from upgrader.worker import Job, QueueWorkerHost, queue_job_handler, queue_worker


@pytest.fixture
def events() -> Iterator[list[dict[str, Any]]]:
    """What Sentry is sent within a test."""
    found: list[dict[str, Any]] = []

    class Transport(sentry_sdk.Transport):
        def capture_envelope(self, envelope: sentry_sdk.envelope.Envelope) -> None:
            event = envelope.get_event()
            if event is not None:
                found.append(dict(event))

    sentry_sdk.init(dsn="https://key@sentry.invalid/1", transport=Transport())
    yield found
    sentry_sdk.get_client().close()
    sentry_sdk.init()


@queue_worker("mails")
class Tagging(QueueWorkerHost):
    """Sets a tag, or fails; as a function and as a coroutine."""

    @queue_job_handler("function.tag")
    def tag(self, job: Job[Any]) -> None:
        sentry_sdk.set_tag("tenant", "one")

    @queue_job_handler("function.fail")
    def fail(self, job: Job[Any]) -> None:
        raise ValueError("a mailbox is full")

    @queue_job_handler("coroutine.tag")
    async def tag_soon(self, job: Job[Any]) -> None:
        self.tag(job)

    @queue_job_handler("coroutine.fail")
    async def fail_soon(self, job: Job[Any]) -> None:
        self.fail(job)


@pytest.mark.parametrize("kind", ["function", "coroutine"])
def test_each_job_of_a_queue_has_a_scope_of_sentrys_own(
    ground: QueueGround, events: list[dict[str, Any]], kind: str
) -> None:
    """A job's error names that job, and holds nothing of the one before it, in a thread or on the loop."""
    ground.queue.add("mails", f"{kind}.tag")
    number = ground.queue.add("mails", f"{kind}.fail")
    with consuming(ground.url, Tagging(), concurrency=1):
        wait_until(lambda: [status for _, status in ground.jobs()] == ["succeeded", "failed"])
    (event,) = events
    assert event["transaction"] == f"job {kind}.fail"
    assert event["contexts"]["job"]["job_id"] == number
    assert "tenant" not in (event.get("tags") or {})
