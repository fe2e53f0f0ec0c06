"""The durable subscriber that sends webhooks: one job for each batch and endpoint, tried until it is taken."""

from __future__ import annotations

import json
import logging
import string
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

from upgrader.worker.options import QueueJobOptions
from upgrader.worker.workspace_events.batch import WorkspaceEventBatch
from upgrader.worker.workspace_events.delivery import DeliverLaterError
from upgrader.worker.workspace_events.encoding import batch_to_plain
from upgrader.worker.workspace_events.subscriber import (
    DURABLE_OPTIONS,
    Delivery,
    Subscription,
    SubscriptionError,
    subscription,
)
from upgrader.worker.workspace_events.webhooks.client import WebhookClient, WebhookError
from upgrader.worker.workspace_events.webhooks.endpoint import WebhookEndpoint
from upgrader.worker.workspace_events.webhooks.limits import EndpointLimits, Limit
from upgrader.worker.workspace_events.webhooks.signature import SIGNATURE_HEADER, sign

Endpoints = Iterable[WebhookEndpoint] | Callable[[WorkspaceEventBatch[Any]], Iterable[WebhookEndpoint]]
_LONGEST_REST_SECONDS = 3_600.0
_LEASE_MARGIN_SECONDS = 10.0
_AS_THEY_ARE = string.punctuation.replace("%", "")
"""In a name of an event, beside ASCII letters and digits: headers have no others."""
"""A request that has not ended so long after its time is one of a worker that died."""
_log = logging.getLogger("upgrader.events")


class Webhooks:
    """Sends batches as signed JSON. Subscribe it to an emitter, and let a worker's modules hold it, too.

    A job holds the batch and the endpoint's name, never its URL or secret: those are asked for when it is sent.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        *,
        patterns: Iterable[str] = ("**",),
        name: str = "webhooks",
        options: QueueJobOptions = DURABLE_OPTIONS,
        client: WebhookClient | None = None,
        limits: EndpointLimits | None = None,
    ) -> None:
        """Send nothing yet.

        Args:
            endpoints: all of them, or a function that gives those of a batch's workspace; a worker calls it.
            patterns: events that any endpoint may want; what each of them wants it says itself.
            name: tells several of these apart.
            options: how each request is tried.
            client, limits: others than the usual ones.

        Raises:
            SubscriptionError: two endpoints have the same name.
        """
        if callable(endpoints):
            self._endpoints = endpoints
        else:
            fixed = tuple(endpoints)
            _refuse_double_names(fixed)
            self._endpoints = lambda _: fixed
        self._patterns = tuple(patterns)
        self._name = name
        self._options = options
        self._client = client or WebhookClient()
        self._limits = limits or EndpointLimits()

    def event_subscriptions(self) -> tuple[Subscription, ...]:
        """Give the one durable subscription."""
        return (
            subscription(
                self.send,
                *self._patterns,
                delivery=Delivery.DURABLE,
                name=self._name,
                options=self._options,
                targets=self.targets,
                share=self._limits.share,
            ),
        )

    def targets(self, batch: WorkspaceEventBatch[Any]) -> tuple[str, ...]:
        """Give the names of the endpoints that want a batch.

        Raises:
            SubscriptionError: two endpoints have the same name.
        """
        found = tuple(self._endpoints(batch))
        _refuse_double_names(found)
        return tuple(one.name for one in found if one.wants(batch.name))

    def send(self, batch: WorkspaceEventBatch[Any], target: str) -> None:
        """Send a batch to an endpoint; one that is gone in the meantime is left out.

        Raises:
            DeliverLaterError: the endpoint's limits are reached, or it asks for a rest.
            ForbiddenAddressError: it may not be called.
            WebhookError: it did not take it.
        """
        endpoint = next((one for one in self._endpoints(batch) if one.name == target), None)
        if endpoint is None:
            _log.warning("batch %s is not sent: no webhook is called %s any more", batch.id, target)
            return
        with self._limits.place(
            # Not by the workspace: all of them may have the same endpoint, or each one of its own under this name.
            f"{endpoint.name} {endpoint.url}",
            Limit(
                endpoint.max_concurrency,
                endpoint.max_per_second,
                longest_seconds=endpoint.timeout_seconds + _LEASE_MARGIN_SECONDS,
            ),
        ):
            self._send(endpoint, batch)

    def _send(self, endpoint: WebhookEndpoint, batch: WorkspaceEventBatch[Any]) -> None:
        body = json.dumps(batch_to_plain(batch), ensure_ascii=False, separators=(",", ":")).encode()
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": f"upgrader/{version('upgrader')}",
            "Upgrader-Event": quote(batch.name, safe=_AS_THEY_ARE),
            "Upgrader-Delivery": batch.id,
            SIGNATURE_HEADER: sign(endpoint.secret, body, timestamp=int(time.time())),
        }
        try:
            self._client.post(
                endpoint.url,
                body,
                headers,
                timeout_seconds=endpoint.timeout_seconds,
                private_headers=endpoint.headers,
                max_redirects=endpoint.max_redirects,
                allowed=endpoint.networks,
                allow_http=endpoint.allow_http,
            )
        except WebhookError as error:
            if error.retry_after_seconds:
                rest = min(error.retry_after_seconds, _LONGEST_REST_SECONDS)
                raise DeliverLaterError(rest, is_a_try=True) from error
            raise WebhookError(f"webhook {endpoint.name}: {error.message}") from error


def _refuse_double_names(endpoints: tuple[WebhookEndpoint, ...]) -> None:
    names = [one.name for one in endpoints]
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None:
        raise SubscriptionError(f"two webhooks are called {double}", hint="give each a name of its own")
