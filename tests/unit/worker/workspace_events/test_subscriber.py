"""What `@on_event` attaches, and what is found of it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func

from upgrader.worker import QueueJobOptions, on_event
from upgrader.worker.workspace_events.subscriber import (
    DURABLE_OPTIONS,
    Delivery,
    Subscription,
    SubscriptionError,
    is_subscriber,
    subscription,
    subscriptions_of,
)


@on_event("person.created")
@on_event("*.deleted")
def notify(batch: Any) -> None:
    """Take a batch."""


@on_event("person.*", durable=True)
async def send(batch: Any) -> None:
    """Take a batch, later."""


class Handlers:
    @on_event("person.created")
    def first(self, batch: Any) -> None: ...

    @on_event("person.created", durable=True, name="second")
    @on_event("company.created", durable=True, name="second", options=QueueJobOptions(attempts=3))
    def later(self, batch: Any) -> None: ...

    def other(self) -> None: ...


class MoreHandlers(Handlers):
    def first(self, batch: Any) -> None: ...


class NeedsArguments:
    def __init__(self, needed: int) -> None: ...

    @on_event("a.b")
    def handle(self, batch: Any) -> None: ...


class Brings:
    def event_subscriptions(self) -> tuple[Subscription, ...]:
        return (subscription(notify, "a.b"),)


def test_a_function_with_several_patterns_is_one_subscription() -> None:
    """It is called once for a batch, in whatever way that matches."""
    (found,) = subscriptions_of(notify)
    assert found == Subscription("notify", ("person.created", "*.deleted"), notify)


def test_a_durable_coroutine() -> None:
    """A durable handler may be a coroutine; it is tried ten times unless it says otherwise."""
    (found,) = subscriptions_of(send)
    assert (found.name, found.delivery, found.options) == ("send", Delivery.DURABLE, DURABLE_OPTIONS)


def test_a_class_is_made_and_its_methods_are_bound() -> None:
    """Each method is a subscription, named `Class.method` where it has no name of its own."""
    found = {(one.name, one.patterns): one for one in subscriptions_of(Handlers)}
    assert set(found) == {
        ("Handlers.first", ("person.created",)),
        ("second", ("person.created",)),
        ("second", ("company.created",)),
    }
    assert isinstance(found["Handlers.first", ("person.created",)].handler.__self__, Handlers)
    assert found["second", ("company.created",)].options.attempts == 3


def test_an_overridden_method_is_what_it_says_now() -> None:
    """A subclass that overrides a handler without the decorator takes it back."""
    assert {one.name for one in subscriptions_of(MoreHandlers)} == {"second"}


def test_an_object_keeps_what_it_was_made_with() -> None:
    """An object is subscribed as it is."""
    handlers = NeedsArguments(1)
    (found,) = subscriptions_of(handlers)
    assert found.handler.__self__ is handlers


def test_a_class_that_needs_arguments_is_refused() -> None:
    """The error says what to do."""
    with pytest.raises(SubscriptionError, match="NeedsArguments handles events but cannot be made") as caught:
        subscriptions_of(NeedsArguments)
    assert "NeedsArguments() work without arguments" in str(caught.value.hint)


def test_what_is_found_in_modules() -> None:
    """Functions, classes and objects are told apart from what merely stands in a module."""
    found = [notify, Handlers, NeedsArguments, Handlers(), Brings()]
    others: list[object] = [func, 1, None, "text", object(), Subscription, Delivery, print, pytest]
    assert all(is_subscriber(one) for one in found)
    assert not any(is_subscriber(one) for one in others)
    assert not any(subscriptions_of(one) for one in others)
    assert len(subscriptions_of(Brings())) == 1


def test_a_coroutine_that_is_not_durable_is_refused() -> None:
    """It would have to run where the events are emitted, and there may be no loop."""

    async def handle(batch: Any) -> None: ...

    with pytest.raises(SubscriptionError, match="only durable ones may be"):
        subscriptions_of(on_event("a.b")(handle))


def test_jobs_that_would_share_an_id_are_refused() -> None:
    """While one batch waits, all others would be taken for the same job, and be lost."""
    options = QueueJobOptions(attempts=3, id="only-one")
    with pytest.raises(SubscriptionError, match="all but one be left out"):
        subscriptions_of(on_event("a.b", durable=True, options=options)(lambda batch: None))


@pytest.mark.parametrize(
    "options",
    [
        {"pattern": "a..b"},
        {"pattern": "a.b", "durable": True, "in_transaction": True},
        {"pattern": "a.b", "options": QueueJobOptions()},
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    """The decorator refuses patterns that are none, and options that contradict each other, with a hint."""
    with pytest.raises(SubscriptionError) as caught:
        on_event(**options)
    assert caught.value.hint
