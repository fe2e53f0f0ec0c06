"""How a connection that cannot be opened is told."""

from __future__ import annotations

import pytest
from psycopg import sql

from upgrader.database.connect import Connector, identifier, literal
from upgrader.errors import DatabaseUnavailableError


def test_a_server_that_is_not_there_is_told_once():
    """The question that libpq adds is left to the hint; port 1 has no PostgreSQL."""
    with pytest.raises(DatabaseUnavailableError) as raised:
        Connector("postgresql://app:geheim@127.0.0.1:1/shop").connect()
    assert "Connection refused" in str(raised.value)
    assert "?" not in str(raised.value)
    assert "geheim" not in str(raised.value)
    assert str(raised.value.hint).startswith("check that the server runs")


@pytest.mark.parametrize(
    "name", ["item", "ws_1", "Item", "1a", "a b", "a-b", 'a"b', "a%b", "é", "select", "a.b", "_", "$user"]
)
def test_names_are_written_as_the_driver_writes_them(name: str):
    """What is quick for most of them is right for all."""
    assert identifier(name) == sql.Identifier(name).as_string(None)
    assert identifier(name, "b") == sql.Identifier(name, "b").as_string(None)


@pytest.mark.parametrize("value", ["", "a", "it's", "a\\b", "é", "a\nb", "%", 7, -7, None, True, False])
def test_values_are_written_as_the_driver_writes_them(value: object):
    """Boolean and NULL as SQL writes them, numbers bare."""
    driver = sql.Literal(value).as_string(None)
    assert literal(value).lower().strip() == driver.lower().strip()
