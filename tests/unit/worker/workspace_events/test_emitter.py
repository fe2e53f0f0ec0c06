"""The emitter, without a database: who is called with what, and what becomes of failures."""

from __future__ import annotations

import threading
import tracemalloc
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from upgrader.worker import (
    DatabaseBatchEvent,
    EventAction,
    ObjectMetadata,
    QueueJobOptions,
    RecordEvent,
    WorkspaceEventBatch,
    WorkspaceEventDelivery,
    WorkspaceEventEmitter,
    on_event,
)
from upgrader.worker.host import Job
from upgrader.worker.workspace_events.delivery import (
    EVENT_QUEUE,
    JOB_NAME,
    DeliverLaterError,
    UnknownHandlerError,
)
from upgrader.worker.workspace_events.emitter import EVENTS_PER_JOB, TransactionMissingError
from upgrader.worker.workspace_events.encoding import batch_from_json
from upgrader.worker.workspace_events.subscriber import Delivery, SubscriptionError, subscription

Batch = WorkspaceEventBatch[Any]


class Queue:
    """Keeps what is enqueued."""

    def __init__(self) -> None:
        self.jobs: list[Job[Any]] = []
        self.options: list[QueueJobOptions] = []
        self.connections: list[object] = []

    def add_options(
        self,
        queue: str | None,
        name: str,
        payload: object,
        options: QueueJobOptions,
        *,
        connection: object = None,
    ) -> int:
        """Keep a job."""
        self.jobs.append(Job(len(self.jobs) + 1, queue or "", name, payload, attempts=options.attempts))
        self.options.append(options)
        self.connections.append(connection)
        return len(self.jobs)


def _person(action: EventAction = EventAction.CREATED, *ids: int) -> DatabaseBatchEvent:
    return DatabaseBatchEvent(
        object_name_singular="person",
        action=action,
        workspace_id="w1",
        object_metadata=ObjectMetadata("person", "person"),
        events=tuple(RecordEvent(one, None, {"id": one}) for one in ids or (1,)),
    )


@pytest.mark.parametrize("action", list(EventAction))
def test_a_handler_is_given_the_typed_batch(action: EventAction) -> None:
    """The name is made of the object's and the action; all that was emitted is there, and frozen."""
    found: list[Batch] = []
    emitter = WorkspaceEventEmitter(on_event(f"person.{action}")(_noting(found)))
    emitter.emit_database_batch_event(_person(action))
    (batch,) = found
    assert (batch.name, batch.action, batch.workspace_id) == (f"person.{action}", action, "w1")
    assert batch.object_metadata == ObjectMetadata("person", "person")
    assert batch.events == (RecordEvent(1, None, {"id": 1}),)
    with pytest.raises(FrozenInstanceError):
        batch.name = "other"  # type: ignore[misc] # that is the point


def _noting(found: list[Batch]) -> Any:
    def note(batch: Batch) -> None:
        found.append(batch)

    return note


def test_wildcards() -> None:
    """Exact names and wildcards are asked for side by side; a handler is called once per batch."""
    found: dict[str, list[str]] = {name: [] for name in ("exact", "action", "object", "both")}
    emitter = WorkspaceEventEmitter()
    emitter.on("person.created", lambda batch: found["exact"].append(batch.name))
    emitter.on("*.created", lambda batch: found["action"].append(batch.name))
    emitter.on("person.*", lambda batch: found["object"].append(batch.name))

    @on_event("person.*")
    @on_event("*.deleted")
    def both(batch: Batch) -> None:
        found["both"].append(batch.name)

    emitter.subscribe(both)
    for action in (EventAction.CREATED, EventAction.DELETED):
        emitter.emit_database_batch_event(_person(action))
    assert found == {
        "exact": ["person.created"],
        "action": ["person.created"],
        "object": ["person.created", "person.deleted"],
        "both": ["person.created", "person.deleted"],
    }


def test_nothing_to_tell() -> None:
    """None, and no records, do nothing."""
    found: list[Batch] = []
    emitter = WorkspaceEventEmitter(on_event("**")(_noting(found)))
    emitter.emit_database_batch_event(None)
    emitter.emit_database_batch_event(
        DatabaseBatchEvent(object_name_singular="a", action=EventAction.CREATED, workspace_id=None, events=())
    )
    emitter.emit_custom_batch_event("mail.received", None)
    emitter.emit_custom_batch_event("mail.received", [])
    assert found == []


def test_custom_events() -> None:
    """They have a name and a workspace, and any events."""
    found: list[Batch] = []
    emitter = WorkspaceEventEmitter(on_event("mail.*")(_noting(found)))
    emitter.emit_custom_batch_event("mail.received", ({"n": n} for n in range(2)), workspace_id="w1")
    (batch,) = found
    assert (batch.name, batch.workspace_id, batch.events) == ("mail.received", "w1", ({"n": 0}, {"n": 1}))
    assert (batch.object_metadata, batch.action) == (None, None)


@pytest.mark.parametrize("name", ["", "mail.*", "a b", "mail..received"])
def test_what_is_no_name_is_refused(name: str) -> None:
    """A custom event cannot be called like a pattern, nor can the records of a database event."""
    with pytest.raises(ValueError, match="is no name of an event"):
        WorkspaceEventEmitter().emit_custom_batch_event(name, [1])
    event = DatabaseBatchEvent(
        object_name_singular=name, action=EventAction.CREATED, workspace_id=None, events=(RecordEvent(1),)
    )
    with pytest.raises(ValueError, match="is no name of an event"):
        WorkspaceEventEmitter().emit_database_batch_event(event)


@pytest.mark.parametrize(
    ("object_name", "action", "name"),
    [
        ("person", EventAction.CREATED, "person.created"),
        ("company", EventAction.UPDATED, "company.updated"),
        ("note", EventAction.DELETED, "note.deleted"),
        ("calendarEvent", EventAction.DESTROYED, "calendarEvent.destroyed"),
        ("task", EventAction.RESTORED, "task.restored"),
        ("person", EventAction.UPSERTED, "person.upserted"),
    ],
)
def test_names_of_database_events(object_name: str, action: EventAction, name: str) -> None:
    """They are made of the object's name in the singular, as it is given, and the action."""
    found: list[Batch] = []
    event = DatabaseBatchEvent(
        object_name_singular=object_name, action=action, workspace_id="w", events=(RecordEvent(1),)
    )
    WorkspaceEventEmitter(on_event(name)(_noting(found))).emit_database_batch_event(event)
    assert [(batch.name, batch.action) for batch in found] == [(name, action)]


def test_metadata_is_made_of_the_name_where_none_is_given() -> None:
    """A handler can rely on it."""
    found: list[Batch] = []
    emitter = WorkspaceEventEmitter(on_event("**")(_noting(found)))
    emitter.emit_database_batch_event(
        DatabaseBatchEvent(
            object_name_singular="note",
            action=EventAction.UPDATED,
            workspace_id="w",
            events=(RecordEvent(1),),
        )
    )
    assert found[0].object_metadata == ObjectMetadata("note")


def test_a_failing_handler_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged with its traceback and counted; those after it are called."""
    found: list[Batch] = []

    @on_event("person.created")
    def fail(batch: Batch) -> None:
        raise RuntimeError("out of paper")

    emitter = WorkspaceEventEmitter(fail, on_event("**")(_noting(found)))
    emitter.emit_database_batch_event(_person())
    emitter.emit_database_batch_event(_person())
    assert len(found) == 2
    assert (emitter.counts.failed, emitter.counts.delivered) == ({"fail": 2}, {"note": 2})
    assert caplog.text.count("RuntimeError: out of paper") == 2
    assert found[0].id in caplog.text


def test_unsubscribing() -> None:
    """A handler that is taken away is called no more."""
    found: list[Batch] = []
    emitter = WorkspaceEventEmitter()
    made = emitter.on("**", _noting(found))
    assert emitter.wants("person.created")
    emitter.unsubscribe(made)
    emitter.emit_database_batch_event(_person())
    assert found == []
    assert not emitter.wants("person.created")


def test_subscribing_twice_is_once() -> None:
    """The same handler is called once, however often a module is looked through."""
    found: list[Batch] = []
    note = on_event("**")(_noting(found))
    WorkspaceEventEmitter(note, note).emit_database_batch_event(_person())
    assert len(found) == 1


def test_what_handles_no_events_is_refused() -> None:
    """A function that somebody forgot to decorate is told."""
    with pytest.raises(SubscriptionError, match=r"test_what_handles.*handles no events"):
        WorkspaceEventEmitter(test_what_handles_no_events_is_refused)


def test_emitting_from_several_threads() -> None:
    """Nothing is lost, and nothing is counted wrongly."""
    found: list[Batch] = []
    emitter = WorkspaceEventEmitter(on_event("**")(_noting(found)))

    def emit() -> None:
        for _ in range(200):
            emitter.emit_database_batch_event(_person())

    threads = [threading.Thread(target=emit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(found), emitter.counts.delivered) == (800, {"note": 800})


def test_a_durable_handler_needs_a_queue() -> None:
    """It is refused when it is subscribed, not when the first event is lost."""
    with pytest.raises(SubscriptionError, match="later is durable, and the emitter has no queue") as caught:
        WorkspaceEventEmitter().on("**", lambda _: None, durable=True, name="later")
    assert "queue=JobQueue" in str(caught.value.hint)


def test_two_durable_handlers_of_one_name_are_refused() -> None:
    """Their jobs could not be told apart."""
    emitter = WorkspaceEventEmitter(queue=Queue())
    emitter.on("a.b", lambda _: None, durable=True, name="later")
    with pytest.raises(SubscriptionError, match="two durable handlers of events are called later"):
        emitter.on("a.c", lambda _: 1, durable=True, name="later")
    assert len(emitter.event_subscriptions()) == 1


def test_durable_handlers_need_a_transaction() -> None:
    """Without one it is refused before anybody is told, and the error names both ways out."""
    found: list[Batch] = []
    queue = Queue()
    emitter = WorkspaceEventEmitter(on_event("**")(_noting(found)), queue=queue)
    emitter.on("person.*", lambda _: None, durable=True, name="later")
    with pytest.raises(
        TransactionMissingError, match=r"person.created has handlers that belong into"
    ) as caught:
        emitter.emit_database_batch_event(_person())
    assert "connection=" in str(caught.value.hint)
    assert "in_own_transaction=True" in str(caught.value.hint)
    assert (found, queue.jobs) == ([], [])
    emitter.emit_custom_batch_event("mail.received", [1])
    assert [batch.name for batch in found] == ["mail.received"]


def test_what_is_no_connection_is_refused() -> None:
    """A session, or an asynchronous connection, takes other calls: what is written through it would be lost."""
    told: list[Batch] = []
    emitter = WorkspaceEventEmitter()
    emitter.on("**", told.append)
    with (
        Session(create_engine("postgresql+psycopg://")) as session,
        pytest.raises(TypeError, match="Session"),
    ):
        emitter.emit_custom_batch_event("mail.received", [1], connection=session)  # type: ignore[arg-type]  # what is to be refused
    assert told == []


def test_names_without_end() -> None:
    """Custom events may be called anything: what is kept of their names does not grow with them."""
    emitter = WorkspaceEventEmitter()
    emitter.emit_custom_batch_event("mail.received", [1])
    tracemalloc.start()
    for number in range(50_000):
        emitter.emit_custom_batch_event(f"import.{number}", [1])
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 3_000_000


def test_a_transaction_of_its_own() -> None:
    """If that is what the caller wants, the queue takes the jobs in a transaction of its own."""
    queue = Queue()
    emitter = WorkspaceEventEmitter(queue=queue)
    emitter.on("person.*", lambda _: None, durable=True, name="later", options=QueueJobOptions(attempts=3))
    emitter.emit_database_batch_event(_person(), in_own_transaction=True)
    (job,) = queue.jobs
    assert (job.queue, job.name, job.attempts, queue.connections) == (EVENT_QUEUE, JOB_NAME, 3, [None])
    assert emitter.counts.enqueued == {"later": 1}


def test_a_handler_in_the_transaction_needs_an_engine_for_one_of_its_own() -> None:
    """Only an engine can begin one; it is used for all that belongs into it."""
    seen: list[bool] = []

    @on_event("**", in_transaction=True)
    def inside(batch: Batch, connection: Any) -> None:
        seen.append(connection.in_transaction())

    with pytest.raises(TransactionMissingError, match="inside is called in a transaction"):
        WorkspaceEventEmitter(inside).emit_database_batch_event(_person(), in_own_transaction=True)
    WorkspaceEventEmitter(inside, engine=create_engine("sqlite://")).emit_database_batch_event(
        _person(), in_own_transaction=True
    )
    assert seen == [True]


def test_a_large_batch_is_several_jobs() -> None:
    """A durable handler is given it in parts, each with an id of its own; the others get it whole."""
    found: list[Batch] = []
    queue = Queue()
    emitter = WorkspaceEventEmitter(on_event("**")(_noting(found)), queue=queue)
    emitter.on("**", lambda _: None, durable=True, name="later")
    emitter.emit_database_batch_event(
        _person(EventAction.CREATED, *range(2 * EVENTS_PER_JOB + 1)), in_own_transaction=True
    )
    given: list[Batch] = []
    delivery = WorkspaceEventDelivery(
        subscription(given.append, "**", delivery=Delivery.DURABLE, name="later")
    )
    for job in queue.jobs:
        delivery.deliver(job)
    assert [len(batch.events) for batch in given] == [EVENTS_PER_JOB, EVENTS_PER_JOB, 1]
    assert len({batch.id for batch in given}) == 3
    assert [event for batch in given for event in batch.events] == list(found[0].events)


def test_a_batch_of_large_records_is_several_jobs() -> None:
    """A job is held whole, in the queue and by its worker; one record is in one job whatever its size."""
    queue = Queue()
    emitter = WorkspaceEventEmitter(queue=queue)
    emitter.on("**", lambda _: None, durable=True, name="later")
    body = {"body": "x" * 3_000_000}
    events = [RecordEvent(number, None, body) for number in range(5)] + [
        RecordEvent(5, body, {"body": ["x" * 9_000_000]})
    ]
    event = DatabaseBatchEvent(
        object_name_singular="letter", action=EventAction.CREATED, workspace_id=None, events=tuple(events)
    )
    emitter.emit_database_batch_event(event, in_own_transaction=True)
    batches = [batch_from_json(job.data["batch"]) for job in queue.jobs]
    assert [[one.record_id for one in batch.events] for batch in batches] == [[0, 1], [2, 3], [4], [5]]
    assert len({batch.id for batch in batches}) == 4


def test_durable_handlers_run_from_their_jobs() -> None:
    """The worker finds them by name: functions, methods, coroutines, or those of an emitter."""
    ran: list[tuple[str, Any]] = []

    @on_event("person.*", durable=True)
    async def send(batch: Batch) -> None:
        ran.append(("send", batch.events[0].record_id))

    class Handlers:
        @on_event("*.created", durable=True)
        def note(self, batch: Batch) -> None:
            ran.append(("note", batch.events[0].record_id))

    queue = Queue()
    emitter = WorkspaceEventEmitter(send, Handlers, queue=queue)
    emitter.emit_database_batch_event(_person(EventAction.CREATED, 7), in_own_transaction=True)
    delivery = WorkspaceEventDelivery(emitter)
    assert delivery.handler_names == ("Handlers.note", "send")
    for job in queue.jobs:
        delivery.handler_of(job)(job)
    assert ran == [("send", 7), ("note", 7)]


def test_a_job_of_an_unknown_handler_fails_with_the_list() -> None:
    """So does one of a worker that does not load the module."""
    queue = Queue()
    emitter = WorkspaceEventEmitter(queue=queue)
    emitter.on("**", lambda _: None, durable=True, name="gone")
    emitter.emit_database_batch_event(_person(), in_own_transaction=True)
    delivery = WorkspaceEventDelivery(
        subscription(print, "**", delivery=Delivery.DURABLE, name="here"),
        subscription(print, "**", name="not durable"),
    )
    with pytest.raises(UnknownHandlerError, match="'gone'; this worker's are: here"):
        delivery.deliver(queue.jobs[0])


def test_what_a_durable_handler_raises_fails_the_job() -> None:
    """The queue tries it again."""
    queue = Queue()
    emitter = WorkspaceEventEmitter(queue=queue)

    def fail(batch: Batch) -> None:
        raise RuntimeError("no")

    emitter.on("**", fail, durable=True)
    emitter.emit_database_batch_event(_person(), in_own_transaction=True)
    with pytest.raises(RuntimeError, match="no"):
        WorkspaceEventDelivery(emitter).deliver(queue.jobs[0])


def test_a_handler_that_cannot_just_now_is_asked_again() -> None:
    """The batch is enqueued anew with a delay, with the tries that are left, and this job is done."""
    queue = Queue()
    emitter = WorkspaceEventEmitter(queue=queue)

    def busy(batch: Batch) -> None:
        raise DeliverLaterError(2.5)

    emitter.on("**", busy, durable=True, options=QueueJobOptions(attempts=5))
    emitter.emit_database_batch_event(_person(), in_own_transaction=True)
    (job,) = queue.jobs
    tried = Job(job.id, job.queue, job.name, job.data, attempt=3, attempts=5)
    WorkspaceEventDelivery(emitter, queue=queue).deliver(tried)
    assert queue.jobs[1].data == job.data
    assert (queue.options[1].delay, queue.options[1].attempts) == (2.5, 3)


def test_a_handler_with_several_targets() -> None:
    """Each target has a job of its own, so that they fail and are tried each for itself."""
    sent: list[tuple[str, str]] = []

    def send(batch: Batch, target: str) -> None:
        sent.append((batch.name, target))

    queue = Queue()
    fans_out = subscription(
        send, "**", delivery=Delivery.DURABLE, name="hooks", targets=lambda batch: ("one", "two")
    )
    emitter = WorkspaceEventEmitter(fans_out, queue=queue)
    emitter.emit_database_batch_event(_person(), in_own_transaction=True)
    delivery = WorkspaceEventDelivery(emitter, queue=queue)
    delivery.deliver(queue.jobs[0])
    assert (len(queue.jobs), sent) == (3, [])
    assert len({options.id for options in queue.options[1:]}) == 2
    for job in queue.jobs[1:]:
        delivery.deliver(job)
    assert sent == [("person.created", "one"), ("person.created", "two")]


def test_a_handler_with_several_targets_that_waits() -> None:
    """The first job waits as the handler says; those of the targets do not wait as long again."""
    queue = Queue()
    options = QueueJobOptions(delay=60.0, attempts=3)
    fans_out = subscription(
        print,
        "**",
        delivery=Delivery.DURABLE,
        name="hooks",
        targets=lambda _: ("one", "two"),
        options=options,
    )
    emitter = WorkspaceEventEmitter(fans_out, queue=queue)
    emitter.emit_database_batch_event(_person(), in_own_transaction=True)
    WorkspaceEventDelivery(emitter, queue=queue).deliver(queue.jobs[0])
    assert [(options.delay, options.attempts) for options in queue.options] == [(60.0, 3), (0.0, 3), (0.0, 3)]
