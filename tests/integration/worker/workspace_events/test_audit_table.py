"""The audit table: what was committed and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, event, update
from sqlalchemy.orm import Session, sessionmaker

from tests.integration.worker.workspace_events.place import (
    Membership,
    Person,
    Told,
    make_engine,
    tracked_sessions,
)
from tests.support.server import Role
from upgrader.errors import LayoutError
from upgrader.worker import WorkspaceEventEmitter
from upgrader.worker.workspace_events.audit import AuditTable

Maker = sessionmaker[Session]


@pytest.fixture
def audited(engine: Engine, database_url: str) -> Iterator[Maker]:
    """Makes sessions whose events are written."""
    audit = AuditTable(actor=lambda: "ada")
    audit.create(database_url)
    audit.create(database_url)
    with tracked_sessions(engine, Told(WorkspaceEventEmitter(audit))) as maker:
        yield maker


def _rows(connection: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    return connection.execute(
        "select name, workspace_id, object_name, record_id, before->>'name', after->>'name', updated_fields, actor"
        " from upgrader_worker.workspace_event order by id"
    ).fetchall()


def test_each_event_is_a_row(audited: Maker, connection: psycopg.Connection[Any]) -> None:
    """With who, what, before and after; a key of several columns is one text."""
    with audited.begin() as session:
        session.add(Person(id=1, name="Ada"))
        session.add(Membership(team="blue", person=1))
    with audited.begin() as session:
        session.get_one(Person, 1).name = "Grace"
    with audited.begin() as session:
        session.delete(session.get_one(Person, 1))
    rows = _rows(connection)
    assert sorted(rows[:2]) == [
        ("member.created", "acme", "member", "blue,1", None, None, [], "ada"),
        ("person.created", "acme", "person", "1", None, "Ada", [], "ada"),
    ]
    assert rows[2:] == [
        ("person.updated", "acme", "person", "1", "Ada", "Grace", ["name"], "ada"),
        ("person.destroyed", "acme", "person", "1", "Grace", None, [], "ada"),
    ]


def test_texts_that_only_a_column_of_json_holds(audited: Maker, connection: psycopg.Connection[Any]) -> None:
    """They are no reason to refuse the application's record: what cannot be written is marked."""
    with audited.begin() as session:
        session.add(Person(id=1, name="Ada", tags={"a\x00": "b\x00c", "d": "\ud800", "e": "ö"}))
    found = connection.execute("select after->'tags' from upgrader_worker.workspace_event").fetchone()
    assert found == ({"a\ufffd": "b\ufffdc", "d": "\ufffd", "e": "ö"},)


def test_many_records_are_one_statement(audited: Maker, connection: psycopg.Connection[Any]) -> None:
    """A batch of a bulk statement is written at once, in its order."""
    with audited.begin() as session:
        session.add_all([Person(id=number, name=f"P{number}") for number in range(1, 1001)])
    with audited.begin() as session:
        session.execute(update(Person).values(age=7))
    found = connection.execute(
        "select name, count(*), count(distinct batch_id), count(distinct record_id)"
        " from upgrader_worker.workspace_event group by 1 order by 1"
    ).fetchall()
    assert found == [("person.created", 1000, 1, 1000), ("person.updated", 1000, 1, 1000)]


def test_large_records_are_several_statements(
    audited: Maker, engine: Engine, connection: psycopg.Connection[Any]
) -> None:
    """PostgreSQL's jsonb has an end: a batch beyond it would fail the transaction that it tells of."""
    written: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *given: written.append(given[2]))
    with audited.begin() as session:
        session.add_all([Person(id=number, name="x" * 7_000_000) for number in (1, 2, 3)])
    assert sum("workspace_event" in statement for statement in written) == 2
    found = connection.execute(
        "select array_agg(record_id order by id), count(distinct batch_id) from upgrader_worker.workspace_event"
    ).fetchone()
    assert found == (["1", "2", "3"], 1)


def test_a_rollback_leaves_nothing(audited: Maker, connection: psycopg.Connection[Any]) -> None:
    """Neither of the transaction nor of a savepoint."""
    with audited() as session:
        session.add(Person(id=1, name="Ada"))
        session.flush()
        session.rollback()
        session.add(Person(id=2, name="Grace"))
        session.flush()
        savepoint = session.begin_nested()
        session.get_one(Person, 2).name = "X"
        session.flush()
        savepoint.rollback()
        session.commit()
    assert [row[:4] for row in _rows(connection)] == [("person.created", "acme", "person", "2")]


def test_custom_events(engine: Engine, database_url: str, connection: psycopg.Connection[Any]) -> None:
    """They stand in a column of their own, as plain JSON; an engine is enough to write them by hand."""
    audit = AuditTable(patterns=["mail.*"])
    audit.create(database_url)
    emitter = WorkspaceEventEmitter(audit, engine=engine)
    told = {"at": datetime(2026, 1, 1, tzinfo=UTC), "amount": Decimal("1.50")}
    emitter.emit_custom_batch_event("mail.received", [told, "x"], workspace_id="w", in_own_transaction=True)
    emitter.emit_custom_batch_event("other.thing", [1])
    rows = connection.execute(
        "select name, event, actor from upgrader_worker.workspace_event order by id"
    ).fetchall()
    assert rows == [
        ("mail.received", {"at": "2026-01-01T00:00:00+00:00", "amount": "1.50"}, None),
        ("mail.received", "x", None),
    ]


def test_without_the_table_nothing_is_committed(engine: Engine, connection: psycopg.Connection[Any]) -> None:
    """An audit with gaps is none; the error says how to make the table."""
    with tracked_sessions(engine, Told(WorkspaceEventEmitter(AuditTable()))) as maker, maker() as session:
        session.add(Person(name="Ada"))
        with pytest.raises(LayoutError, match="there is no audit table") as caught:
            session.commit()
        session.rollback()
    assert "AuditTable(…).create(DATABASE_URL)" in str(caught.value.hint)
    assert connection.execute("select count(*) from person").fetchone() == (0,)


def test_a_role_without_rights(
    audited: Maker, database_url: str, make_role: Callable[..., Role], connection: psycopg.Connection[Any]
) -> None:
    """It is told which rights it needs: INSERT is enough."""
    role = make_role()
    connection.execute(f'grant all on all tables in schema public to "{role.name}"'.encode())
    connection.execute(f'grant usage on all sequences in schema public to "{role.name}"'.encode())
    engine = make_engine(role.url(database_url))
    with tracked_sessions(engine, Told(WorkspaceEventEmitter(AuditTable()))) as maker:
        with maker() as session:
            session.add(Person(name="Ada"))
            with pytest.raises(LayoutError, match="may not write the audit table") as caught:
                session.commit()
            session.rollback()
        for right in str(caught.value.hint).partition(": ")[2].split(";")[:2]:
            connection.execute(right.replace("…", f'"{role.name}"').encode())
        with maker.begin() as session:
            session.add(Person(name="Grace"))
    engine.dispose()
    assert [row[5] for row in _rows(connection)] == ["Grace"]
