"""Takes batches of events and hands them to the handlers that want them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Engine

from upgrader.errors import UpgraderError
from upgrader.worker.enqueuing import EnqueuesJobs
from upgrader.worker.options import QueueJobOptions
from upgrader.worker.workspace_events.batch import (
    DatabaseBatchEvent,
    WorkspaceEventBatch,
    new_batch_id,
)
from upgrader.worker.workspace_events.counts import EventCounter, EventCounts
from upgrader.worker.workspace_events.delivery import (
    EVENT_QUEUE,
    JOB_NAME,
    delivery_payload,
    refuse_double_names,
)
from upgrader.worker.workspace_events.held import after_commit_of
from upgrader.worker.workspace_events.pattern import is_name, matches
from upgrader.worker.workspace_events.portions import portions
from upgrader.worker.workspace_events.subscriber import (
    Delivery,
    Subscription,
    SubscriptionError,
    subscription,
    subscriptions_of,
)

EVENTS_PER_JOB = 500
CHARACTERS_PER_JOB = 8_000_000
"""A durable handler is given larger batches in parts of this size, one job each."""

_MOST_NAMES = 4_096
"""Of so many names at most it is kept who wants them."""
_log = logging.getLogger("upgrader.events")


class TransactionMissingError(UpgraderError):
    """Durable handlers and those in the transaction need to know which transaction that is."""


class WorkspaceEventEmitter:
    """Hands batches to handlers. Any thread may emit.

    Handlers in the process are called one after the other by the thread that emits; one that fails is logged and
    counted, and neither stops the others nor what is told of. Durable handlers become jobs.
    """

    def __init__(
        self,
        *subscribers: object,
        queue: EnqueuesJobs | None = None,
        engine: Engine | None = None,
    ) -> None:
        """Subscribe whatever has `@on_event` on it; touches no database.

        Args:
            subscribers: functions, classes (made without arguments) or objects.
            queue: where the jobs of durable handlers go, `JobQueue(…)`; only they need one.
            engine: of the same database; only needed to emit by hand in a transaction of its own.

        Raises:
            SubscriptionError: a handler cannot be used, or is durable and there is no queue.
        """
        self._queue = queue
        self._engine = engine
        self._counter = EventCounter()
        self._lock = threading.Lock()
        self._subscriptions: tuple[Subscription, ...] = ()
        self._wanting: dict[str, tuple[Subscription, ...]] = {}
        self.subscribe(*subscribers)

    def subscribe(self, *subscribers: object) -> tuple[Subscription, ...]:
        """Subscribe whatever has `@on_event` on it, and give the subscriptions.

        Raises:
            SubscriptionError: something of it handles no events or cannot be used; nothing is subscribed then.
        """
        found: list[Subscription] = []
        for subscriber in subscribers:
            brought = (subscriber,) if isinstance(subscriber, Subscription) else subscriptions_of(subscriber)
            if not brought:
                raise SubscriptionError(
                    f"{getattr(subscriber, '__qualname__', repr(subscriber))} handles no events",
                    hint='decorate it, or its methods, with @on_event("person.created"), or use emitter.on(…)',
                )
            found += brought
        self._add(found)
        return tuple(found)

    def on(
        self,
        pattern: str,
        handler: Callable[..., Any],
        *,
        durable: bool = False,
        in_transaction: bool = False,
        name: str | None = None,
        options: QueueJobOptions | None = None,
    ) -> Subscription:
        """Subscribe a handler that is not decorated; the arguments are those of `@on_event`.

        Raises:
            SubscriptionError: it cannot be used in this way.
        """
        delivery = Delivery.DURABLE if durable else Delivery.AFTER_COMMIT
        made = subscription(
            handler,
            pattern,
            delivery=Delivery.IN_TRANSACTION if in_transaction else delivery,
            name=name,
            options=options,
        )
        self._add([made])
        return made

    def unsubscribe(self, *subscriptions: Subscription) -> None:
        """Let handlers receive nothing from here on; jobs that are enqueued stay."""
        with self._lock:
            self._set(tuple(one for one in self._subscriptions if one not in subscriptions))

    def event_subscriptions(self) -> tuple[Subscription, ...]:
        """Give all subscriptions: a worker that finds the emitter in a module runs the durable ones."""
        return self._subscriptions

    @property
    def counts(self) -> EventCounts:
        """How often each handler was given a batch, and failed."""
        return self._counter.counts

    def wants(self, name: str) -> bool:
        """Tell whether anybody handles events of this name."""
        return bool(self._wanted_by(name))

    def needs_transaction(self, name: str) -> bool:
        """Tell whether a handler of events of this name belongs into the transaction of what they tell of."""
        return any(one.delivery is not Delivery.AFTER_COMMIT for one in self._wanted_by(name))

    def emit_database_batch_event(
        self,
        event: DatabaseBatchEvent | None,
        *,
        connection: Connection | None = None,
        in_own_transaction: bool = False,
    ) -> None:
        """Tell that the same happened to records of one kind. None, or no records, does nothing.

        Args:
            connection: the records were changed in the transaction that is open on it: jobs of durable handlers
                are enqueued in that, the others are called once it is committed, and nobody hears of it if it is
                rolled back. Without one the others are called now.
            in_own_transaction: there is no such transaction (any more): jobs are enqueued by themselves.

        Raises:
            ValueError: the object's name makes no name of an event.
            TypeError: `connection` is something else, a session or an asynchronous one.
            TransactionMissingError: a durable handler wants it, and neither of the two is given.
        """
        if event is None or not event.events:
            return
        self._emit(event.batch(), connection, in_own_transaction=in_own_transaction)

    def emit_custom_batch_event(
        self,
        name: str,
        events: Iterable[Any] | None,
        *,
        workspace_id: str | None = None,
        connection: Connection | None = None,
        in_own_transaction: bool = False,
    ) -> None:
        """Tell of something else: a mail came in, a calendar was synchronised. None, or no events, does nothing.

        Args:
            name: parts with dots between them.
            events: anything; for durable handlers what JSON holds, dates, decimals, UUIDs and bytes.
            workspace_id, connection, in_own_transaction: as for `emit_database_batch_event`.

        Raises:
            ValueError: this is no name of an event.
            TypeError: `connection` is something else.
            TransactionMissingError: a durable handler wants it, and no transaction is given.
        """
        if not is_name(name):
            raise ValueError(f"{name!r} is no name of an event: write parts with dots between them")
        told = tuple(events or ())
        if told:
            batch = WorkspaceEventBatch(name, workspace_id, None, told)
            self._emit(batch, connection, in_own_transaction=in_own_transaction)

    def enqueue(self, batches: Sequence[WorkspaceEventBatch[Any]], connection: Connection) -> None:
        """Do what belongs into the transaction that is open on a connection: enqueue jobs, call handlers in it.

        Whatever fails is raised: the transaction must not be committed then.
        """
        for batch in batches:
            for wanting in self._wanted_by(batch.name):
                if wanting.delivery is Delivery.DURABLE:
                    self._add_jobs(wanting, batch, connection)
                elif wanting.delivery is Delivery.IN_TRANSACTION:
                    self._call_in_transaction(wanting, batch, connection)

    def deliver(
        self, batches: Sequence[WorkspaceEventBatch[Any]], *, after_failure: Callable[[], None] = lambda: None
    ) -> None:
        """Call the handlers in this process; what they tell of is committed. Never raises for a handler.

        Args:
            after_failure: called after each handler that failed, to clear up what the next ones would stumble over.
        """
        for batch in batches:
            for wanting in self._wanted_by(batch.name):
                if wanting.delivery is Delivery.AFTER_COMMIT and not self._call(wanting, batch):
                    after_failure()

    def emit_in_own_transaction(self, batches: Sequence[WorkspaceEventBatch[Any]]) -> None:
        """Tell of things that no transaction of the caller's stands for, all jobs in one of their own.

        Raises:
            TransactionMissingError: a handler is called in a transaction, and there is no engine to begin one.
        """
        self._enqueue_by_itself(batches)
        self.deliver(batches)

    def _emit(
        self, batch: WorkspaceEventBatch[Any], connection: Connection | None, *, in_own_transaction: bool
    ) -> None:
        if connection is not None:
            _refuse_other_connections(connection)
            self.enqueue([batch], connection)
            if connection.in_transaction():
                after_commit_of(connection, lambda: self.deliver([batch]))
                return
        elif in_own_transaction:
            self._enqueue_by_itself([batch])
        elif self.needs_transaction(batch.name):
            raise TransactionMissingError(
                f"{batch.name} has handlers that belong into the transaction of what it tells of, and none is given",
                hint="emit it with connection=… before you commit; in_own_transaction=True tells of it whatever"
                " becomes of other transactions",
            )
        self.deliver([batch])

    def _enqueue_by_itself(self, batches: Sequence[WorkspaceEventBatch[Any]]) -> None:
        if not any(self.needs_transaction(batch.name) for batch in batches):
            return
        if self._engine is not None:
            with self._engine.begin() as connection:
                self.enqueue(batches, connection)
            return
        wanting = [(one, batch) for batch in batches for one in self._wanted_by(batch.name)]
        inside = next((one.name for one, _ in wanting if one.delivery is Delivery.IN_TRANSACTION), None)
        if inside is not None:
            raise TransactionMissingError(
                f"{inside} is called in a transaction, and the emitter cannot begin one",
                hint="make it with WorkspaceEventEmitter(…, engine=engine), or emit with connection=…",
            )
        for one, batch in wanting:
            if one.delivery is Delivery.DURABLE:
                self._add_jobs(one, batch, None)  # the queue has a connection of its own

    def _add_jobs(
        self, wanting: Subscription, batch: WorkspaceEventBatch[Any], connection: Connection | None
    ) -> None:
        assert self._queue is not None  # it could not have been subscribed
        for part in _parts(batch):
            payload = delivery_payload(wanting.name, part)
            self._queue.add_options(EVENT_QUEUE, JOB_NAME, payload, wanting.options, connection=connection)
        self._counter.enqueued(wanting.name)

    def _call_in_transaction(
        self, wanting: Subscription, batch: WorkspaceEventBatch[Any], connection: Connection
    ) -> None:
        try:
            wanting.handler(batch, connection)
        except Exception:
            self._counter.failed(wanting.name)
            raise
        self._counter.delivered(wanting.name)

    def _call(self, wanting: Subscription, batch: WorkspaceEventBatch[Any]) -> bool:
        try:
            wanting.handler(batch)
        except Exception:  # whatever a handler does, the others and the mutation come first
            self._counter.failed(wanting.name)
            _log.exception("the handler %s failed on %s (batch %s)", wanting.name, batch.name, batch.id)
            return False
        self._counter.delivered(wanting.name)
        return True

    def _wanted_by(self, name: str) -> tuple[Subscription, ...]:
        wanting = self._wanting.get(name)
        if wanting is None:
            with self._lock:
                if len(self._wanting) >= _MOST_NAMES:  # custom events may have names of any number
                    self._wanting = {}
                wanting = self._wanting[name] = tuple(
                    one
                    for one in self._subscriptions
                    if any(matches(pattern, name) for pattern in one.patterns)
                )
        return wanting

    def _add(self, found: Sequence[Subscription]) -> None:
        with self._lock:
            together = list(self._subscriptions)
            together += (one for one in found if one not in together)  # each once, however often it is found
            refuse_double_names(together)
            durable = next((one.name for one in together if one.delivery is Delivery.DURABLE), None)
            if durable is not None and self._queue is None:
                raise SubscriptionError(
                    f"the handler {durable} is durable, and the emitter has no queue",
                    hint="make it with WorkspaceEventEmitter(…, queue=JobQueue(…))",
                )
            self._set(tuple(together))

    def _set(self, subscriptions: tuple[Subscription, ...]) -> None:
        self._subscriptions = subscriptions
        self._wanting = {}


def _refuse_other_connections(connection: object) -> None:
    """Refuse what does something else than a Connection under the same names: jobs and audit rows would be lost."""
    if not isinstance(connection, Connection):
        raise TypeError(
            f"connection= is a {type(connection).__name__} and not SQLAlchemy's Connection: give session.connection();"
            " of asynchronous ones emit within run_sync(…)"
        )


def _parts(batch: WorkspaceEventBatch[Any]) -> Iterator[WorkspaceEventBatch[Any]]:
    parts = list(portions(batch.events, most=EVENTS_PER_JOB, largest=CHARACTERS_PER_JOB))
    if len(parts) == 1:
        yield batch
        return
    for events in parts:
        yield replace(batch, events=events, id=new_batch_id())
