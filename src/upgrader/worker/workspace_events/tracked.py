"""What is told of a mapped class: which fields, under which name, and whose records they are."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any

from sqlalchemy import Column, Table
from sqlalchemy.orm import ColumnProperty, Mapper, Session

from upgrader.worker.workspace_events.batch import UNKNOWN, EventAction, ObjectMetadata, event_name


@dataclass(frozen=True, slots=True)
class FieldOfRecord:
    """The field of a record that holds its workspace's id."""

    name: str


WorkspaceIdSource = str | FieldOfRecord | Callable[[Session], object]


def field(name: str) -> FieldOfRecord:
    """Say that a field of the records holds their workspace's id: `track_events(…, workspace_id=field("tenant"))`."""
    return FieldOfRecord(name)


@dataclass(frozen=True, slots=True)
class TrackedClass:
    """A mapped class.

    Attributes:
        mapper: the one that says which connection of a session its records are on.
        metadata: what handlers are told of it.
        fields: the names of its attributes that are told.
        columns: theirs, in the table itself; attributes of a table that it inherits from are left out.
        keys: the attributes of the primary key.
        soft_delete_field: None where rows are simply deleted.
        workspace_field: the attribute with the workspace's id, if it is one.
        names: of the events, by action.
        set_by_updates: fields that the database or the mapping sets anew with every update.
        set_by_flushes: those, and the version of a record, which only a flush counts up.
    """

    mapper: Mapper[Any]
    metadata: ObjectMetadata
    fields: tuple[str, ...]
    columns: Mapping[str, Column[Any]]
    keys: tuple[str, ...]
    soft_delete_field: str | None
    workspace_field: str | None
    names: Mapping[EventAction, str]
    set_by_updates: tuple[str, ...]
    set_by_flushes: tuple[str, ...]

    def record_id(self, values: Mapping[str, Any]) -> Any:
        """Give the primary key: a value, or a tuple where it has several columns."""
        if len(self.keys) == 1:
            return values.get(self.keys[0], UNKNOWN)
        return tuple(values.get(key, UNKNOWN) for key in self.keys)

    def unset(self, values: Mapping[str, Any]) -> Iterator[str]:
        """Give the fields that have no value."""
        return (key for key in self.fields if key not in values)

    @property
    def gone(self) -> EventAction:
        """What a row's end is called."""
        return EventAction.DESTROYED if self.soft_delete_field else EventAction.DELETED

    def action_of_update(
        self, changed: Collection[str], before: Mapping[str, Any], after: Mapping[str, Any]
    ) -> EventAction:
        """Tell whether an update is a soft delete, a restoration, or just that.

        Where nobody knows what the field held before, the new value decides: that is what was meant.
        """
        if self.soft_delete_field is None or self.soft_delete_field not in changed:
            return EventAction.UPDATED
        was, is_ = (_is_set(values.get(self.soft_delete_field, UNKNOWN)) for values in (before, after))
        if is_ is None or was is is_:
            return EventAction.UPDATED
        return EventAction.DELETED if is_ else EventAction.RESTORED


@dataclass(slots=True)
class Tracked:
    """What `track_events` was told, and the classes as far as they were met."""

    workspace_id: WorkspaceIdSource
    soft_delete_field: str | None = None
    only: tuple[type, ...] | None = None
    object_name: Callable[[type], str] | None = None
    excluded_fields: frozenset[str] = frozenset()
    _classes: dict[Mapper[Any], TrackedClass | None] = dataclass_field(default_factory=dict)

    def of(self, mapper: Mapper[Any]) -> TrackedClass | None:
        """Give what is told of a class; None where nothing is."""
        try:
            return self._classes[mapper]
        except KeyError:
            found = self._classes[mapper] = self._describe(mapper)
            return found

    def workspace_of_session(self, session: Session) -> str | None:
        """Give the workspace that a session works for; None where that stands in the records."""
        if isinstance(self.workspace_id, str):
            return self.workspace_id
        if isinstance(self.workspace_id, FieldOfRecord):
            return None
        found = self.workspace_id(session)
        return None if found is None else str(found)

    def _describe(self, mapper: Mapper[Any]) -> TrackedClass | None:
        cls = mapper.class_
        if self.only is not None and not issubclass(cls, self.only):
            return None
        name = self.object_name(cls) if self.object_name else _name_of(cls)
        table = mapper.local_table
        columns = {
            attribute.key: _column_in(attribute, table)
            for attribute in mapper.column_attrs
            if any(isinstance(column, Column) for column in attribute.columns)
        }
        told = tuple(key for key in columns if key not in self.excluded_fields)
        set_by_updates = tuple(key for key in told if _is_set_by_updates(columns[key]))
        version = _version_of(mapper)
        source = self.workspace_id
        return TrackedClass(
            mapper=mapper.base_mapper,
            metadata=ObjectMetadata(name, getattr(table, "name", None), getattr(table, "schema", None)),
            fields=told,
            columns={key: found for key in columns if (found := columns[key]) is not None},
            keys=tuple(mapper.get_property_by_column(column).key for column in mapper.primary_key),
            soft_delete_field=self.soft_delete_field if self.soft_delete_field in columns else None,
            workspace_field=source.name
            if isinstance(source, FieldOfRecord) and source.name in columns
            else None,
            names={action: event_name(name, action) for action in EventAction},
            set_by_updates=set_by_updates,
            set_by_flushes=(*set_by_updates, version)
            if version in told and version not in set_by_updates
            else set_by_updates,
        )


def _is_set(value: object) -> bool | None:
    """Tell whether the value of a soft delete's field marks the record as deleted; None where it is unknown."""
    return None if value is UNKNOWN else value is not None and value is not False


def frozen(value: Any) -> Any:
    """Give a value that does not change when the record's does: JSON and arrays are copied."""
    return copy.deepcopy(value) if isinstance(value, dict | list | set) else value


def _name_of(cls: type) -> str:
    given: str | None = getattr(cls, "__event_object_name__", None)
    return given or re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__).lower()


def _is_set_by_updates(column: Column[Any] | None) -> bool:
    return column is not None and (column.onupdate is not None or column.server_onupdate is not None)


def _version_of(mapper: Mapper[Any]) -> str | None:
    column = mapper.version_id_col
    return None if column is None else mapper.get_property_by_column(column).key


def _column_in(attribute: ColumnProperty[Any], table: object) -> Column[Any] | None:
    """Give the attribute's column in this very table."""
    for column in attribute.columns:
        if isinstance(column, Column) and isinstance(table, Table) and column.table is table:
            return column
    return None
