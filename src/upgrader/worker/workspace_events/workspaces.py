"""Whose records those are of which a statement or a session does not say it: they are asked for, many at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Column, Connection, select, tuple_
from sqlalchemy.orm import InstanceState, Mapper, Session

from upgrader.worker.workspace_events.batch import UNKNOWN
from upgrader.worker.workspace_events.tracked import Tracked, TrackedClass

_AT_A_TIME = 1_000


def workspaces_of(
    ids: Iterable[Any],
    cls: TrackedClass,
    mapper: Mapper[Any],
    connection: Connection,
    *,
    schemas: Mapping[Any, Any] | None = None,
) -> Mapping[Any, Any]:
    """Give the workspaces of records by their primary keys; those that are gone are left out.

    They are asked for where they are, in the table of a class that is inherited from for example.

    Args:
        schemas: the `schema_translate_map` of the statement that they are asked for; None: that of the connection.
    """
    options = {} if schemas is None else {"schema_translate_map": schemas}
    workspace = _columns(mapper, cls.workspace_field)[-1]
    keys = [column for key in cls.keys for column in _columns(mapper, key) if column.table is workspace.table]
    asked = [one for one in dict.fromkeys(ids) if one is not UNKNOWN]
    found: dict[Any, Any] = {}
    for first in range(0, len(asked) if len(keys) == len(cls.keys) else 0, _AT_A_TIME):
        part = asked[first : first + _AT_A_TIME]
        wanted = keys[0].in_(part) if len(keys) == 1 else tuple_(*keys).in_(part)
        for *key, value in connection.execute(
            select(*keys, workspace).where(wanted), execution_options=options
        ):
            found[key[0] if len(keys) == 1 else tuple(key)] = value
    return found


def lacks_workspace(state: InstanceState[Any], cls: TrackedClass) -> bool:
    """Tell whether the workspace of a record is one of its fields, and not loaded."""
    return cls.workspace_field is not None and cls.workspace_field not in state.dict


def workspaces_not_loaded(
    session: Session, states: Iterable[InstanceState[Any]], tracked: Tracked
) -> dict[InstanceState[Any], Any]:
    """Ask for the workspaces of records of a session, a field of theirs; the records stay as they are."""
    missing: dict[Mapper[Any], list[tuple[InstanceState[Any], Any]]] = {}
    for state in states:
        cls = tracked.of(state.mapper)
        if cls is not None and state.key is not None:
            identity = state.key[1]
            record_id = identity[0] if len(identity) == 1 else tuple(identity)
            missing.setdefault(state.mapper, []).append((state, record_id))
    found: dict[InstanceState[Any], Any] = {}
    for mapper, records in missing.items():
        cls = tracked.of(mapper)
        assert cls is not None  # that is how they came here
        connection = session.connection(bind_arguments={"mapper": mapper})
        known = workspaces_of((record_id for _, record_id in records), cls, mapper, connection)
        found.update((state, known[record_id]) for state, record_id in records if record_id in known)
    return found


def _columns(mapper: Mapper[Any], field: str | None) -> list[Column[Any]]:
    assert field is not None
    return [column for column in mapper.column_attrs[field].columns if isinstance(column, Column)]
