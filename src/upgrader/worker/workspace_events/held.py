"""What waits for the end of a Connection's transaction: done after its COMMIT, dropped with a rollback.

SQLAlchemy has no event after a Connection's commit (the one that there is comes before). So the methods of the
engine's dialect that end and divide transactions are wrapped, once, when something waits for the first time. A
Session has an event after its commit, but whoever holds its connection may commit, roll back and set savepoints, too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine.interfaces import Dialect

_KEY = "upgrader.workspace_events.held"
_WRAPPED = "_upgrader_tells_of_commits"
_IN_ERROR = 3
"""What libpq says of a transaction in which a statement has failed."""
_wrapping = threading.Lock()


@dataclass(slots=True)
class _Held:
    """What waits on one connection, and how much of it did when each savepoint was opened."""

    waiting: list[Callable[[], None]] = field(default_factory=list)
    savepoints: dict[str, int] = field(default_factory=dict)


def after_commit_of(connection: Connection, action: Callable[[], None]) -> None:
    """Call `action` once the transaction that is open on a connection is committed; never if it is rolled back.

    It is called by the thread that commits, and must not raise.
    """
    _wrap(connection.dialect)
    held: _Held = connection.info.setdefault(_KEY, _Held())
    held.waiting.append(action)


def _wrap(dialect: Dialect) -> None:
    with _wrapping:
        if getattr(dialect, _WRAPPED, False):
            return
        for name, wrap in (
            ("do_commit", _committing),
            ("do_rollback", _rolling_back),
            ("do_commit_twophase", _committing_in_two_phases),
            ("do_rollback_twophase", _rolling_back_in_two_phases),
            ("do_savepoint", _opening_savepoint),
            ("do_rollback_to_savepoint", _rolling_back_to_savepoint),
        ):
            setattr(dialect, name, wrap(getattr(dialect, name)))
        setattr(dialect, _WRAPPED, True)


def _committing(commit: Callable[[Any], None]) -> Callable[[Any], None]:
    @wraps(commit)
    def do_commit(dbapi_connection: Any) -> None:
        held = _taken(dbapi_connection)
        if held is not None and _is_aborted(dbapi_connection):
            held = None
        commit(dbapi_connection)
        for action in held.waiting if held else ():
            action()

    return do_commit


def _rolling_back(roll_back: Callable[[Any], None]) -> Callable[[Any], None]:
    @wraps(roll_back)
    def do_rollback(dbapi_connection: Any) -> None:
        _taken(dbapi_connection)
        roll_back(dbapi_connection)

    return do_rollback


def _committing_in_two_phases(commit: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(commit)
    def do_commit_twophase(connection: Connection, *arguments: Any, **options: Any) -> None:
        held = _taken(connection.connection)
        commit(connection, *arguments, **options)
        for action in held.waiting if held else ():
            action()

    return do_commit_twophase


def _rolling_back_in_two_phases(roll_back: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(roll_back)
    def do_rollback_twophase(connection: Connection, *arguments: Any, **options: Any) -> None:
        _taken(connection.connection)
        roll_back(connection, *arguments, **options)

    return do_rollback_twophase


def _opening_savepoint(open_savepoint: Callable[[Any, str], None]) -> Callable[[Any, str], None]:
    @wraps(open_savepoint)
    def do_savepoint(connection: Connection, name: str) -> None:
        open_savepoint(connection, name)
        held: _Held | None = connection.info.get(_KEY)
        if held is not None:
            held.savepoints[name] = len(held.waiting)

    return do_savepoint


def _rolling_back_to_savepoint(roll_back: Callable[[Any, str], None]) -> Callable[[Any, str], None]:
    @wraps(roll_back)
    def do_rollback_to_savepoint(connection: Connection, name: str) -> None:
        held: _Held | None = connection.info.get(_KEY)
        if held is not None:
            # One that is not known was opened before anything waited: all of it goes.
            del held.waiting[held.savepoints.get(name, 0) :]
        roll_back(connection, name)

    return do_rollback_to_savepoint


def _is_aborted(dbapi_connection: Any) -> bool:
    """Tell whether a statement of the transaction failed: PostgreSQL answers COMMIT with a rollback then, no error."""
    driver = getattr(dbapi_connection, "driver_connection", dbapi_connection)
    # As libpq knows it, and with it psycopg and psycopg2; of other drivers nothing is known.
    return getattr(getattr(driver, "info", None), "transaction_status", None) == _IN_ERROR


def _taken(dbapi_connection: Any) -> _Held | None:
    # What is no connection of a pool's has another one, or none.
    info = getattr(dbapi_connection, "info", None)
    held: _Held | None = info.pop(_KEY, None) if isinstance(info, dict) else None
    return held
