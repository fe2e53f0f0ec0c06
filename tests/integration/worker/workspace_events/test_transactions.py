"""When sessions tell of what they do: after the commit, and only of what is committed."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, delete, event, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from tests.integration.worker.workspace_events.place import Person, Told, make_engine, tracked_sessions

Maker = sessionmaker[Session]


def test_nothing_before_the_commit(sessions: Maker, told: Told) -> None:
    """A flush tells nothing yet; the commit does, once."""
    with sessions() as session:
        session.add(Person(name="Ada"))
        session.flush()
        assert told.names == []
        session.commit()
        assert told.names == ["person.created"]
        session.commit()
    assert told.names == ["person.created"]


def test_several_flushes_are_told_in_their_order(sessions: Maker, told: Told) -> None:
    """Each flush is a batch of its own."""
    with sessions.begin() as session:
        person = Person(name="Ada")
        session.add(person)
        session.flush()
        person.name = "Grace"
        session.flush()
        session.delete(person)
    assert told.names == ["person.created", "person.updated", "person.destroyed"]


def test_a_rollback_tells_nothing(sessions: Maker, told: Told) -> None:
    """What is rolled back did not happen; what comes after it did."""
    with sessions() as session:
        session.add(Person(id=1, name="Ada"))
        session.flush()
        session.rollback()
        session.add(Person(id=2, name="Grace"))
        session.commit()
    assert told.ids == [("person.created", [2])]


def test_a_session_that_is_closed_tells_nothing(sessions: Maker, told: Told) -> None:
    """Closing without a commit is a rollback, and leaves nothing for the session's next transaction."""
    session = sessions()
    session.add(Person(id=1, name="Ada"))
    session.flush()
    session.close()
    session.add(Person(id=2, name="Grace"))
    session.commit()
    session.close()
    assert told.ids == [("person.created", [2])]


def test_an_exception_in_the_block_tells_nothing(sessions: Maker, told: Told) -> None:
    """`begin()` rolls back, and nothing is told."""

    def work() -> None:
        with sessions.begin() as session:
            session.add(Person(name="Ada"))
            session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        work()
    assert told.names == []


def test_a_savepoint_that_is_rolled_back(sessions: Maker, told: Told) -> None:
    """What a savepoint has done goes with it; what stands around it stays."""
    with sessions.begin() as session:
        session.add(Person(id=1, name="Ada"))
        session.flush()
        savepoint = session.begin_nested()
        session.add(Person(id=2, name="Grace"))
        session.flush()
        savepoint.rollback()
        session.add(Person(id=3, name="Edith"))
    assert told.ids == [("person.created", [1]), ("person.created", [3])]


def test_a_savepoint_that_is_released(sessions: Maker, told: Told) -> None:
    """It is told with the outermost commit, and not before."""
    with sessions() as session:
        with session.begin_nested():
            session.add(Person(id=1, name="Ada"))
        assert told.names == []
        session.commit()
    assert told.ids == [("person.created", [1])]


def test_a_released_savepoint_within_one_that_is_rolled_back(sessions: Maker, told: Told) -> None:
    """It was committed into what is rolled back."""
    with sessions.begin() as session:
        outer = session.begin_nested()
        with session.begin_nested():
            session.add(Person(id=1, name="Ada"))
        session.add(Person(id=2, name="Grace"))
        session.flush()
        outer.rollback()
        session.add(Person(id=3, name="Edith"))
    assert told.ids == [("person.created", [3])]


def test_a_rolled_back_savepoint_within_one_that_is_released(sessions: Maker, told: Told) -> None:
    """Only the inner one is forgotten."""
    with sessions.begin() as session, session.begin_nested():
        session.add(Person(id=1, name="Ada"))
        session.flush()
        inner = session.begin_nested()
        session.add(Person(id=2, name="Grace"))
        session.flush()
        inner.rollback()
    assert told.ids == [("person.created", [1])]


def test_a_commit_through_an_open_savepoint(sessions: Maker, told: Told) -> None:
    """Committing the session commits the savepoint that is open, too."""
    with sessions() as session:
        session.add(Person(id=1, name="Ada"))
        session.flush()
        session.begin_nested()
        session.add(Person(id=2, name="Grace"))
        session.commit()
    assert told.ids == [("person.created", [1]), ("person.created", [2])]


def test_a_rollback_through_an_open_savepoint(sessions: Maker, told: Told) -> None:
    """Rolling back the session takes all of it along."""
    with sessions() as session:
        session.add(Person(id=1, name="Ada"))
        session.flush()
        session.begin_nested()
        session.add(Person(id=2, name="Grace"))
        session.flush()
        session.rollback()
        session.commit()
    assert told.names == []


def test_an_error_in_a_savepoint(sessions: Maker, told: Told) -> None:
    """A flush that fails in a savepoint takes the savepoint along, and nothing else."""

    def work(session: Session) -> None:
        with session.begin_nested():
            session.add(Person(id=2, name="Grace"))
            session.flush()
            session.execute(insert(Person).values(id=1, name="again"))

    with sessions.begin() as session:
        session.add(Person(id=1, name="Ada"))
        session.flush()
        with pytest.raises(IntegrityError):
            work(session)
        session.add(Person(id=3, name="Edith"))
    assert told.ids == [("person.created", [1]), ("person.created", [3])]


def test_a_flush_that_fails(sessions: Maker, told: Told) -> None:
    """The whole transaction is rolled back; the next one is told."""
    with sessions() as session:
        session.add(Person(id=1, name="Ada"))
        session.flush()
        session.add(Person(id=2, name=None))
        with pytest.raises(IntegrityError):
            session.flush()
        session.rollback()
        session.add(Person(id=3, name="Edith"))
        session.commit()
    assert told.ids == [("person.created", [3])]


def test_a_commit_that_fails(sessions: Maker, told: Told, engine: Engine) -> None:
    """A constraint that is checked at the commit rolls back, and nothing is told."""
    with engine.begin() as connection:
        connection.execute(
            text("alter table person add constraint one_name unique (name) deferrable initially deferred")
        )
    with sessions() as session:
        session.add_all([Person(id=1, name="Ada"), Person(id=2, name="Ada")])
        with pytest.raises(IntegrityError):
            session.commit()
        session.rollback()
    assert told.names == []


def test_bulk_statements_first_in_a_transaction(sessions: Maker, told: Told) -> None:
    """A statement that begins the transaction belongs to it: a rollback takes it along, a commit tells of it."""
    with sessions() as session:
        session.execute(insert(Person).values(id=1, name="Ada"))
        session.rollback()
        session.execute(insert(Person).values(id=2, name="Grace"))
        assert told.names == []
        session.commit()
    assert told.ids == [("person.created", [2])]


def test_bulk_statements_in_savepoints(sessions: Maker, told: Told) -> None:
    """They go with the savepoint in which they were executed."""
    with sessions.begin() as session:
        session.execute(insert(Person).values(id=1, name="Ada"))
        savepoint = session.begin_nested()
        session.execute(update(Person).values(name="Grace"))
        session.execute(delete(Person))
        savepoint.rollback()
    assert told.ids == [("person.created", [1])]


def test_a_session_joined_to_a_connection_waits_for_its_commit(
    sessions: Maker, told: Told, engine: Engine
) -> None:
    """The session's commit is none yet: the connection's is."""
    with engine.connect() as connection:
        transaction = connection.begin()
        with sessions(bind=connection, join_transaction_mode="create_savepoint") as session:
            session.add(Person(id=1, name="Ada"))
            session.commit()
            session.add(Person(id=2, name="Grace"))
            session.commit()
        assert told.names == []
        transaction.commit()
        assert told.ids == [("person.created", [1]), ("person.created", [2])]


@pytest.mark.parametrize("mode", ["create_savepoint", "rollback_only", "conditional_savepoint"])
def test_a_session_joined_to_a_connection_that_is_rolled_back(
    sessions: Maker, told: Told, engine: Engine, mode: str
) -> None:
    """Nothing is told, whatever the way in which it joins; and nothing is left for the connection's next use."""
    with engine.connect() as connection:
        transaction = connection.begin()
        with sessions(bind=connection, join_transaction_mode=mode) as session:
            session.add(Person(id=1, name="Ada"))
            session.commit()
        transaction.rollback()
        connection.execute(text("select 1"))
        connection.commit()
    assert told.names == []


def test_a_joined_connection_that_is_closed(sessions: Maker, told: Told, engine: Engine) -> None:
    """A connection that goes back to its pool without a commit is rolled back."""
    with engine.connect() as connection:
        connection.begin()
        with sessions(bind=connection) as session:
            session.add(Person(id=1, name="Ada"))
            session.commit()
    with engine.begin() as connection:
        connection.execute(text("select 1"))
    assert told.names == []


def test_a_savepoint_of_the_connection_around_a_session(sessions: Maker, told: Told, engine: Engine) -> None:
    """A savepoint of the connection's own that is rolled back takes along what sessions committed within it."""
    with engine.begin() as connection:
        with sessions(bind=connection) as session:
            session.add(Person(id=1, name="Ada"))
            session.commit()
        savepoint = connection.begin_nested()
        with sessions(bind=connection) as session:
            session.add(Person(id=2, name="Grace"))
            session.commit()
        savepoint.rollback()
        with connection.begin_nested(), sessions(bind=connection) as session:
            session.add(Person(id=3, name="Edith"))
            session.commit()
    assert told.ids == [("person.created", [1]), ("person.created", [3])]


def test_a_session_that_controls_the_connections_transaction(
    sessions: Maker, told: Told, engine: Engine
) -> None:
    """Its commit is the connection's."""
    with engine.connect() as connection:
        connection.begin()
        with sessions(bind=connection, join_transaction_mode="control_fully") as session:
            session.add(Person(id=1, name="Ada"))
            session.commit()
        assert told.names == ["person.created"]


def test_a_session_that_begins_on_a_connection(sessions: Maker, told: Told, engine: Engine) -> None:
    """A connection without a transaction of its own is not joined."""
    with engine.connect() as connection, sessions(bind=connection) as session:
        session.add(Person(id=1, name="Ada"))
        session.commit()
        assert told.names == ["person.created"]


def test_handlers_may_use_the_session_and_the_only_connection(database_url: str, told: Told) -> None:
    """When handlers are called the session can be used again, and its connection is back in the pool."""
    engine = make_engine(database_url, pool_size=1, max_overflow=0, pool_timeout=1)
    seen: list[Any] = []
    with tracked_sessions(engine, told) as maker:
        scoped = scoped_session(maker)

        def look(_batch: object) -> None:
            with engine.connect() as connection:
                seen.append(connection.execute(text("select 1")).scalar())
            seen.append(scoped.get_one(Person, 1).name)

        told.emitter.on("person.created", look)
        scoped.add(Person(id=1, name="Ada"))
        scoped.commit()
        scoped.remove()
    assert seen == [1, "Ada"]
    engine.dispose()


def test_what_handlers_change_is_told_with_their_own_commit(sessions: Maker, told: Told) -> None:
    """A handler that works with a session of its own is tracked like everybody."""

    def note(_batch: object) -> None:
        with sessions.begin() as own:
            own.add(Person(id=2, name="from a handler"))

    def note_once(batch: Any) -> None:
        if batch.events[0].record_id == 1:
            note(batch)

    told.emitter.on("person.created", note_once)
    with sessions.begin() as session:
        session.add(Person(id=1, name="Ada"))
    assert told.ids == [("person.created", [1]), ("person.created", [2])]


def test_a_handler_that_fails_with_the_session_leaves_it_usable(sessions: Maker, told: Told) -> None:
    """A web application's session is the same for all of a thread: neither it nor other handlers are stopped."""
    found: list[int] = []
    with sessions() as session:

        def fail(batch: Any) -> None:
            session.add(Person(id=1, name="taken"))
            session.flush()

        told.emitter.on("person.created", fail)
        told.emitter.on(
            "person.created", lambda _: found.append(session.scalars(select(Person.id)).one()), name="count"
        )
        session.add(Person(id=1, name="Ada"))
        session.commit()
        session.get_one(Person, 1).name = "Grace"
        session.commit()
    assert (found, told.names) == ([1], ["person.created", "person.updated"])


def test_a_handler_that_fails_stops_nobody(
    sessions: Maker, told: Told, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """The mutation is committed, the others are told; the failure is logged and counted."""

    def fail(_batch: object) -> None:
        raise ValueError("no")

    later: list[str] = []
    told.emitter.on("person.*", fail)
    told.emitter.on("person.*", lambda batch: later.append(batch.name), name="later")
    with sessions.begin() as session:
        session.add(Person(name="Ada"))
    assert told.names == later == ["person.created"]
    assert told.emitter.counts.failed == {"fail": 1}
    assert told.emitter.counts.delivered == {"told": 1, "later": 1}
    assert "the handler fail failed on person.created" in caplog.text
    assert "ValueError: no" in caplog.text
    with engine.connect() as connection:
        assert connection.execute(text("select count(*) from person")).scalar() == 1


def test_two_phases(sessions: Maker, told: Told, engine: Engine) -> None:
    """A two-phase commit tells after its second phase; where the server has none, nothing is told."""
    with engine.connect() as connection:
        allowed = connection.execute(text("show max_prepared_transactions")).scalar() != "0"
    with sessions(twophase=True) as session:
        session.add(Person(name="Ada"))
        if allowed:
            session.commit()
        else:
            with pytest.raises(DBAPIError):
                session.commit()
    assert told.names == (["person.created"] if allowed else [])


def test_a_tracking_that_is_stopped_tells_nothing(engine: Engine, told: Told) -> None:
    """`stop()` takes the listeners away, and sessions are as they were."""
    with tracked_sessions(engine, told) as maker:
        pass
    with maker.begin() as session:
        session.add(Person(name="Ada"))
        session.execute(update(Person).values(name="Grace"))
    assert told.names == []


def test_another_maker_is_not_tracked(engine: Engine, sessions: Maker, told: Told) -> None:
    """Only the sessions that were named tell."""
    with sessionmaker(engine).begin() as session:
        session.add(Person(name="Ada"))
    assert told.names == []


def test_raw_statements_are_left_alone(sessions: Maker, told: Told) -> None:
    """Core and text are executed as they are, and not told."""
    with sessions.begin() as session:
        session.execute(text("insert into person (id, workspace_id, name) values (1, 'acme', 'Ada')"))
        assert session.execute(Person.__table__.update().values(name="Grace")).rowcount == 1
        with pytest.raises(ProgrammingError), session.begin_nested():
            session.execute(text("select * from nowhere"))
    assert told.names == []


def test_the_listeners_of_others_run_as_before(sessions: Maker, told: Told) -> None:
    """A listener that changes records in `before_commit` is told of, too."""

    def stamp(session: Session) -> None:
        for record in session.identity_map.values():
            record.age = 7

    event.listen(sessions, "before_commit", stamp)
    with sessions.begin() as session:
        ada = Person(id=1, name="Ada")
        session.add(ada)
        session.flush()
    assert told.ids == [("person.created", [1]), ("person.updated", [1])]
