"""`@on_event`, and what is found of it on functions, classes and objects.

The decorator attaches a tuple of `EventDeclaration` as the attribute `EVENT_SUBSCRIPTIONS`; there is no global
list. Whoever loads modules asks `is_subscriber` about each thing that it finds in one, then `subscriptions_of`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from types import FunctionType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from upgrader.errors import OperatorError
from upgrader.worker.options import Backoff, QueueJobOptions
from upgrader.worker.workspace_events.pattern import is_pattern

if TYPE_CHECKING:
    from upgrader.worker.workspace_events.webhooks.places import Places

_Function = TypeVar("_Function", bound=Callable[..., Any])

EVENT_SUBSCRIPTIONS = "__upgrader_event_subscriptions__"

DURABLE_OPTIONS = QueueJobOptions(attempts=10, backoff=Backoff.exponential(1.0, max_seconds=3_600.0))
"""How a durable handler is tried where it says nothing of its own: ten times within about 17 minutes."""


class SubscriptionError(OperatorError):
    """A handler of events cannot be used as it is declared."""


class Delivery(StrEnum):
    """When a handler is given a batch.

    `after-commit`: in the process that emits it, once what it tells of is committed. `durable`: by a job that is
    enqueued in the transaction of what it tells of. `in-transaction`: in that transaction, with its connection;
    a handler that fails lets the transaction fail.
    """

    AFTER_COMMIT = "after-commit"
    DURABLE = "durable"
    IN_TRANSACTION = "in-transaction"


@dataclass(frozen=True, slots=True)
class EventDeclaration:
    """What `@on_event` was told."""

    pattern: str
    delivery: Delivery
    name: str | None
    options: QueueJobOptions | None


@dataclass(frozen=True, slots=True)
class Subscription:
    """A handler and what it asks for.

    Attributes:
        name: what the handler is called in jobs, logs and counts; a durable one's is unique and stays the same.
        patterns: of the events that it wants; it is given a batch once, however many of them match.
        handler: called with the batch; one in the transaction with its connection, too.
        delivery: when.
        options: how its jobs are tried, where it is durable.
        targets: for a durable handler that sends to several places: gives their names; `handler` is then called
            with the name of one of them, too, and each is tried for itself.
        share: for a handler that counts what it sends: told where all workers count together.
    """

    name: str
    patterns: tuple[str, ...]
    handler: Callable[..., Any]
    delivery: Delivery = Delivery.AFTER_COMMIT
    options: QueueJobOptions = DURABLE_OPTIONS
    targets: Callable[..., Any] | None = None
    share: Callable[[Places], None] | None = None


class HasSubscriptions(Protocol):
    """An object that brings subscriptions along: an emitter, webhooks, an audit table."""

    def event_subscriptions(self) -> tuple[Subscription, ...]:
        """Give them."""


def on_event(
    pattern: str,
    *,
    durable: bool = False,
    in_transaction: bool = False,
    name: str | None = None,
    options: QueueJobOptions | None = None,
) -> Callable[[_Function], _Function]:
    """Let a function or method handle events: it is called with each batch whose name matches.

    Args:
        pattern: `person.created`, or with wildcards: `*.created`, `person.*`; `**` is any number of parts.
        durable: the batch is handed over as a job in a queue that is enqueued in the same transaction as what it
            tells of; a worker runs the handler, at least once.
        in_transaction: the handler is called as `handler(batch, connection)` before that transaction commits;
            where it fails, the transaction does.
        name: by default the function's, or `Class.method`. Jobs that wait are found again by it.
        options: how jobs of a durable handler are tried; by default `DURABLE_OPTIONS`.

    Raises:
        SubscriptionError: the pattern or the combination makes no sense.
    """
    if not is_pattern(pattern):
        raise SubscriptionError(
            f"{pattern!r} is no pattern of events",
            hint='write names with dots between the parts: "person.created", "*.created", "person.*"',
        )
    if durable and in_transaction:
        raise SubscriptionError(
            f"the handler of {pattern!r} cannot be durable and in the transaction",
            hint="a durable one runs later, in a worker: choose one of the two",
        )
    if options is not None and not durable:
        raise SubscriptionError(
            f"the handler of {pattern!r} has options of a job, but runs as none", hint="add durable=True"
        )
    delivery = _delivery(durable=durable, in_transaction=in_transaction)
    declaration = EventDeclaration(pattern, delivery, name, options)

    def attach(function: _Function) -> _Function:
        setattr(function, EVENT_SUBSCRIPTIONS, (*declarations_of(function), declaration))
        return function

    return attach


def declarations_of(found: object) -> tuple[EventDeclaration, ...]:
    """Give what `@on_event` attached to a function; empty where it did not."""
    try:
        declared: tuple[EventDeclaration, ...] = vars(found).get(EVENT_SUBSCRIPTIONS, ())
    except TypeError:  # it has no __dict__
        return ()
    return declared


def is_subscriber(found: object) -> bool:
    """Tell whether something that was found in a module handles events.

    That is: a function with `@on_event`, a class or an object with it on methods, or an object whose class has a
    method `event_subscriptions`.
    """
    if inspect.isclass(found):
        return any(True for _ in _methods(found))
    return (
        bool(declarations_of(found))
        or brings_subscriptions(found)
        or any(True for _ in _methods(type(found)))
    )


def brings_subscriptions(found: object) -> bool:
    """Tell whether something is an object with `event_subscriptions`: an emitter, webhooks, an audit table."""
    # Asked of the type: SQLAlchemy's `func`, for one, has an attribute of every name.
    return isinstance(getattr(type(found), "event_subscriptions", None), FunctionType)


def subscriptions_of(found: object) -> tuple[Subscription, ...]:
    """Give the subscriptions that something brings along; empty where it handles no events.

    A class is made, without arguments.

    Raises:
        SubscriptionError: it cannot be made, or a handler cannot be called as it is declared.
    """
    if inspect.isclass(found):
        return subscriptions_of(_made(found)) if is_subscriber(found) else ()
    if brings_subscriptions(found):
        brought: HasSubscriptions = found  # type: ignore[assignment] # that is what was asked for
        return brought.event_subscriptions()
    if declarations_of(found):
        assert callable(found)
        return declared_subscriptions(
            found, getattr(found, "__qualname__", repr(found)), declarations_of(found)
        )
    return tuple(
        subscription
        for attribute, declarations in _methods(type(found))
        for subscription in declared_subscriptions(
            getattr(found, attribute), f"{type(found).__name__}.{attribute}", declarations
        )
    )


def subscription(
    handler: Callable[..., Any],
    *patterns: str,
    delivery: Delivery = Delivery.AFTER_COMMIT,
    name: str | None = None,
    options: QueueJobOptions | None = None,
    targets: Callable[..., Any] | None = None,
    share: Callable[[Places], None] | None = None,
) -> Subscription:
    """Make a subscription by hand.

    Raises:
        SubscriptionError: a pattern is none, or the handler cannot be called in this way.
    """
    called = name or _last_part(getattr(handler, "__qualname__", type(handler).__name__))
    for pattern in patterns:
        if not is_pattern(pattern):
            raise SubscriptionError(
                f"{pattern!r} is no pattern of events, in the subscription of {called}",
                hint='write names with dots between the parts: "person.created", "*.created", "person.*"',
            )
    if inspect.iscoroutinefunction(handler) and delivery is not Delivery.DURABLE:
        raise SubscriptionError(
            f"the handler {called} is a coroutine, and only durable ones may be",
            hint=f"add durable=True, or make {called} a plain function: it is called where the events are emitted",
        )
    if options is not None and options.id is not None:
        raise SubscriptionError(
            f"the jobs of the handler {called} would share the id {options.id!r}, and all but one be left out",
            hint="leave `id` out of its options: each batch is told",
        )
    return Subscription(called, patterns, handler, delivery, options or DURABLE_OPTIONS, targets, share)


def declared_subscriptions(
    function: Callable[..., Any], qualified_name: str, declarations: tuple[EventDeclaration, ...]
) -> tuple[Subscription, ...]:
    """Give what a function declares: one subscription for all patterns that are to be delivered in the same way.

    Raises:
        SubscriptionError: it cannot be called in this way.
    """
    found: dict[tuple[Any, ...], list[str]] = {}
    for declared in reversed(declarations):  # decorators are applied from the bottom up
        key = (declared.delivery, declared.name, declared.options)
        found.setdefault(key, []).append(declared.pattern)
    return tuple(
        subscription(
            function,
            *patterns,
            delivery=delivery,
            name=name or _last_part(qualified_name),
            options=options,
        )
        for (delivery, name, options), patterns in found.items()
    )


def _methods(cls: type) -> Iterator[tuple[str, tuple[EventDeclaration, ...]]]:
    seen: set[str] = set()
    for owner in cls.__mro__:
        for attribute, value in vars(owner).items():
            if attribute in seen:
                continue
            seen.add(attribute)
            function = value.__func__ if isinstance(value, staticmethod | classmethod) else value
            declarations = declarations_of(function) if inspect.isfunction(function) else ()
            if declarations:
                yield attribute, declarations


def _made(cls: type) -> object:
    try:
        return cls()
    except Exception as error:
        raise SubscriptionError(
            f"{cls.__name__} handles events but cannot be made: {type(error).__name__}: {error}",
            hint=f"let {cls.__name__}() work without arguments, or subscribe an object that you make yourself",
        ) from error


def _delivery(*, durable: bool, in_transaction: bool) -> Delivery:
    if durable:
        return Delivery.DURABLE
    return Delivery.IN_TRANSACTION if in_transaction else Delivery.AFTER_COMMIT


def _last_part(qualified_name: str) -> str:
    """Leave out what a function is defined within: `make.<locals>.notify` is `notify`."""
    return qualified_name.rpartition("<locals>.")[2]
