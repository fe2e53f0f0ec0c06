"""Whose records those are of a statement that does not say it: it changes neither their workspace nor its table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Column, Connection, select, tuple_
from sqlalchemy.orm import Mapper

from upgrader.worker.workspace_events.batch import UNKNOWN
from upgrader.worker.workspace_events.tracked import TrackedClass

_AT_A_TIME = 1_000


def workspaces_of(
    ids: Iterable[Any], cls: TrackedClass, mapper: Mapper[Any], connection: Connection
) -> Mapping[Any, Any]:
    """Give the workspaces of records by their primary keys; those that are gone are left out.

    They are asked for where they are, in the table of a class that is inherited from for example.
    """
    workspace = _columns(mapper, cls.workspace_field)[-1]
    keys = [column for key in cls.keys for column in _columns(mapper, key) if column.table is workspace.table]
    asked = [one for one in dict.fromkeys(ids) if one is not UNKNOWN]
    found: dict[Any, Any] = {}
    for first in range(0, len(asked) if len(keys) == len(cls.keys) else 0, _AT_A_TIME):
        part = asked[first : first + _AT_A_TIME]
        wanted = keys[0].in_(part) if len(keys) == 1 else tuple_(*keys).in_(part)
        for *key, value in connection.execute(select(*keys, workspace).where(wanted)):
            found[key[0] if len(keys) == 1 else tuple(key)] = value
    return found


def _columns(mapper: Mapper[Any], field: str | None) -> list[Column[Any]]:
    assert field is not None
    return [column for column in mapper.column_attrs[field].columns if isinstance(column, Column)]
