"""What a flush tells of records: which, what they were and are, and what is not known."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Engine, event, inspect, select
from sqlalchemy.orm import Session, load_only, sessionmaker

from tests.integration.worker.workspace_events.place import (
    DeliveryVan,
    Document,
    Membership,
    Person,
    Pet,
    Told,
    Vehicle,
    tracked_sessions,
)
from upgrader.worker.workspace_events.batch import UNKNOWN, Change, EventAction, ObjectMetadata, RecordEvent
from upgrader.worker.workspace_events.tracked import field

Maker = sessionmaker[Session]
NOON = datetime(2026, 1, 1, 12)


def _one(told: Told) -> RecordEvent:
    ((event,),) = (batch.events for batch in told.take())
    assert isinstance(event, RecordEvent)
    return event


def _ada(sessions: Maker, told: Told, **values: Any) -> None:
    with sessions.begin() as session:
        session.add(Person(id=1, **{"name": "Ada", **values}))
    told.take()


def test_created(sessions: Maker, told: Told) -> None:
    """The batch says whose record of what kind it is; the event has the key and all fields, defaults included."""
    with sessions.begin() as session:
        session.add(Person(name="Ada", tags={"a": 1}))
    (batch,) = told.batches
    assert (batch.name, batch.action, batch.workspace_id) == ("person.created", EventAction.CREATED, "acme")
    assert batch.object_metadata == ObjectMetadata("person", "person", None)
    (event,) = batch.events
    after = {
        "id": 1,
        "workspace_id": "acme",
        "name": "Ada",
        "age": None,
        "tags": {"a": 1},
        "secret": None,
        "deleted_at": None,
    }
    assert event == RecordEvent(1, None, after, ())


def test_what_the_database_puts_in_is_told(sessions: Maker, told: Told) -> None:
    """A server's default comes back with the INSERT."""
    with sessions.begin() as session:
        session.add(Pet(name="Rex"))
    after = _one(told).after
    assert after is not None
    assert isinstance(after["made_at"], datetime)


def test_records_of_one_kind_are_one_batch(sessions: Maker, told: Told) -> None:
    """One flush, one batch for each kind and action; records in the order in which they were added."""
    with sessions.begin() as session:
        session.add_all([Person(id=number, name=f"P{number}") for number in (3, 1, 2)])
        session.add(Pet(id=7, name="Rex"))
    assert sorted(told.ids) == [("person.created", [3, 1, 2]), ("pet.created", [7])]


def test_updated(sessions: Maker, told: Told) -> None:
    """Changed fields have their old and new values; a value that was set to what it was has not changed."""
    _ada(sessions, told, age=36)
    with sessions.begin() as session:
        person = session.get_one(Person, 1)
        person.name = "Ada Lovelace"
        person.age = 36
    event = _one(told)
    assert event.updated_fields == ("name",)
    assert event.changes == {"name": Change("Ada", "Ada Lovelace")}
    assert event.before is not None
    assert (event.before["name"], event.before["age"]) == ("Ada", 36)


def test_nothing_changed(sessions: Maker, told: Told) -> None:
    """A record that is as it was is not told."""
    _ada(sessions, told)
    with sessions.begin() as session:
        person = session.get_one(Person, 1)
        person.name = "Grace"
        person.name = "Ada"
    assert told.names == []


def test_an_old_value_that_was_not_loaded_is_unknown(sessions: Maker, told: Told) -> None:
    """Nobody asks the database for it, and None is not pretended."""
    with sessions() as session:
        person = Person(id=1, name="Ada", age=36)
        session.add(person)
        session.commit()
        told.take()
        person.name = "Grace"  # the commit expired all that was loaded
        session.commit()
    event = _one(told)
    assert event.changes == {"name": Change(UNKNOWN, "Grace")}


def test_null_is_not_unknown(sessions: Maker, told: Told) -> None:
    """A field that was NULL, and is known to have been, was None."""
    _ada(sessions, told)
    with sessions.begin() as session:
        session.get_one(Person, 1).age = 36
    assert _one(told).changes == {"age": Change(None, 36)}


def test_an_sql_expression(sessions: Maker, told: Told) -> None:
    """It is told that the field changed, and from what; what it became the database alone knows."""
    _ada(sessions, told, age=36)
    with sessions.begin() as session:
        session.get_one(Person, 1).age = Person.age + 1  # type: ignore[assignment] # an expression is allowed
    assert _one(told).changes == {"age": Change(36, UNKNOWN)}


def test_a_field_that_updates_set_by_themselves(sessions: Maker, told: Told) -> None:
    """`onupdate` in the database: it changed, and what it became the database alone knows."""
    with sessions.begin() as session:
        session.add(Pet(id=1, name="Rex"))
    told.take()
    with sessions.begin() as session:
        session.get_one(Pet, 1).name = "Max"
    assert _one(told).changes == {"name": Change("Rex", "Max"), "changed_at": Change(None, UNKNOWN)}


def test_a_version_and_a_field_that_the_mapping_sets(sessions: Maker, told: Told) -> None:
    """A flush puts the new values where the old ones were: they are told apart all the same."""
    with sessions.begin() as session:
        session.add(Document(id=1, title="A"))
    told.take()
    with sessions.begin() as session:
        session.get_one(Document, 1).title = "B"
    event = _one(told)
    assert event.changes == {
        "title": Change("A", "B"),
        "version": Change(1, 2),
        "changed": Change(False, True),
    }


def test_a_field_that_is_set_to_another_one(sessions: Maker, told: Told) -> None:
    """An attribute of the class is an SQL expression like any other."""
    with sessions.begin() as session:
        session.add(Document(id=1, title="A", subtitle="S"))
    told.take()
    with sessions.begin() as session:
        session.get_one(Document, 1).title = Document.subtitle  # type: ignore[assignment] # it is allowed
    assert _one(told).changes["title"] == Change("A", UNKNOWN)


def test_a_record_that_is_changed_and_deleted(sessions: Maker, told: Told) -> None:
    """What its row held is told, not what was never written."""
    with sessions.begin() as session:
        session.add(Document(id=1, title="A", subtitle="S"))
    told.take()
    with sessions.begin() as session:
        document = session.get_one(Document, 1)
        document.title, document.subtitle = "never written", Document.title  # type: ignore[assignment] # it is allowed
        session.delete(document)
    before = _one(told).before or {}
    assert (before["title"], before["subtitle"], before["version"]) == ("A", "S", 1)


def test_a_deferred_field_is_unknown(sessions: Maker, told: Told) -> None:
    """A field that is not loaded with its record is not loaded for this."""
    with sessions.begin() as session:
        session.add(Pet(id=1, name="Rex", biography="long"))
    assert _one(told).after["biography"] == "long"  # type: ignore[index] # a created record has one
    with sessions.begin() as session:
        session.get_one(Pet, 1).name = "Max"
    assert _one(told).after["biography"] is UNKNOWN  # type: ignore[index] # and so has an updated one


def test_what_was_told_does_not_change_with_the_record(sessions: Maker, told: Told) -> None:
    """JSON is copied; records may be changed within the same transaction."""
    tags = {"a": [1]}
    with sessions.begin() as session:
        session.add(Person(id=1, name="Ada", tags=tags))
        session.flush()
        tags["a"].append(2)
    assert _one(told).after["tags"] == {"a": [1]}  # type: ignore[index] # a created record has one


def test_a_row_that_is_gone(sessions: Maker, told: Told) -> None:
    """It is destroyed where there are soft deletes, else deleted; its fields are told as they were."""
    with sessions.begin() as session:
        session.add_all([Person(id=1, name="Ada"), Pet(id=2, name="Rex")])
    told.take()
    with sessions.begin() as session:
        session.delete(session.get_one(Person, 1))
        session.delete(session.get_one(Pet, 2))
    gone = {batch.name: batch.events[0] for batch in told.batches}
    assert set(gone) == {"person.destroyed", "pet.deleted"}
    assert (gone["person.destroyed"].before["name"], gone["person.destroyed"].after) == ("Ada", None)


def test_soft_deletes_and_restorations(sessions: Maker, told: Told) -> None:
    """The column that was configured decides, whatever else changes; moving the time of a deletion is an update."""
    _ada(sessions, told)
    for value in (NOON, NOON.replace(hour=13), None):
        with sessions.begin() as session:
            person = session.get_one(Person, 1)
            person.deleted_at = value
            person.age = NOON.hour
    assert told.names == ["person.deleted", "person.updated", "person.restored"]
    assert told.batches[0].events[0].changes["deleted_at"] == Change(None, NOON)


def test_orphans_and_cascades(sessions: Maker, told: Told) -> None:
    """Rows that the flush deletes by itself are told; so are foreign keys that it sets."""
    with sessions.begin() as session:
        session.add(Person(id=1, name="Ada", pets=[Pet(id=1, name="Rex"), Pet(id=2, name="Max")]))
    assert [
        event.after["owner_id"] for batch in told.take() for event in batch.events if batch.name[:3] == "pet"
    ] == [
        1,
        1,
    ]
    with sessions.begin() as session:
        person = session.get_one(Person, 1)
        del person.pets[0]
    assert told.ids == [("pet.deleted", [1])]
    told.take()
    with sessions.begin() as session:
        session.delete(session.get_one(Person, 1))
    assert sorted(told.ids) == [("person.destroyed", [1]), ("pet.deleted", [2])]


def test_a_key_that_changes(sessions: Maker, told: Told) -> None:
    """The record's id is the new one; the old one stands in the change."""
    _ada(sessions, told)
    with sessions.begin() as session:
        session.get_one(Person, 1).id = 2
    event = _one(told)
    assert (event.record_id, event.changes) == (2, {"id": Change(1, 2)})


def test_a_key_of_two_columns_and_a_name_of_its_own(sessions: Maker, told: Told) -> None:
    """The id is a tuple; a class may say what its records are called."""
    with sessions.begin() as session:
        session.add(Membership(team="blue", person=1))
    assert told.ids == [("member.created", [("blue", 1)])]


def test_inheritance(sessions: Maker, told: Told) -> None:
    """A record is told under the name of its own class, with the fields of all its tables."""
    with sessions.begin() as session:
        session.add_all([DeliveryVan(id=1, load=900), Vehicle(id=2)])
    told.take()
    with sessions.begin() as session:
        session.get_one(DeliveryVan, 1).wheels = 6
    (batch,) = told.batches
    assert (batch.name, batch.events[0].after) == (
        "delivery_van.updated",
        {"id": 1, "kind": "van", "wheels": 6, "load": 900},
    )


def test_merge_and_expunge(sessions: Maker, told: Told) -> None:
    """Merging inserts or updates; what is expunged before the flush never happened."""
    _ada(sessions, told)
    with sessions.begin() as session:
        session.merge(Person(id=1, name="Grace"))
        session.merge(Person(id=2, name="Edith"))
        stranger = Person(id=3, name="Nobody")
        session.add(stranger)
        session.expunge(stranger)
    assert sorted(told.ids) == [("person.created", [2]), ("person.updated", [1])]


def test_a_row_that_is_replaced(sessions: Maker, told: Told) -> None:
    """Deleting a record and adding one with its key in one flush is told as both, in this order."""
    _ada(sessions, told)
    with sessions.begin() as session:
        session.delete(session.get_one(Person, 1))
        session.add(Person(id=1, name="Grace"))
    assert told.ids == [("person.destroyed", [1]), ("person.created", [1])]
    assert told.batches[0].events[0].before["name"] == "Ada"


def test_what_a_replaced_row_keeps(engine: Engine, told: Told) -> None:
    """The new record takes over the row, and what it does not set stays as it was: the workspace, too."""
    with tracked_sessions(engine, told, workspace_id=field("workspace_id")) as maker:
        with maker.begin() as session:
            session.add(Person(id=1, workspace_id="w1", name="Ada", age=36))
        told.take()
        for expired in ([], ["workspace_id", "age"], None):
            with maker.begin() as session:
                ada = session.get_one(Person, 1)
                if expired != []:
                    session.expire(ada, expired)
                session.delete(ada)
                session.add(Person(id=1, name="Grace"))
            gone, created = told.take()
            assert (gone.workspace_id, created.workspace_id) == ("w1", "w1")
            with maker() as session:
                row = session.execute(select(Person.workspace_id, Person.name, Person.age)).one()
            assert tuple(row) == ("w1", "Grace", 36)
            after = created.events[0].after
            assert (after["workspace_id"], after["name"], after["age"]) in (
                tuple(row),
                (UNKNOWN, "Grace", UNKNOWN),
            )


def test_fields_that_are_excluded(engine: Engine, told: Told) -> None:
    """They are told nowhere; a record of which nothing else changed is not told."""
    with tracked_sessions(engine, told, excluded_fields=["secret"]) as maker:
        with maker.begin() as session:
            session.add(Person(id=1, name="Ada", secret="hush"))
        assert "secret" not in (_one(told).after or {})
        with maker.begin() as session:
            session.get_one(Person, 1).secret = "other"
    assert told.names == []


def test_only_some_classes_under_other_names(engine: Engine, told: Told) -> None:
    """`only` chooses classes with their subclasses; `object_name` names them."""
    options = {"only": [Vehicle], "object_name": lambda cls: cls.__name__.upper()}
    with tracked_sessions(engine, told, **options) as maker, maker.begin() as session:
        session.add_all([Person(name="Ada"), DeliveryVan(id=1, load=1)])
    assert told.names == ["DELIVERYVAN.created"]


def test_a_name_that_no_event_can_have(engine: Engine, told: Told) -> None:
    """It fails the flush, so that nothing is changed that nobody could be told of."""
    with (
        tracked_sessions(engine, told, object_name=lambda cls: f"a {cls.__name__}") as maker,
        maker() as session,
    ):
        session.add(Person(name="Ada"))
        with pytest.raises(ValueError, match=r"'a Person\.created' is no name of an event"):
            session.commit()
        session.rollback()
        assert session.query(Person).count() == 0
    assert told.names == []


def test_the_workspace_of_the_session(engine: Engine, told: Told) -> None:
    """A function is given the session; what it raises fails the flush, so that nothing goes untold."""
    with tracked_sessions(engine, told, workspace_id=lambda session: session.info["tenant"]) as maker:
        with maker.begin() as session:
            session.info["tenant"] = 42
            session.add(Person(id=1, name="Ada"))
        assert [batch.workspace_id for batch in told.batches] == ["42"]
        with maker() as session:
            session.add(Person(id=2, name="Grace"))
            with pytest.raises(KeyError):
                session.commit()


def test_the_workspace_of_the_records(engine: Engine, told: Told) -> None:
    """Each workspace has a batch of its own; classes without the field belong to none."""
    with tracked_sessions(engine, told, workspace_id=field("workspace_id")) as maker:
        with maker() as session:
            people = [Person(id=number, name="P", workspace_id=f"w{number % 2}") for number in (1, 2, 3)]
            session.add_all([*people, Pet(id=1, name="Rex")])
            session.commit()
            found = {(batch.name, batch.workspace_id): len(batch.events) for batch in told.take()}
            assert found == {
                ("person.created", "w1"): 2,
                ("person.created", "w0"): 1,
                ("pet.created", None): 1,
            }
            people[0].name = "Q"  # expired: the workspace is asked for
            assert "workspace_id" in inspect(people[0]).expired_attributes
            session.commit()
        assert [batch.workspace_id for batch in told.take()] == ["w1"]


def test_the_workspace_of_records_that_have_not_loaded_it(engine: Engine, told: Told) -> None:
    """It is asked for once for all records of a kind, and of those that are deleted while they are there."""
    executed: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *given: executed.append(given[2]))
    with tracked_sessions(engine, told, workspace_id=field("name")) as maker:
        with maker.begin() as session:
            session.add_all([Pet(id=number, name=f"w{number % 2}") for number in range(4)])
        told.take()
        for change in (_describe, Session.delete):
            with maker.begin() as session:
                pets = session.scalars(select(Pet).options(load_only(Pet.owner_id))).all()
                for pet in pets:
                    change(session, pet)
                executed.clear()
                session.flush()
                assert sum(statement.startswith("SELECT") for statement in executed) == 1
            found = {batch.workspace_id: [one.record_id for one in batch.events] for batch in told.take()}
            assert found == {"w0": [0, 2], "w1": [1, 3]}


def test_the_workspace_of_a_record_that_is_moved_and_deleted(engine: Engine, told: Told) -> None:
    """What was set before the deletion was never written: it is told to whom it belonged, loaded or not."""
    with tracked_sessions(engine, told, workspace_id=field("name")) as maker:
        for is_loaded in (True, False):
            with maker.begin() as session:
                pet = Pet(id=1, name="w1")
                session.add(pet)
                session.flush()
                if not is_loaded:
                    session.expire(pet)
                pet.name = "w2"
                session.delete(pet)
            assert [(batch.name, batch.workspace_id) for batch in told.take()] == [
                ("pet.created", "w1"),
                ("pet.deleted", "w1"),
            ]


def _describe(_session: Session, pet: Pet) -> None:
    pet.biography = "long"


def test_nothing_is_read_where_nobody_listens(engine: Engine) -> None:
    """Without a handler for it a record is not even looked at."""
    told = Told()
    told.emitter.unsubscribe(*told.emitter.event_subscriptions())
    told.emitter.on("pet.created", told.batches.append)
    asked: list[Session] = []

    def tenant(session: Session) -> str:
        asked.append(session)
        return "acme"

    with tracked_sessions(engine, told, workspace_id=tenant) as maker:
        with maker.begin() as session:
            session.add(Person(name="Ada"))
        assert asked == []
        with maker.begin() as session:
            session.add(Pet(name="Rex"))
    assert (len(asked), told.names) == (1, ["pet.created"])
