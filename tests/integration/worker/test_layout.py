"""The tables of the workers: made once, by whoever comes first."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from tests.support.server import Role
from upgrader.errors import LayoutError
from upgrader.worker.layout import LayoutPart, bring_up_to_date, is_up_to_date
from upgrader.worker.names import worker_schema

SCHEMA = worker_schema("upgrader")


def _tables(connection: psycopg.Connection[Any]) -> set[str]:
    rows = connection.execute(
        "select relname from pg_class where relkind = 'r' and relnamespace = to_regnamespace(%s)", [SCHEMA]
    ).fetchall()
    return {name for (name,) in rows}


def test_the_tables_stand_beside_the_history(connection: psycopg.Connection[Any]) -> None:
    """Nothing is made in `public`; a second time changes nothing."""
    assert not is_up_to_date(connection, SCHEMA)
    bring_up_to_date(connection, SCHEMA)
    assert {"tick", "worker", "sign", "upgrade_status", "layout"} <= _tables(connection)
    assert is_up_to_date(connection, SCHEMA)
    bring_up_to_date(connection, SCHEMA)
    in_public = connection.execute(
        "select count(*) from pg_class where relnamespace = to_regnamespace('public')"
    ).fetchone()
    assert in_public == (0,)


def test_many_workers_may_make_them_at_once(database_url: str, connection: psycopg.Connection[Any]) -> None:
    """Eight at a time: none fails, each table is made once."""

    def make(_: int) -> bool:
        with psycopg.connect(database_url, autocommit=True) as own:
            bring_up_to_date(own, SCHEMA)
            return is_up_to_date(own, SCHEMA)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(make, range(8))) == [True] * 8


def test_a_part_gets_what_it_lacks(connection: psycopg.Connection[Any]) -> None:
    """What a later version of the program adds is added; what it finds it leaves as it is."""
    first = LayoutPart("more", ("create table {schema}.one (x integer);",))
    bring_up_to_date(connection, SCHEMA, parts=[first])
    connection.execute(f"insert into {SCHEMA}.one values (1)".encode())
    second = LayoutPart("more", (*first.statements, "alter table {schema}.one add y integer;"))
    bring_up_to_date(connection, SCHEMA, parts=[second])
    assert connection.execute(f"select x, y from {SCHEMA}.one".encode()).fetchall() == [(1, None)]
    with pytest.raises(LayoutError, match=r"layout 2; this program knows up to 1") as raised:
        bring_up_to_date(connection, SCHEMA, parts=[first])
    assert raised.value.hint is not None
    assert "install that version" in raised.value.hint


def test_a_role_that_may_not_is_told_what_to_grant(
    database_url: str, connection: psycopg.Connection[Any], make_role: Callable[..., Role]
) -> None:
    """Before they are made, and after: the hint is a statement for an administrator."""
    role = make_role()
    with psycopg.connect(role.url(database_url), autocommit=True) as own:
        with pytest.raises(LayoutError, match="may not make the tables of the workers") as raised:
            bring_up_to_date(own, SCHEMA)
        assert f'CREATE SCHEMA "{SCHEMA}" AUTHORIZATION "{role.name}"' in str(raised.value.hint)
        bring_up_to_date(connection, SCHEMA)
        with pytest.raises(LayoutError, match="may not read the tables of the workers"):
            bring_up_to_date(own, SCHEMA)
        own.execute("set default_transaction_read_only = on")
        with pytest.raises(LayoutError, match="read-only"):
            bring_up_to_date(own, worker_schema("other"))


def test_tables_that_cannot_be_written(connection: psycopg.Connection) -> None:
    """A standby has the tables; a worker that starts there would do nothing but complain."""
    bring_up_to_date(connection, SCHEMA)
    connection.execute("set default_transaction_read_only = on")
    with pytest.raises(LayoutError, match="read-only"):
        bring_up_to_date(connection, SCHEMA)
