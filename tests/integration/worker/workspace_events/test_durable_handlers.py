"""Durable handlers: their jobs are enqueued in the transaction of what they tell of, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, insert, text, update
from sqlalchemy.exc import IntegrityError, PendingRollbackError
from sqlalchemy.orm import Session, sessionmaker

from tests.integration.worker.workspace_events.place import Person, Told, tracked_sessions
from upgrader.database.connect import Connector
from upgrader.worker import (
    DatabaseBatchEvent,
    EventAction,
    Job,
    JobQueue,
    QueueJobOptions,
    RecordEvent,
    WorkspaceEventDelivery,
    WorkspaceEventEmitter,
)
from upgrader.worker.discovery import discover
from upgrader.worker.queue.layout import bring_up_to_date
from upgrader.worker.workspace_events.delivery import EVENT_QUEUE, JOB_NAME
from upgrader.worker.workspace_events.discovered import delivery_of, discovered_subscriptions
from upgrader.worker.workspace_events.encoding import batch_from_json
from upgrader.worker.workspace_events.subscriber import SubscriptionError

Maker = sessionmaker[Session]


class Jobs:
    """The queue of a test's database."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.queue = JobQueue.at(url)
        with Connector(url).connect() as driver:
            bring_up_to_date(driver, "upgrader_worker")

    def waiting(self) -> list[Job[Any]]:
        """Give the jobs that wait, in order."""
        with psycopg.connect(self.url) as connection:
            rows = connection.execute(
                "select id, queue_name, task_name, args from upgrader_worker.procrastinate_jobs order by id"
            ).fetchall()
        return [Job(number, queue, name, args["payload"]) for number, queue, name, args in rows]


@pytest.fixture
def jobs(database_url: str) -> Iterator[Jobs]:
    """A queue in the test's database."""
    made = Jobs(database_url)
    yield made
    made.queue.close()


@pytest.fixture
def told(jobs: Jobs) -> Told:
    """An emitter with a queue and a durable handler beside the one that notes."""
    told = Told(WorkspaceEventEmitter(queue=jobs.queue))
    told.emitter.on("person.*", _later, durable=True, options=QueueJobOptions(attempts=4, priority=2))
    return told


def _later(batch: object) -> None:
    raise AssertionError("it runs in a worker")


def refuse(batch: Any, connection: Any) -> None:
    """Handle an event, in vain."""
    raise ValueError("not now")


def test_the_job_is_there_with_the_mutation(sessions: Maker, jobs: Jobs) -> None:
    """Nobody sees it before the commit; after it, the job has the whole batch."""
    with sessions() as session:
        session.add(Person(id=1, name="Ada"))
        session.flush()
        assert jobs.waiting() == []
        session.commit()
    (job,) = jobs.waiting()
    assert (job.queue, job.name) == (EVENT_QUEUE, JOB_NAME)
    given: list[Any] = []
    emitter = WorkspaceEventEmitter(queue=jobs.queue)
    emitter.on("person.*", given.append, durable=True, name="_later")
    WorkspaceEventDelivery(emitter).deliver(job)
    assert [(batch.name, batch.workspace_id, batch.events[0].after["name"]) for batch in given] == [
        ("person.created", "acme", "Ada")
    ]


def test_texts_that_only_a_column_of_json_holds(sessions: Maker, jobs: Jobs) -> None:
    """They go to the handler as they are."""
    tags = {"a\x00": "b\x00c", "d": "\ud800"}
    with sessions.begin() as session:
        session.add(Person(id=1, name="Ada", tags=tags))
    (job,) = jobs.waiting()
    assert batch_from_json(job.data["batch"]).events[0].after["tags"] == tags


def test_options_of_the_handler(sessions: Maker, jobs: Jobs, connection: psycopg.Connection) -> None:
    """Its jobs are tried as the handler says."""
    with sessions.begin() as session:
        session.add(Person(name="Ada"))
    row = connection.execute("select priority, args from upgrader_worker.procrastinate_jobs").fetchone()
    assert row is not None
    assert (row[0], row[1]["attempts"]) == (2, 4)


def test_a_rollback_takes_the_job_along(sessions: Maker, jobs: Jobs) -> None:
    """Nothing is sent of what did not happen; savepoints count, too."""
    with sessions() as session:
        session.add(Person(id=1, name="Ada"))
        session.flush()
        session.rollback()
        session.add(Person(id=2, name="Grace"))
        session.flush()
        savepoint = session.begin_nested()
        session.execute(update(Person).values(name="X"))
        savepoint.rollback()
        session.commit()
    assert [job.data["batch"]["name"] for job in jobs.waiting()] == ["person.created"]


def test_a_joined_session_enqueues_in_the_outer_transaction(
    sessions: Maker, jobs: Jobs, engine: Engine
) -> None:
    """The job is there when the connection commits, not when the session does."""
    for ends_well in (False, True):
        with engine.connect() as connection, connection.begin() as transaction:
            with sessions(bind=connection, join_transaction_mode="create_savepoint") as session:
                session.add(Person(name="Ada"))
                session.commit()
            assert jobs.waiting() == []
            if not ends_well:
                transaction.rollback()
    assert len(jobs.waiting()) == 1


def test_bulk_statements_are_durable_too(sessions: Maker, jobs: Jobs) -> None:
    """A statement's job is in its transaction; a large one is several jobs."""
    with sessions.begin() as session:
        session.execute(insert(Person), [{"name": f"P{number}"} for number in range(1001)])
    assert [len(job.data["batch"]["events"]) for job in jobs.waiting()] == [500, 500, 1]


def test_a_job_that_cannot_be_enqueued_fails_the_mutation(
    sessions: Maker, jobs: Jobs, engine: Engine, told: Told
) -> None:
    """Both or neither: where the queue is gone nothing is committed, and nobody is told."""
    with engine.begin() as connection:
        connection.execute(text("drop function upgrader_worker.add_job"))
    with sessions() as session:
        session.add(Person(name="Ada"))
        with pytest.raises(Exception, match="queue"):
            session.commit()
        session.rollback()
    with engine.connect() as connection:
        assert connection.execute(text("select count(*) from person")).scalar() == 0
    assert told.names == []


def test_a_bulk_statement_that_cannot_be_told_is_rolled_back(
    sessions: Maker, jobs: Jobs, engine: Engine, told: Told
) -> None:
    """Whoever catches the error cannot commit the statement all the same, as after a flush that fails."""

    told.emitter.on("person.updated", refuse, in_transaction=True)
    with sessions() as session:
        session.add(Person(id=1, name="Ada"))
        session.commit()
        with pytest.raises(ValueError, match="not now"):
            session.execute(update(Person).values(name="X"))
        with pytest.raises(PendingRollbackError):
            session.commit()
        session.rollback()
    with engine.connect() as connection:
        assert connection.execute(text("select name from person")).scalars().all() == ["Ada"]
    assert told.names == ["person.created"]


def test_a_bulk_statement_that_cannot_be_told_in_a_savepoint(
    sessions: Maker, jobs: Jobs, engine: Engine, told: Told
) -> None:
    """Only the savepoint is rolled back: what was done before it is not lost behind its owner's back."""

    told.emitter.on("person.updated", refuse, in_transaction=True)
    with sessions() as session:
        session.add(Person(id=1, name="Ada"))
        session.flush()
        with pytest.raises(ValueError, match="not now"), session.begin_nested():
            session.execute(update(Person).values(name="X"))
        by_hand = session.begin_nested()
        with pytest.raises(ValueError, match="not now"):
            session.execute(update(Person).values(name="Y"))
        by_hand.rollback()
        session.commit()
    with engine.connect() as connection:
        assert connection.execute(text("select name from person")).scalars().all() == ["Ada"]
    assert told.names == ["person.created"]


def test_emitting_by_hand_in_a_transaction(jobs: Jobs, told: Told, engine: Engine) -> None:
    """With a connection both wait for its commit: the job is in it, the handlers here are called after it."""
    event = DatabaseBatchEvent(
        object_name_singular="person",
        action=EventAction.UPDATED,
        workspace_id="acme",
        events=(RecordEvent(1, {"name": "A"}, {"name": "B"}, ("name",)),),
    )
    for ends_well in (False, True):
        with engine.connect() as connection:
            transaction = connection.begin()
            told.emitter.emit_database_batch_event(event, connection=connection)
            assert (jobs.waiting(), told.names) == ([], [])
            savepoint = connection.begin_nested()
            told.emitter.emit_custom_batch_event("person.greeted", ["hello"], connection=connection)
            savepoint.rollback()
            transaction.commit() if ends_well else transaction.rollback()
    assert [job.data["batch"]["name"] for job in jobs.waiting()] == ["person.updated"]
    assert told.names == ["person.updated"]


def test_emitting_by_hand_in_a_transaction_of_its_own(jobs: Jobs, told: Told) -> None:
    """The jobs are there at once."""
    told.emitter.emit_custom_batch_event("person.greeted", ["hello"], in_own_transaction=True)
    assert len(jobs.waiting()) == 1
    assert told.names == ["person.greeted"]


def test_handlers_in_the_transaction(engine: Engine, jobs: Jobs) -> None:
    """They are called with its connection before it commits; what they do goes with it, and fails it."""
    told = Told()

    def mirror(batch: Any, connection: Any) -> None:
        for event in batch.events:
            connection.execute(text("insert into pet (name) values (:name)"), {"name": event.after["name"]})

    told.emitter.on("person.created", mirror, in_transaction=True)
    with tracked_sessions(engine, told) as maker:
        with maker() as session:
            session.add(Person(name="Rolled back"))
            session.flush()
            session.rollback()
        with maker.begin() as session:
            session.add(Person(name="Ada"))
        with engine.begin() as connection:
            connection.execute(text("alter table pet add constraint no_x check (name <> 'X')"))
        with maker() as session:
            session.add(Person(name="X"))
            with pytest.raises(IntegrityError):
                session.commit()
            session.rollback()
    with engine.connect() as connection:
        assert connection.execute(text("select name from pet")).scalars().all() == ["Ada"]
        assert connection.execute(text("select name from person")).scalars().all() == ["Ada"]
    assert told.names == ["person.created"]


_MODULE = """
from upgrader.worker import WorkspaceEventEmitter, on_event
from upgrader.worker.workspace_events.subscriber import subscription, Delivery
from sqlalchemy import func

@on_event("person.created", durable=True)
def notify(batch): print("notified")

@on_event("*.deleted")
def note(batch): ...

class Handlers:
    @on_event("person.*", durable=True)
    async def send(self, batch): ...

class Bringer:
    def event_subscriptions(self):
        return (subscription(print, "a.b", delivery=Delivery.DURABLE, name="brought"),)

bringer = Bringer()
"""


def test_a_worker_finds_them_in_its_modules(tmp_path: Path) -> None:
    """Functions, methods of classes, and objects that bring subscriptions along; each once."""
    (tmp_path / "subscribers").mkdir()
    (tmp_path / "subscribers" / "one.py").write_text(_MODULE)
    (tmp_path / "subscribers" / "two.py").write_text("from .one import bringer, notify\n")
    found = discover(["subscribers"], base=tmp_path)
    assert sorted(one.name for one in discovered_subscriptions(found)) == [
        "Handlers.send",
        "brought",
        "note",
        "notify",
    ]
    delivery = delivery_of(found, queue=None)
    assert delivery is not None
    assert delivery.handler_names == ("Handlers.send", "brought", "notify")


def test_modules_without_durable_handlers_need_no_host(tmp_path: Path) -> None:
    """Nothing listens to a queue that nobody fills."""
    (tmp_path / "one.py").write_text("")
    assert delivery_of(discover(["."], base=tmp_path), queue=None) is None


def test_a_class_that_cannot_be_made_is_told_with_its_place(tmp_path: Path) -> None:
    """A worker does not begin with half of its handlers."""
    (tmp_path / "one.py").write_text(
        "from upgrader.worker import on_event\n\nclass Needs:\n    def __init__(self, x): ...\n"
        '    @on_event("a.b")\n    def handle(self, batch): ...\n'
    )
    with pytest.raises(SubscriptionError, match=r"Needs handles events but cannot be made.*one\.py:5"):
        discovered_subscriptions(discover(["."], base=tmp_path))
