"""How a connection that cannot be opened is told."""

from __future__ import annotations

import pytest

from upgrader.database.connect import Connector
from upgrader.errors import DatabaseUnavailableError


def test_a_server_that_is_not_there_is_told_once():
    """The question that libpq adds is left to the hint; port 1 has no PostgreSQL."""
    with pytest.raises(DatabaseUnavailableError) as raised:
        Connector("postgresql://app:geheim@127.0.0.1:1/shop").connect()
    assert "Connection refused" in str(raised.value)
    assert "?" not in str(raised.value)
    assert "geheim" not in str(raised.value)
    assert str(raised.value.hint).startswith("check that the server runs")
