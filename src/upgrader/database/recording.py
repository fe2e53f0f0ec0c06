"""Statements that pass by without being executed: how a script is written of what cannot be tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, event

_RECORDING = "upgrader_recording"


def is_recording(connection: Connection) -> bool:
    """Tell whether statements may pass by: a helper does not look for their effects then."""
    return bool(connection.info.get(_RECORDING))


@contextmanager
def recording(connection: Connection, is_passed_by: Callable[[str], bool]) -> Iterator[None]:
    """Pretend in the block to execute the statements that `is_passed_by` chooses; they have no rows.

    Observers are told of them like of any other.
    """

    def execute(cursor: Any, statement: str, parameters: Any, context: Any) -> bool | None:
        del cursor, parameters, context
        return True if is_passed_by(statement) else None

    def execute_without_parameters(cursor: Any, statement: str, context: Any) -> bool | None:
        del cursor, context
        return True if is_passed_by(statement) else None

    listeners: dict[str, Callable[..., bool | None]] = {
        "do_execute": execute,
        "do_executemany": execute,
        "do_execute_no_params": execute_without_parameters,
    }
    engine = connection.engine
    connection.info[_RECORDING] = True
    for name, listener in listeners.items():
        event.listen(engine, name, listener)
    try:
        yield
    finally:
        for name, listener in listeners.items():
            event.remove(engine, name, listener)
        if not connection.closed and not connection.invalidated:
            connection.info.pop(_RECORDING, None)
