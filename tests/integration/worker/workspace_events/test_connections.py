"""Whoever holds a session's connection may end transactions as well: what counts is what becomes of the database."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from tests.integration.worker.workspace_events.place import Person, Told
from upgrader.worker.workspace_events.tracking import EventTracking, track_events

Maker = sessionmaker[Session]


def _track(maker: Maker, told: Told) -> EventTracking:
    return track_events(maker, workspace_id="acme", emitter=told.emitter)


def _people(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        return list(connection.execute(text("select id from person order by id")).scalars())


def _told_people(told: Told) -> list[int]:
    return [event.record_id for batch in told.batches for event in batch.events]


def test_a_savepoint_of_the_sessions_connection(sessions: Maker, told: Told, engine: Engine) -> None:
    """One that was not begun by the session takes along what the session did within it."""
    with sessions.begin() as session:
        session.add(Person(id=1, name="Ada"))
        session.flush()
        savepoint = session.connection().begin_nested()
        session.add(Person(id=2, name="Grace"))
        session.flush()
        savepoint.rollback()
        with session.connection().begin_nested():
            session.add(Person(id=3, name="Edith"))
            session.flush()
    assert _told_people(told) == _people(engine) == [1, 3]


def test_a_transaction_that_is_rolled_back_under_a_session(
    sessions: Maker, told: Told, engine: Engine
) -> None:
    """A commit of the session afterwards commits nothing, and tells nothing."""
    with engine.connect() as connection:
        transaction = connection.begin()
        with sessions(bind=connection, join_transaction_mode="rollback_only") as session:
            session.add(Person(id=1, name="Ada"))
            session.flush()
            transaction.rollback()
            session.commit()
    assert _told_people(told) == _people(engine) == []


@pytest.mark.parametrize("mode", ["create_savepoint", "rollback_only", "conditional_savepoint"])
def test_a_joined_session_that_is_closed_without_a_commit(
    sessions: Maker, told: Told, engine: Engine, mode: str
) -> None:
    """Where the connection's commit commits what it did, that is told; where its savepoint is gone, it is not."""
    with engine.connect() as connection, connection.begin():
        with sessions(bind=connection, join_transaction_mode=mode) as session:
            session.add(Person(id=1, name="Ada"))
            session.flush()
        assert told.names == []
    assert _told_people(told) == _people(engine) == ([] if mode == "create_savepoint" else [1])


def test_a_listener_that_fails_after_the_commit(engine: Engine, told: Told) -> None:
    """The application's own listener stands before ours and raises: what is committed is told all the same."""
    maker = sessionmaker(engine)

    def fail(_session: Session) -> None:
        raise RuntimeError("no")

    event.listen(maker, "after_commit", fail)
    tracking = _track(maker, told)
    with maker() as session:
        session.add(Person(id=1, name="Ada"))
        with pytest.raises(RuntimeError, match="no"):
            session.commit()
    tracking.stop()
    assert _told_people(told) == _people(engine) == [1]


def test_a_commit_of_a_transaction_that_failed(sessions: Maker, told: Told, engine: Engine) -> None:
    """PostgreSQL rolls it back without an error: what nobody finds there is told to nobody."""
    with sessions() as session:
        session.add(Person(id=1, name="Ada"))
        session.flush()
        with pytest.raises(DBAPIError, match="division by zero"):
            session.execute(text("select 1/0"))
        session.commit()
        assert session.get(Person, 1) is None
    assert told.names == []


@pytest.mark.parametrize("is_prepared", [True, False])
def test_two_phases_of_a_connection(engine: Engine, told: Told, is_prepared: bool) -> None:
    """Told after the second phase; nothing of one that is rolled back, nor later on the same connection."""
    with engine.connect() as connection:
        _two_phases(connection, told, commits=True, is_prepared=is_prepared)
        assert told.names == ["person.greeted"]
        told.take()
        _two_phases(connection, told, commits=False, is_prepared=is_prepared)
        with connection.begin():
            connection.execute(text("select 1"))
    assert told.names == []


def _two_phases(connection: Connection, told: Told, *, commits: bool, is_prepared: bool) -> None:
    transaction = connection.begin_twophase()
    told.emitter.emit_custom_batch_event("person.greeted", ["hello"], connection=connection)
    if is_prepared:
        transaction.prepare()
    assert told.names == []
    transaction.commit() if commits else transaction.rollback()


def test_records_whose_class_says_where_they_are(engine: Engine, told: Told) -> None:
    """A session with an engine for each class: handlers in the transaction are given the record's own."""
    maker = sessionmaker(binds={Person: engine})
    given: list[Any] = []

    def count(_batch: object, connection: Connection) -> None:
        given.append(connection.execute(text("select count(*) from person")).scalar())

    told.emitter.on("person.created", count, in_transaction=True)
    tracking = _track(maker, told)
    with maker.begin() as session:
        session.add(Person(id=1, name="Ada"))
    with maker() as session:
        session.add(Person(id=2, name="Grace"))
        session.flush()
        session.rollback()
    tracking.stop()
    assert given == [1, 2]  # it saw what was not committed yet: it stood in the same transaction
    assert _told_people(told) == [1]
