"""The history stores, each under its name."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import psycopg
import pytest

from tests.support.server import PostgresServer
from upgrader.database.connect import Connector
from upgrader.history.layout import bring_up_to_date
from upgrader.history.sql_store import SqlHistoryStore
from upgrader.history.store import HistoryStore
from upgrader.testing import InMemoryHistoryStore

_schemas = (f"history_{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def driver(server: PostgresServer) -> Iterator[psycopg.Connection]:
    """A connection to one database for all tests of the module; each has a history schema of its own."""
    with server.database() as url, Connector(url).connect() as connection:
        yield connection


@pytest.fixture(params=["sql", "in-memory"])
def missing_store(request: pytest.FixtureRequest) -> HistoryStore:
    """A store of a database without a history."""
    if request.param == "in-memory":
        return InMemoryHistoryStore(exists=False)
    driver = request.getfixturevalue("driver")
    return SqlHistoryStore(lambda: driver, next(_schemas))


@pytest.fixture(params=["sql", "in-memory"])
def store(request: pytest.FixtureRequest) -> HistoryStore:
    """A store with an empty history."""
    if request.param == "in-memory":
        return InMemoryHistoryStore()
    driver, schema = request.getfixturevalue("driver"), next(_schemas)
    bring_up_to_date(driver, schema)
    return SqlHistoryStore(lambda: driver, schema)
