"""Statements that pass by without being executed: how a script is written of what cannot be tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection

_RECORDING = "upgrader_recording"


def is_recording(connection: Connection) -> bool:
    """Tell whether statements may pass by: a helper does not look for their effects then."""
    return bool(connection.info.get(_RECORDING))


def is_passed_by(info: Mapping[Any, Any], statement: str) -> bool:
    """Tell whether a statement is not to be executed on the connection with this `Connection.info`."""
    chooses: Callable[[str], bool] | None = info.get(_RECORDING)
    return chooses is not None and chooses(statement)


@contextmanager
def recording(connection: Connection, chooses: Callable[[str], bool]) -> Iterator[None]:
    """Pretend in the block to execute the statements that `chooses` gives True for; they have no rows.

    Observers are told of them like of any other.
    """
    outside = connection.info.get(_RECORDING)
    connection.info[_RECORDING] = chooses
    try:
        yield
    finally:
        if not connection.closed and not connection.invalidated:
            connection.info[_RECORDING] = outside
