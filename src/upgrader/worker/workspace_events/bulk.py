"""INSERT, UPDATE and DELETE of many records by one ORM statement: RETURNING tells what they have done.

`session.execute(insert(Person), …)`, `update(Person)` and `delete(Person)` flush nothing. They are executed with
RETURNING added; whoever issued the statement is given what they would have been given without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

from sqlalchemy import Delete, Insert, Result, Update, literal_column
from sqlalchemy.dialects.postgresql.dml import OnConflictDoUpdate
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Mapper, ORMExecuteState
from sqlalchemy.orm.context import FromStatement

from upgrader.worker.workspace_events.batch import UNKNOWN, EventAction, RecordEvent, WorkspaceEventBatch
from upgrader.worker.workspace_events.grouping import Batches
from upgrader.worker.workspace_events.tracked import Tracked, TrackedClass, frozen

SWITCH = "workspace_events"
"""`session.execute(…, execution_options={"workspace_events": False})` tells nobody."""

Told = Callable[[], list[WorkspaceEventBatch[Any]]]

_OLD_VALUES_SERVER = (18,)


@dataclass(frozen=True)
class BulkStatement:
    """A statement that somebody wants to hear of.

    Attributes:
        fields: what RETURNING gives, without those that are deferred.
    """

    state: ORMExecuteState
    tracked: Tracked
    cls: TrackedClass
    fields: tuple[str, ...]

    @classmethod
    def of(
        cls, state: ORMExecuteState, tracked: Tracked, *, wants: Callable[[str], bool]
    ) -> BulkStatement | None:
        """Give the statement; None where it changes no records, or nobody wants to hear of it."""
        if not (state.is_insert or state.is_update or state.is_delete) or not state.is_orm_statement:
            return None
        mapper = state.bind_mapper
        if mapper is None or state.execution_options.get(SWITCH, True) is False:
            return None
        found = tracked.of(mapper)
        if found is None or not any(wants(found.names[action]) for action in _possible(state, found)):
            return None
        return cls(state, tracked, found, tuple(_returned(mapper, found)))

    def execute(self) -> tuple[Result[Any], Told]:
        """Execute it; give what the caller is to have, and what tells what it has done."""
        rows = self.state.parameters
        if self.state.is_update and isinstance(rows, Sequence):
            return self.state.invoke_statement(), lambda: self._updated_by_key(rows)
        statement = _changing(self.state)
        assert isinstance(statement, Insert | Update | Delete)
        if isinstance(statement, Insert) and self._inserts_one(statement):
            return self._insert_one(statement)
        old = self._old_fields()
        entity = self.state.bind_mapper.class_  # type: ignore[union-attr] # `of` has looked
        wanted = [
            *(getattr(entity, key) for key in self.fields),
            *(_old(self.cls, key) for key in old),
        ]
        result = self.state.invoke_statement(_returning(self.state.statement, wanted))
        given = len(result.keys()) - len(wanted)
        whole = result.freeze()
        told = [tuple(row) for row in whole().columns(*range(given, given + len(wanted)))]
        for_caller = whole().columns(*range(given)) if given else _without_rows(result)
        return for_caller, lambda: self._batches(told, old)

    def _inserts_one(self, statement: Insert) -> bool:
        """Tell whether the result has an `inserted_primary_key`, which `returning()` would take away."""
        if _is_upsert(self.state) or isinstance(self.state.parameters, Sequence):
            return False
        # With values beside it, even one set of them, it is one of the ORM's bulk statements, unless told otherwise.
        if self.state.parameters and self.state.execution_options.get("dml_strategy", "auto") == "auto":
            return False
        return not (statement._returning or statement._multi_values or statement.select is not None)

    def _insert_one(self, statement: Insert) -> tuple[Result[Any], Told]:
        columns = [self.cls.columns[key] for key in self.fields]
        keys = [self.cls.columns[key] for key in self.cls.keys if key in self.cls.columns]
        result = self.state.invoke_statement(statement.return_defaults(*keys, supplemental_cols=columns))
        assert isinstance(result, CursorResult)
        rows = [
            tuple(row._mapping[column] for column in columns) for row in result.returned_defaults_rows or ()
        ]
        return result, lambda: self._batches(rows, ())

    def _old_fields(self) -> tuple[str, ...]:
        """Give what the server tells of records before an update; only since PostgreSQL 18 it does."""
        changes = self.state.is_update or _is_upsert(self.state)
        dialect = self.state.session.connection(bind_arguments=dict(self.state.bind_arguments)).dialect
        version = (dialect.server_version_info or ()) if dialect.name == "postgresql" else ()
        return self.fields if changes and version >= _OLD_VALUES_SERVER else ()

    def _batches(self, rows: list[tuple[Any, ...]], old: tuple[str, ...]) -> list[WorkspaceEventBatch[Any]]:
        batches = Batches()
        count = len(self.fields)
        for row in rows:
            new_values = dict(zip(self.fields, row[:count], strict=True))
            old_values = dict(zip(old, row[count:], strict=True)) if old else None
            found = self._event(new_values, old_values)
            if found is not None:
                batches.add(self.cls, found[0], self._workspace_of(new_values), found[1])
        return [batch for _, batch in batches.make()]

    def _event(
        self, new: Mapping[str, Any], old: Mapping[str, Any] | None
    ) -> tuple[EventAction, RecordEvent] | None:
        cls, record_id = self.cls, self.cls.record_id(new)
        values = self._told(new)
        if self.state.is_delete:
            return cls.gone, RecordEvent(record_id, values, None)
        if self.state.is_insert:
            if not _is_upsert(self.state):
                return EventAction.CREATED, RecordEvent(record_id, None, values)
            return EventAction.UPSERTED, self._upserted(record_id, old, values)
        before = self._told(old or {})
        changed = self._changed(old, new)
        if not changed:
            return None
        return cls.action_of_update(changed, before, values), RecordEvent(record_id, before, values, changed)

    def _upserted(
        self, record_id: Any, old: Mapping[str, Any] | None, values: Mapping[str, Any]
    ) -> RecordEvent:
        if old is None:
            return RecordEvent(record_id, self._told({}), values)
        if all(old[key] is None for key in self.cls.keys):  # it was not there
            return RecordEvent(record_id, None, values)
        before = self._told(old)
        return RecordEvent(record_id, before, values, _different(before, values))

    def _changed(self, old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> tuple[str, ...]:
        """Give the fields that changed: compared where the old ones are known, else those that were set."""
        fields = self.cls.fields
        if old is None:
            return tuple(key for key in fields if key in self._set_fields)
        different = _different(old, new)
        return tuple(
            key for key in fields if key in different or (key in self._set_fields and key not in new)
        )

    @cached_property
    def _set_fields(self) -> frozenset[str]:
        given = self.state.parameters
        described = {*self.cls.set_by_updates, *(given if isinstance(given, Mapping) else ())}
        by_column = {column: key for key, column in self.cls.columns.items()}
        for one in _values_of(_changing(self.state)):
            key = one if isinstance(one, str) else by_column.get(_column_of(one))
            if key is not None:
                described.add(key)
        return frozenset(described)

    def _updated_by_key(self, rows: Sequence[Any]) -> list[WorkspaceEventBatch[Any]]:
        """Tell of an UPDATE with one set of values per primary key; what it does not set is unknown."""
        batches = Batches()
        keys = set(self.cls.keys)
        for row in rows:
            after = self._told(row)
            changed = tuple(key for key in self.cls.fields if key in row and key not in keys)
            before = MappingProxyType({**after, **dict.fromkeys(changed, UNKNOWN)})
            action = self.cls.action_of_update(changed, before, after)
            told = RecordEvent(self.cls.record_id(row), before, after, changed)
            batches.add(self.cls, action, self._workspace_of(row), told)
        return [batch for _, batch in batches.make()]

    def _told(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        return MappingProxyType({key: frozen(values.get(key, UNKNOWN)) for key in self.cls.fields})

    def _workspace_of(self, values: Mapping[str, Any]) -> str | None:
        if self.cls.workspace_field is None:
            return self.tracked.workspace_of_session(self.state.session)
        value = values.get(self.cls.workspace_field)
        return None if value is None else str(value)


def _changing(state: ORMExecuteState) -> Any:
    """Give the statement itself: `select(Person).from_statement(update(Person)…)` has it within."""
    statement = state.statement
    return statement.element if isinstance(statement, FromStatement) else statement


def _returning(statement: Any, wanted: list[Any]) -> Any:
    """Give a statement that returns these, too, after what it returns anyway."""
    if not isinstance(statement, FromStatement):
        return statement.returning(*wanted)
    # What is selected from a statement is found in it by its name.
    named = [column.label(f"upgrader_{number}") for number, column in enumerate(wanted)]
    changed = statement._generate()
    changed.element = statement.element.returning(*named)  # type: ignore[union-attr] # it inserts, updates or deletes
    changed._raw_columns = [*statement._raw_columns, *named]
    return changed


def _possible(state: ORMExecuteState, cls: TrackedClass) -> tuple[EventAction, ...]:
    if state.is_delete:
        return (cls.gone,)
    if state.is_insert:
        return (EventAction.UPSERTED,) if _is_upsert(state) else (EventAction.CREATED,)
    return (EventAction.UPDATED, EventAction.DELETED, EventAction.RESTORED)


def _is_upsert(state: ORMExecuteState) -> bool:
    return isinstance(getattr(_changing(state), "_post_values_clause", None), OnConflictDoUpdate)


def _returned(mapper: Mapper[Any], cls: TrackedClass) -> Iterator[str]:
    """Give the fields of the statement's own table; the key and the workspace even where they are not told."""
    needed = {*cls.keys, *((cls.workspace_field,) if cls.workspace_field else ())}
    for key in cls.columns:
        if key in needed or (key in cls.fields and not mapper.column_attrs[key].deferred):
            yield key


def _old(cls: TrackedClass, key: str) -> Any:
    column = cls.columns[key]
    quoted = '"' + column.name.replace('"', '""') + '"'
    return literal_column(f"old.{quoted}", column.type).label(f"upgrader_old_{key}")


def _values_of(statement: Any) -> Iterator[Any]:
    """Give what an UPDATE sets: names of fields, or columns."""
    if statement._values:
        yield from statement._values
    for one, _ in getattr(statement, "_ordered_values", None) or ():  # before SQLAlchemy 2.1
        yield one


def _column_of(given: Any) -> Any:
    element = given.__clause_element__() if hasattr(given, "__clause_element__") else given
    return element._deannotate() if hasattr(element, "_deannotate") else element


def _different(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(key for key, value in after.items() if value is not UNKNOWN and before[key] != value)


def _without_rows(result: Result[Any]) -> Result[Any]:
    """Give the result of a statement whose rows nobody asked for: it still has its `rowcount`."""
    raw = getattr(result, "raw", None)
    return raw if isinstance(raw, CursorResult) else result
