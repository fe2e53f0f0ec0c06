"""The subscriptions of the modules that a worker, or an upgrade, has loaded."""

from __future__ import annotations

from upgrader.worker.discovery import Discovered
from upgrader.worker.enqueuing import EnqueuesJobs
from upgrader.worker.workspace_events.delivery import WorkspaceEventDelivery
from upgrader.worker.workspace_events.subscriber import (
    EVENT_SUBSCRIPTIONS,
    Delivery,
    Subscription,
    SubscriptionError,
    declarations_of,
    declared_subscriptions,
    subscriptions_of,
)


def discovered_subscriptions(discovered: Discovered) -> tuple[Subscription, ...]:
    """Give the subscriptions of what was found: functions, methods of classes, objects that bring some.

    Raises:
        SubscriptionError: a class cannot be made, or a handler cannot be called as it is declared.
    """
    found: list[Subscription] = []
    for member in discovered.members_with(EVENT_SUBSCRIPTIONS):
        try:
            handler = discovered.providers.bound(member)
        except Exception as error:
            raise SubscriptionError(
                f"{member.provider} handles events but cannot be made: {type(error).__name__}: {error}"
                f" ({member.place})",
                hint=f"let {member.provider}() work without arguments",
            ) from error
        name = f"{member.provider}.{member.attribute}" if member.owner else member.attribute
        found += declared_subscriptions(handler, name, declarations_of(member.function))
    for bringer in discovered.bringers:
        found += (one for one in subscriptions_of(bringer) if one not in found)
    return tuple(found)


def delivery_of(discovered: Discovered, *, queue: EnqueuesJobs | None) -> WorkspaceEventDelivery | None:
    """Give the host that runs durable handlers in a worker; None where there are none.

    Raises:
        SubscriptionError: a handler cannot be used, or two durable ones have the same name.
    """
    durable = [one for one in discovered_subscriptions(discovered) if one.delivery is Delivery.DURABLE]
    return WorkspaceEventDelivery(*durable, queue=queue) if durable else None
