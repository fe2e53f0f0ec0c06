"""Durable handlers: what stands in their jobs, and the host that runs them in a worker."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from upgrader.errors import UpgraderError
from upgrader.worker.decorators import queue_job_handler, queue_worker
from upgrader.worker.enqueuing import EnqueuesJobs
from upgrader.worker.host import Job, QueueWorkerHost
from upgrader.worker.workspace_events.batch import WorkspaceEventBatch
from upgrader.worker.workspace_events.encoding import batch_from_json, batch_to_json
from upgrader.worker.workspace_events.subscriber import (
    Delivery,
    Subscription,
    SubscriptionError,
    subscriptions_of,
)

if TYPE_CHECKING:
    from upgrader.worker.workspace_events.webhooks.places import Places

EVENT_QUEUE = "workspace-events"
JOB_NAME = "workspace-event"


class UnknownHandlerError(UpgraderError):
    """A job is for a durable handler that this worker does not have."""


class DeliverLaterError(UpgraderError):
    """A durable handler cannot take a batch just now: it is enqueued again."""

    def __init__(self, seconds: float, *, is_a_try: bool = False) -> None:
        """Take when to try again, and whether this counts as a try."""
        super().__init__(f"it cannot be delivered before {seconds:g} s have passed")
        self.seconds = seconds
        self.is_a_try = is_a_try


def delivery_payload(
    handler: str, batch: WorkspaceEventBatch[Any], *, target: str | None = None
) -> dict[str, Any]:
    """Give what a job of a durable handler holds."""
    return {"handler": handler, "target": target, "batch": batch_to_json(batch)}


@queue_worker(EVENT_QUEUE)
class WorkspaceEventDelivery(QueueWorkerHost):
    """Runs durable handlers in a worker: each job is one batch for one handler."""

    def __init__(self, *subscribers: object, queue: EnqueuesJobs | None = None) -> None:
        """Take the durable subscriptions of whatever handles events; the others are left out.

        Args:
            subscribers: functions, classes, objects, emitters, or `Subscription`s.
            queue: where batches go that cannot be delivered just now, or go to several places.

        Raises:
            SubscriptionError: a handler cannot be used, or two have the same name.
        """
        found = [
            one
            for subscriber in subscribers
            for one in (
                (subscriber,) if isinstance(subscriber, Subscription) else subscriptions_of(subscriber)
            )
            if one.delivery is Delivery.DURABLE
        ]
        refuse_double_names(found)
        self._handlers = {one.name: one for one in found}
        self._queue = queue

    @property
    def handler_names(self) -> tuple[str, ...]:
        """The durable handlers that there are."""
        return tuple(sorted(self._handlers))

    def share(self, places: Places) -> None:
        """Let handlers that count what they send do so together with those of all other workers."""
        for one in self._handlers.values():
            if one.share is not None:
                one.share(places)

    @queue_job_handler(JOB_NAME)
    def deliver(self, job: Job[dict[str, Any]]) -> None:
        """Run the handler that a job is for; what it raises lets the job be tried again.

        Raises:
            UnknownHandlerError: there is none of that name.
        """
        handler = self._handlers.get(job.data["handler"])
        if handler is None:
            known = ", ".join(self.handler_names) or "none"
            raise UnknownHandlerError(
                f"no durable handler of events is called {job.data['handler']!r}; this worker's are: {known}",
                hint="add its module to [worker] modules, or give the handler its old name: @on_event(…, name=…)",
            )
        batch, target = batch_from_json(job.data["batch"]), job.data.get("target")
        if handler.targets is None or target is not None:
            self._deliver_to(handler, batch, target, job)
            return
        targets = tuple(handler.targets(batch))
        if self._queue is None or len(targets) == 1:
            for one in targets:
                self._deliver_to(handler, batch, one, job)
            return
        for one in targets:  # each has a job of its own: one that fails is tried again without the others
            self._enqueue(handler, batch, one)

    def _deliver_to(
        self,
        handler: Subscription,
        batch: WorkspaceEventBatch[Any],
        target: str | None,
        job: Job[dict[str, Any]],
    ) -> None:
        try:
            _call(handler, batch, target)
        except DeliverLaterError as later:
            left = job.attempts - job.attempt + (0 if later.is_a_try else 1)
            if self._queue is None or left < 1:
                raise
            options = replace(handler.options, delay=later.seconds, scheduled_at=None, attempts=left)
            payload = delivery_payload(handler.name, batch, target=target)
            self._queue.add_options(job.queue, JOB_NAME, payload, options)

    def _enqueue(self, handler: Subscription, batch: WorkspaceEventBatch[Any], target: str) -> None:
        assert self._queue is not None
        # Not twice where the job that does this is repeated; other handlers may have places of the same names.
        job_id = f"{handler.name} {batch.id} {target}"
        # The job that does this has waited for as long as the handler's are to wait.
        options = replace(handler.options, id=job_id, delay=0.0, scheduled_at=None)
        payload = delivery_payload(handler.name, batch, target=target)
        self._queue.add_options(EVENT_QUEUE, JOB_NAME, payload, options)


def refuse_double_names(subscriptions: Iterable[Subscription]) -> None:
    """Make sure that each durable handler has a name of its own: its jobs are found by it.

    Raises:
        SubscriptionError: two have the same.
    """
    named: dict[str, Subscription] = {}
    for one in subscriptions:
        if one.delivery is Delivery.DURABLE and named.setdefault(one.name, one).handler != one.handler:
            raise SubscriptionError(
                f"two durable handlers of events are called {one.name}",
                hint="give one of them another name: @on_event(…, durable=True, name=…)",
            )


def _call(handler: Subscription, batch: WorkspaceEventBatch[Any], target: str | None) -> None:
    given = (batch,) if target is None else (batch, target)
    result = handler.handler(*given)
    if inspect.iscoroutine(result):
        asyncio.run(result)  # jobs run in threads of their own
