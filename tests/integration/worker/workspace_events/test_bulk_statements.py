"""ORM statements that change many records: what they tell, and that their callers get what they asked for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import (
    ARRAY,
    Engine,
    Float,
    TypeDecorator,
    bindparam,
    delete,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, aliased, mapped_column, sessionmaker

from tests.integration.worker.workspace_events.place import (
    Base,
    DeliveryVan,
    Document,
    Person,
    Pet,
    Told,
    Vehicle,
    tracked_sessions,
)
from tests.support.server import PostgresServer
from upgrader.worker.workspace_events.batch import UNKNOWN, Change, RecordEvent
from upgrader.worker.workspace_events.tracked import field
from upgrader.worker.workspace_events.tracking import track_events

Maker = sessionmaker[Session]


@pytest.fixture
def people(sessions: Maker, told: Told) -> Iterator[Session]:
    """A session in a database with three people, of whom nothing is loaded."""
    with sessions.begin() as session:
        session.add_all([Person(id=number, name=f"P{number}", age=number * 10) for number in (1, 2, 3)])
    told.take()
    with sessions() as session:
        yield session


def _events(told: Told) -> list[RecordEvent]:
    (batch,) = told.take()
    return sorted(batch.events, key=lambda event: event.record_id)


def _old(server: PostgresServer, value: object) -> object:
    """Give what an old value is told as: PostgreSQL 18 gives it back, those before do not."""
    return value if server.version >= 18 else UNKNOWN


def test_insert_values(sessions: Maker, told: Told) -> None:
    """One record, with what the database put in; the caller still has the key."""
    with sessions.begin() as session:
        result = session.execute(insert(Person).values(name="Ada"))
        assert tuple(result.inserted_primary_key) == (1,)  # type: ignore[attr-defined] # an INSERT's result has it
    (event,) = _events(told)
    assert (event.record_id, event.before, event.after["workspace_id"]) == (1, None, "acme")  # type: ignore[index]  # it is there


def test_insert_with_values_beside_it(sessions: Maker, told: Told) -> None:
    """One set of values that is not in the statement, of a class with one table and of one with two."""
    with sessions.begin() as session:
        session.execute(insert(Person), {"name": "Ada"})
        raw = session.execute(insert(Person), {"name": "Grace"}, execution_options={"dml_strategy": "raw"})
        assert tuple(raw.inserted_primary_key) == (2,)  # type: ignore[attr-defined] # an INSERT's result has it
        session.execute(insert(DeliveryVan), {"id": 7, "load": 900})
    assert told.ids == [("person.created", [1]), ("person.created", [2]), ("delivery_van.created", [7])]
    assert [batch.events[0].after["name"] for batch in told.batches[:2]] == ["Ada", "Grace"]


def test_insert_many(sessions: Maker, told: Told) -> None:
    """All records of a statement are one batch."""
    with sessions.begin() as session:
        session.execute(insert(Person), [{"name": f"P{number}"} for number in range(1500)])
    assert [event.after["name"] for event in _events(told)] == [f"P{n}" for n in range(1500)]  # type: ignore[index]  # it is there


def test_insert_from_select(people: Session, told: Told) -> None:
    """What the database copies by itself is told, too."""
    source = select(Person.id + 10, Person.workspace_id, Person.name)
    people.execute(insert(Person).from_select(["id", "workspace_id", "name"], source))
    people.commit()
    assert [event.record_id for event in _events(told)] == [11, 12, 13]


def test_update(people: Session, told: Told, server: PostgresServer) -> None:
    """All records that matched, with what they are now; old values where the server tells them."""
    result = people.execute(update(Person).where(Person.id > 1).values(name="Same", age=Person.age + 1))
    assert result.rowcount == 2  # type: ignore[attr-defined] # an UPDATE's result has it
    people.commit()
    two, three = _events(told)
    assert two.updated_fields == ("name", "age")
    assert two.changes == {"name": Change(_old(server, "P2"), "Same"), "age": Change(_old(server, 20), 21)}
    assert (three.record_id, three.after["age"]) == (3, 31)  # type: ignore[index] # an update has one


def test_update_tells_what_it_set_where_the_old_values_are_unknown(
    people: Session, told: Told, server: PostgresServer
) -> None:
    """A field that is set to what it was counts as changed only where nobody knows better."""
    people.execute(update(Person).where(Person.id == 1).values({Person.name: "P1", "age": 11}))
    people.commit()
    (event,) = _events(told)
    assert event.updated_fields == (("age",) if server.version >= 18 else ("name", "age"))


def test_update_of_loaded_records(people: Session, told: Told) -> None:
    """The session's records are brought up to date as ever, and the update is told once."""
    person = people.get_one(Person, 1)
    people.execute(update(Person).values(name="Same"))
    assert person.name == "Same"
    people.commit()
    assert len(_events(told)) == 3


@pytest.mark.parametrize("strategy", ["auto", "evaluate", "fetch", False])
def test_ways_to_synchronise(people: Session, told: Told, strategy: str | bool) -> None:
    """Whatever the session does for its records, the statement is told."""
    person = people.get_one(Person, 1)
    options = {"synchronize_session": strategy}
    people.execute(update(Person).where(Person.age < 20).values(name="Young"), execution_options=options)
    assert person.name == ("P1" if strategy is False else "Young")
    people.execute(delete(Person).where(Person.id == 1), execution_options=options)
    people.commit()
    assert told.ids == [("person.updated", [1]), ("person.destroyed", [1])]


def test_update_by_primary_key(people: Session, told: Told) -> None:
    """One set of values per record: what it sets is told, all else is unknown."""
    people.execute(update(Person), [{"id": 1, "name": "A"}, {"id": 2, "name": "B"}])
    people.commit()
    one, two = _events(told)
    assert one.changes == {"name": Change(UNKNOWN, "A")}
    assert (two.record_id, two.after["age"]) == (2, UNKNOWN)  # type: ignore[index] # an update has one


def test_soft_deletes(people: Session, told: Told, server: PostgresServer) -> None:
    """Setting the column is a deletion, clearing it a restoration."""
    people.execute(update(Person).where(Person.id == 1).values(deleted_at=datetime(2026, 1, 1)))
    people.execute(update(Person).values(deleted_at=None))
    people.commit()
    # Where old values are known, so is that two of the three were not deleted, and nothing changed for them.
    restored = [1] if server.version >= 18 else [1, 2, 3]
    assert [(name, sorted(ids)) for name, ids in told.ids] == [
        ("person.deleted", [1]),
        ("person.restored", restored),
    ]


def test_delete(people: Session, told: Told) -> None:
    """What is gone is told as it was, loaded or not."""
    result = people.execute(delete(Person).where(Person.age >= 20))
    assert result.rowcount == 2  # type: ignore[attr-defined] # a DELETE's result has it
    people.commit()
    assert [(event.before["name"], event.after) for event in _events(told)] == [("P2", None), ("P3", None)]  # type: ignore[index]  # it is there


def test_delete_that_matches_nothing(people: Session, told: Told) -> None:
    """No records, no batch."""
    assert people.execute(delete(Person).where(Person.id == 99)).rowcount == 0  # type: ignore[attr-defined]  # a CursorResult
    people.commit()
    assert told.names == []


def test_upsert(people: Session, told: Told, server: PostgresServer) -> None:
    """Upserts have an action of their own; PostgreSQL 18 tells which records were there."""
    statement = upsert(Person).values([{"id": 1, "name": "New 1"}, {"id": 9, "name": "New 9"}])
    people.execute(
        statement.on_conflict_do_update(index_elements=["id"], set_={"name": statement.excluded.name})
    )
    people.commit()
    assert told.names == ["person.upserted"]
    one, nine = _events(told)
    assert one.after["name"] == "New 1"  # type: ignore[index] # an upsert has one
    if server.version >= 18:
        assert (one.changes, nine.before) == ({"name": Change("P1", "New 1")}, None)
    else:
        assert one.before is not None
        assert one.before["name"] is UNKNOWN


def test_upsert_that_does_nothing(people: Session, told: Told) -> None:
    """ON CONFLICT DO NOTHING inserts some; they are created, the others did not change."""
    rows = [{"id": 1, "name": "New 1"}, {"id": 9, "name": "New 9"}]
    people.execute(upsert(Person).on_conflict_do_nothing(), rows)
    people.commit()
    assert told.ids == [("person.created", [9])]


def test_a_caller_that_asks_for_records(people: Session, told: Told) -> None:
    """RETURNING of the caller's own comes back as it asked for it, and the statement is told all the same."""
    made = people.scalars(
        insert(Person).returning(Person), [{"id": 8, "name": "A"}, {"id": 9, "name": "B"}]
    ).all()
    assert [person.name for person in made] == ["A", "B"]
    assert all(person in people for person in made)
    rows = people.execute(
        update(Person).where(Person.id == 1).values(name="Z").returning(Person.id, Person.name)
    )
    assert rows.all() == [(1, "Z")]
    assert people.execute(delete(Person).where(Person.id == 2).returning(Person.age)).scalar_one() == 20
    people.commit()
    assert told.ids == [
        ("person.created", [8, 9]),
        ("person.updated", [1]),
        ("person.destroyed", [2]),
    ]


def test_records_that_are_selected_from_a_statement(
    people: Session, told: Told, server: PostgresServer
) -> None:
    """`select(…).from_statement(…)` of a statement that changes records: its caller has them, and it is told."""
    changed = update(Person).where(Person.id < 3).values(name="Same").returning(Person)
    assert [person.name for person in people.scalars(select(Person).from_statement(changed))] == ["Same"] * 2
    made = insert(Person).values(id=8, name="Eight").returning(Person)
    assert people.scalars(select(Person).from_statement(made)).one().name == "Eight"
    statement = upsert(Person).values([{"id": 8, "name": "New 8"}, {"id": 9, "name": "New 9"}])
    either = statement.on_conflict_do_update(
        index_elements=["id"], set_={"name": statement.excluded.name}
    ).returning(Person.name, Person.id)
    rows = people.execute(select(Person.id, Person.name).from_statement(either))
    assert rows.all() == [(8, "New 8"), (9, "New 9")]
    gone = delete(Person).where(Person.id == 9).returning(Person)
    whole = select(Person).from_statement(gone)
    assert people.scalars(whole, execution_options={"populate_existing": True}).one().id == 9
    people.commit()
    assert told.ids == [
        ("person.updated", [1, 2]),
        ("person.created", [8]),
        ("person.upserted", [8, 9]),
        ("person.destroyed", [9]),
    ]
    assert told.batches[0].events[0].changes == {"name": Change(_old(server, "P1"), "Same")}


def test_the_old_way_to_write_it(people: Session, told: Told) -> None:
    """`Query.update` and `Query.delete` are the same statements, with their counts."""
    assert people.query(Person).filter(Person.id == 1).update({"name": "X"}) == 1
    assert people.query(Person).filter(Person.id > 1).delete() == 2
    people.commit()
    assert told.names == ["person.updated", "person.destroyed"]


def test_bound_parameters(people: Session, told: Told) -> None:
    """A statement with parameters of its own is executed with them."""
    statement = update(Person).where(Person.id == bindparam("wanted")).values(name="Q")
    people.execute(statement, {"wanted": 2})
    people.execute(update(Person).where(Person.id == 3), {"name": "R"})
    people.commit()
    assert told.ids == [("person.updated", [2]), ("person.updated", [3])]
    assert [batch.events[0].updated_fields for batch in told.batches] == [("name",), ("name",)]


def test_the_workspace_of_the_records(engine: Engine, told: Told) -> None:
    """Each workspace has a batch of its own, even where its field is not told."""
    options = {"workspace_id": field("workspace_id"), "excluded_fields": ["workspace_id"]}
    with tracked_sessions(engine, told, **options) as maker, maker.begin() as session:
        session.execute(insert(Person), [{"name": "A", "workspace_id": name} for name in ("w1", "w2")])
        session.execute(update(Person).values(name="B"))
        session.execute(delete(Person))
    found = sorted((batch.name, batch.workspace_id) for batch in told.batches)
    assert found == sorted(
        (f"person.{action}", name) for action in ("created", "updated", "destroyed") for name in ("w1", "w2")
    )
    assert not any(
        "workspace_id" in (event.after or event.before) for batch in told.batches for event in batch.events
    )


def test_the_workspace_of_records_whose_statement_does_not_say_it(engine: Engine, told: Told) -> None:
    """It is asked for: an event without a workspace would be the instance's."""
    with (
        tracked_sessions(engine, told, workspace_id=field("workspace_id")) as maker,
        maker.begin() as session,
    ):
        session.execute(insert(Person), [{"id": 1, "name": "A", "workspace_id": "w1"}])
        session.execute(insert(Person), [{"id": 2, "name": "A", "workspace_id": "w2"}])
        session.execute(update(Person), [{"id": 1, "name": "B"}, {"id": 2, "name": "B"}])
    with tracked_sessions(engine, told, workspace_id=field("kind")) as maker, maker.begin() as session:
        session.add(DeliveryVan(id=1, load=900))
        session.flush()
        session.execute(update(DeliveryVan).values(load=1000))
    updated = [(batch.name, batch.workspace_id) for batch in told.batches if batch.name.endswith("updated")]
    assert updated == [("person.updated", "w1"), ("person.updated", "w2"), ("delivery_van.updated", "van")]


def test_the_workspace_of_records_in_a_schema_that_the_statement_says(engine: Engine, told: Told) -> None:
    """They are asked for where the statement has changed them."""
    options = {"schema_translate_map": {None: "tenant"}}
    with engine.begin() as connection:
        connection.execute(text("create schema tenant"))
        Base.metadata.create_all(connection.execution_options(**options))
    with tracked_sessions(engine, told, workspace_id=field("kind")) as maker, maker.begin() as session:
        session.execute(insert(Vehicle).values(id=1, kind="van"), execution_options=options)
        session.execute(insert(DeliveryVan.__table__).values(id=1, load=900), execution_options=options)
        session.execute(update(DeliveryVan).values(load=1000), execution_options=options)
    assert [(batch.name, batch.workspace_id) for batch in told.batches] == [
        ("vehicle.created", "van"),
        ("delivery_van.updated", "van"),
    ]


def test_deferred_and_renamed_columns(sessions: Maker, told: Told) -> None:
    """A deferred column is not read for this; fields go by the names of the class."""
    with sessions.begin() as session:
        session.execute(insert(Pet).values(id=1, name="Rex", biography="long"))
        session.execute(update(Pet).values(biography="longer"))
    created, updated = told.batches
    assert created.events[0].after["biography"] is UNKNOWN
    assert (
        "biography" not in updated.events[0].updated_fields or updated.events[0].after["biography"] is UNKNOWN
    )


def test_inheritance(sessions: Maker, told: Told) -> None:
    """A statement changes one table; the fields of the others are unknown."""
    with sessions.begin() as session:
        session.add(DeliveryVan(id=1, load=900))
    told.take()
    with sessions.begin() as session:
        session.execute(update(DeliveryVan).values(load=1000))
        session.execute(update(Vehicle).values(wheels=6))
    van, vehicle = told.batches
    assert (van.name, van.events[0].after) == (
        "delivery_van.updated",
        {"id": 1, "kind": UNKNOWN, "wheels": UNKNOWN, "load": 1000},
    )
    assert (vehicle.name, vehicle.events[0].after["wheels"]) == ("vehicle.updated", 6)


def test_many_sets_of_values_for_a_statement_of_cores(people: Session, told: Told) -> None:
    """Which rows it changes nobody is told; so nothing is invented."""
    statement = update(Person).where(Person.id == bindparam("wanted")).values(name=bindparam("given"))
    rows = [{"wanted": 1, "given": "X"}, {"wanted": 2, "given": "Y"}]
    people.execute(
        statement, rows, execution_options={"dml_strategy": "core_only", "synchronize_session": None}
    )
    people.execute(update(Person), [{"id": 3}])
    people.commit()
    assert told.names == []
    assert people.scalars(select(Person.name).order_by(Person.id)).all() == ["X", "Y", "P3"]


def test_two_trackings_of_the_same_sessions(sessions: Maker, told: Told, server: PostgresServer) -> None:
    """Each is told the same; the caller still has what a result has without them."""
    other = Told()
    tracking = track_events(
        sessions,
        workspace_id="acme",
        emitter=other.emitter,
        excluded_fields=["name"],
        soft_delete_field="deleted_at",
    )
    with sessions.begin() as session:
        assert session.execute(insert(Person).values(name="A")).inserted_primary_key == (1,)  # type: ignore[attr-defined]  # a CursorResult
        assert session.query(Person).update({"age": 5}) == 1
        read = select(Person).from_statement(update(Person).values(age=6).returning(Person))
        assert [one.id for one in session.scalars(read)] == [1]
        written = session.execute(_ada_again())
        assert written.inserted_primary_key == (1,)  # type: ignore[attr-defined]  # a CursorResult
        assert session.execute(delete(Person)).rowcount == 1  # type: ignore[attr-defined]  # a CursorResult
    tracking.stop()
    names = ["created", "updated", "updated", "upserted", "destroyed"]
    assert [batch.name for batch in told.batches] == [batch.name for batch in other.batches]
    assert told.names == [f"person.{name}" for name in names]
    for one in (told, other):
        events = [batch.events[0] for batch in one.batches]
        assert [event.after and event.after["age"] for event in events] == [None, 5, 6, 7, None]
        old = [_old(server, value) for value in (None, 5, 6)]
        assert [event.before["age"] for event in events[1:4]] == old


def test_an_upsert_gives_the_key(people: Session, told: Told) -> None:
    """One of a single record has it, as without anybody who listens."""
    assert people.execute(_ada_again()).inserted_primary_key == (1,)  # type: ignore[attr-defined]  # a CursorResult
    people.commit()
    assert told.ids == [("person.upserted", [1])]


def _ada_again() -> Any:
    return (
        upsert(Person)
        .values(id=1, name="A", age=7)
        .on_conflict_do_update(index_elements=[Person.id], set_={"age": 7})
    )


def test_an_alias(people: Session, told: Told) -> None:
    """A statement may call its table by another name."""
    other = aliased(Person)
    people.execute(update(other).where(other.id == 1).values({other.name: "X"}))
    people.execute(delete(other).where(other.id == 2))  # SQLAlchemy cannot give this one a RETURNING
    people.execute(delete(other).where(other.id == 3), execution_options={"synchronize_session": False})
    people.commit()
    assert told.ids == [("person.updated", [1]), ("person.destroyed", [3])]
    assert told.batches[0].events[0].updated_fields == ("name",)
    assert people.scalars(select(Person.id)).all() == [1]


def test_records_whose_collections_are_loaded_along(people: Session, told: Told) -> None:
    """The caller decides what to do with rows that might be there twice."""
    added = insert(Document).returning(Document)
    rows = [{"id": number, "title": "A", "version": 1} for number in (1, 2, 3)]
    assert {one.id for one in people.scalars(added, rows).unique()} == {1, 2, 3}
    people.commit()
    assert [len(batch.events) for batch in told.batches] == [3]


def test_a_statement_that_shall_not_be_told(people: Session, told: Told) -> None:
    """An execution option switches it off: a statement that changes millions of rows gives back none."""
    people.execute(update(Person).values(name="X"), execution_options={"workspace_events": False})
    people.commit()
    assert told.names == []


def test_a_caller_without_records(people: Session, told: Told) -> None:
    """A select goes its way."""
    assert people.scalars(select(Person.id).order_by(Person.id)).all() == [1, 2, 3]
    assert people.execute(text("select 1")).scalar() == 1
    assert told.names == []


class _Elementwise:
    """An array as NumPy has them: it is compared element by element, and as a whole neither true nor false."""

    def __init__(self, elements: list[float]) -> None:
        self._elements = elements

    def __eq__(self, other: object) -> Any:
        return _Elementwise([one == two for one, two in zip(self._elements, _elements(other), strict=True)])

    def __ne__(self, other: object) -> Any:
        return _Elementwise([one != two for one, two in zip(self._elements, _elements(other), strict=True)])

    def __bool__(self) -> bool:
        raise ValueError("the truth value of an array with more than one element is ambiguous")

    def tolist(self) -> list[float]:
        return self._elements


def _elements(value: object) -> list[float]:
    return value.tolist() if isinstance(value, _Elementwise) else [float("nan")] * 2


class _Vector(TypeDecorator[_Elementwise]):
    """What vectors of extensions are read as."""

    impl = ARRAY(Float)
    cache_ok = True

    def process_bind_param(self, value: Any, _dialect: object) -> Any:
        return None if value is None else value.tolist()

    def process_result_value(self, value: Any, _dialect: object) -> Any:
        return None if value is None else _Elementwise(value)


class _Measure(DeclarativeBase):
    pass


class _Measurement(_Measure):
    __tablename__ = "measurement"
    __event_object_name__ = "measurement"

    id: Mapped[int] = mapped_column(primary_key=True)
    room: Mapped[str]
    degrees: Mapped[float]
    vector: Mapped[Any] = mapped_column(_Vector, nullable=True)


def test_values_that_do_not_equal_themselves(engine: Engine, sessions: Maker, told: Told) -> None:
    """Neither NaN nor arrays that are compared by element are told as changed where they are as they were."""
    _Measure.metadata.create_all(engine)
    with sessions.begin() as session:
        session.add(_Measurement(id=1, room="a", degrees=float("nan"), vector=_Elementwise([1.0, 2.0])))
    told.take()
    with sessions.begin() as session:
        session.execute(update(_Measurement).values(room="b"))
        session.execute(update(_Measurement).values(vector=None))
    changed = [[event.updated_fields for event in batch.events] for batch in told.take()]
    assert changed == [[("room",)], [("vector",)]]
