"""Which failures of a batch pass."""

import psycopg
import pytest

from upgrader.backfill.trouble import passing_trouble
from upgrader.errors import ConnectionLostError


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (psycopg.errors.LockNotAvailable(), "lock timeout"),
        (psycopg.errors.DeadlockDetected(), "deadlock"),
        (psycopg.errors.SerializationFailure(), "serialization failure"),
        (psycopg.errors.CheckViolation(), None),
        (ValueError(), None),
    ],
)
def test_troubles(error: Exception, trouble: str | None):
    """Timeouts, deadlocks and serialization failures pass; errors of the data do not."""
    assert passing_trouble(error) == trouble


def test_a_lost_connection_is_none():
    """Whatever was the reason of the server."""
    error = ConnectionLostError("gone")
    error.__cause__ = psycopg.errors.DeadlockDetected()
    assert passing_trouble(error) is None
