"""INSERT, UPDATE and DELETE of many records by one ORM statement: RETURNING tells what they have done.

`session.execute(insert(Person), …)`, `update(Person)` and `delete(Person)` flush nothing. They are executed with
RETURNING added; whoever issued the statement is given what they would have been given without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from types import MappingProxyType
from typing import Any

from sqlalchemy import Delete, Insert, Result, Update, inspect, literal_column
from sqlalchemy.dialects.postgresql.dml import OnConflictDoUpdate
from sqlalchemy.engine import CursorResult, FrozenResult
from sqlalchemy.orm import Mapper, ORMExecuteState
from sqlalchemy.orm.context import FromStatement
from sqlalchemy.types import TypeEngine

from upgrader.worker.workspace_events.batch import UNKNOWN, EventAction, RecordEvent, WorkspaceEventBatch
from upgrader.worker.workspace_events.grouping import Batches
from upgrader.worker.workspace_events.tracked import Tracked, TrackedClass, frozen
from upgrader.worker.workspace_events.workspaces import workspaces_of

SWITCH = "workspace_events"
"""`session.execute(…, execution_options={"workspace_events": False})` tells nobody."""

Told = Callable[[], list[WorkspaceEventBatch[Any]]]

_Found = tuple[Mapping[str, Any], EventAction, RecordEvent]
"""The values that a statement tells of a record, and what happened to it."""

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
        if _has_rows(state) and _strategy(state) not in ("auto", "bulk"):
            return None  # one of Core's: which rows it changes nobody is told
        if state.is_delete and _is_synchronised_alias(state):
            return None  # SQLAlchemy cannot give it a RETURNING
        found = tracked.of(mapper)
        if found is None or not any(wants(found.names[action]) for action in _possible(state, found)):
            return None
        return cls(state, tracked, found, tuple(_returned(mapper, found)))

    def execute(self) -> tuple[Result[Any], Told]:
        """Execute it; give what the caller is to have, and what tells what it has done."""
        rows = self.state.parameters
        if _has_rows(self.state) and isinstance(rows, Sequence):
            return self.state.invoke_statement(), lambda: self._updated_by_key(rows)
        statement = _changing(self.state)
        assert isinstance(statement, Insert | Update | Delete)
        old = self._old_fields()
        if isinstance(statement, Insert) and self._inserts_one(statement):
            return self._insert_one(statement, old)
        entity = statement.entity_description["entity"]  # the class, or an alias of it
        wanted = [
            *(getattr(entity, key) for key in self.fields),
            *(_old(self.cls, key, number) for number, key in enumerate(old, _returned_already(statement))),
        ]
        result = self.state.invoke_statement(_returning(self.state.statement, wanted))
        given = len(result.keys()) - len(wanted)
        # Each row is kept: without this, rows with records whose collections are loaded by joins would be refused.
        number = count()
        whole = result.unique(lambda _: next(number)).freeze()
        told = [tuple(row) for row in whole().columns(*range(given, given + len(wanted)))]
        return _for_caller(result, whole, given), lambda: self._batches(told, old)

    def _inserts_one(self, statement: Insert) -> bool:
        """Tell whether the result has an `inserted_primary_key`, which `returning()` would take away."""
        if isinstance(self.state.parameters, Sequence):
            return False
        # With values beside it, even one set of them, it is one of the ORM's bulk statements, unless told otherwise.
        if self.state.parameters and _strategy(self.state) == "auto":
            return False
        return not (statement._returning or statement._multi_values or statement.select is not None)

    def _insert_one(self, statement: Insert, old: tuple[str, ...]) -> tuple[Result[Any], Told]:
        columns = [
            *(self.cls.columns[key] for key in self.fields),
            *(_old(self.cls, key, number) for number, key in enumerate(old, _returned_already(statement))),
        ]
        keys = [self.cls.columns[key] for key in self.cls.keys if key in self.cls.columns]
        result = self.state.invoke_statement(statement.return_defaults(*keys, supplemental_cols=columns))
        assert isinstance(result, CursorResult)
        rows = [
            tuple(row._mapping[column] for column in columns) for row in result.returned_defaults_rows or ()
        ]
        return result, lambda: self._batches(rows, old)

    def _old_fields(self) -> tuple[str, ...]:
        """Give what the server tells of records before an update; only since PostgreSQL 18 it does."""
        changes = self.state.is_update or _is_upsert(self.state)
        dialect = self.state.session.connection(bind_arguments=dict(self.state.bind_arguments)).dialect
        version = (dialect.server_version_info or ()) if dialect.name == "postgresql" else ()
        return self.fields if changes and version >= _OLD_VALUES_SERVER else ()

    def _batches(self, rows: list[tuple[Any, ...]], old: tuple[str, ...]) -> list[WorkspaceEventBatch[Any]]:
        events: list[_Found] = []
        width = len(self.fields)
        for row in rows:
            new_values = dict(zip(self.fields, row[:width], strict=True))
            old_values = dict(zip(old, row[width:], strict=True)) if old else None
            found = self._event(new_values, old_values)
            if found is not None:
                events.append((new_values, *found))
        return self._grouped(events)

    def _grouped(self, events: list[_Found]) -> list[WorkspaceEventBatch[Any]]:
        batches = Batches()
        field = self.cls.workspace_field
        if field is None:
            workspace = self.tracked.workspace_of_session(self.state.session) if events else None
            for _, action, told in events:
                batches.add(self.cls, action, workspace, told)
            return [batch for _, batch in batches.make()]
        mapper, session = self.state.bind_mapper, self.state.session
        elsewhere: Mapping[Any, Any] = {}
        asked = [told.record_id for values, _, told in events if field not in values]
        if asked and mapper is not None:
            connection = session.connection(bind_arguments=dict(self.state.bind_arguments))
            schemas = self.state.execution_options.get("schema_translate_map")
            elsewhere = workspaces_of(asked, self.cls, mapper, connection, schemas=schemas)
        for values, action, told in events:
            value = values[field] if field in values else elsewhere.get(told.record_id)
            batches.add(self.cls, action, None if value is None else str(value), told)
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
        return RecordEvent(record_id, before, values, self._different(before, values))

    def _changed(self, old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> tuple[str, ...]:
        """Give the fields that changed: compared where the old ones are known, else those that were set."""
        fields = self.cls.fields
        if old is None:
            return tuple(key for key in fields if key in self._set_fields)
        different = self._different(old, new)
        return tuple(
            key for key in fields if key in different or (key in self._set_fields and key not in new)
        )

    def _different(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(
            key
            for key, value in after.items()
            if value is not UNKNOWN and not _is_same(self.cls.columns[key].type, before[key], value)
        )

    @cached_property
    def _set_fields(self) -> frozenset[str]:
        given = self.state.parameters
        described = {*self.cls.set_by_updates, *(given if isinstance(given, Mapping) else ())}
        statement = _changing(self.state)
        entity = statement.entity_description["entity"]
        by_column = {_column_of(getattr(entity, key)): key for key in self.cls.columns}
        for one in _values_of(statement):
            key = one if isinstance(one, str) else by_column.get(_column_of(one))
            if key is not None:
                described.add(key)
        return frozenset(described)

    def _updated_by_key(self, rows: Sequence[Any]) -> list[WorkspaceEventBatch[Any]]:
        """Tell of an UPDATE with one set of values per primary key; what it does not set is unknown."""
        keys, by_themselves = set(self.cls.keys), set(self.cls.set_by_updates)
        events: list[_Found] = []
        for row in rows:
            given = {key for key in self.cls.fields if key in row and key not in keys}
            if not given:
                continue
            after = self._told(row)
            changed = tuple(key for key in self.cls.fields if key in given or key in by_themselves)
            before = MappingProxyType({**after, **dict.fromkeys(changed, UNKNOWN)})
            action = self.cls.action_of_update(changed, before, after)
            events.append((row, action, RecordEvent(self.cls.record_id(row), before, after, changed)))
        return self._grouped(events)

    def _told(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        return MappingProxyType({key: frozen(values.get(key, UNKNOWN)) for key in self.cls.fields})


def _changing(state: ORMExecuteState) -> Any:
    """Give the statement itself: `select(Person).from_statement(update(Person)…)` has it within."""
    statement = state.statement
    return statement.element if isinstance(statement, FromStatement) else statement


def _returning(statement: Any, wanted: list[Any]) -> Any:
    """Give a statement that returns these, too, after what it returns anyway."""
    if not isinstance(statement, FromStatement):
        return statement.returning(*wanted)
    # What is selected from a statement is found in it by its name.
    first = len(statement._raw_columns)  # another tracking may have added some
    named = [column.label(f"upgrader_{number}") for number, column in enumerate(wanted, first)]
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


def _old(cls: TrackedClass, key: str, number: int) -> Any:
    column = cls.columns[key]
    quoted = '"' + column.name.replace('"', '""') + '"'
    return literal_column(f"old.{quoted}", column.type).label(f"upgrader_old_{number}")


def _returned_already(statement: Any) -> int:
    """Give how much a statement returns so far: another tracking may have asked for old values, too."""
    return len(statement._returning) + len(getattr(statement, "_supplemental_returning", None) or ())


def _values_of(statement: Any) -> Iterator[Any]:
    """Give what an UPDATE sets: names of fields, or columns."""
    if statement._values:
        yield from statement._values
    for one, _ in getattr(statement, "_ordered_values", None) or ():  # before SQLAlchemy 2.1
        yield one


def _column_of(given: Any) -> Any:
    element = given.__clause_element__() if hasattr(given, "__clause_element__") else given
    return element._deannotate() if hasattr(element, "_deannotate") else element


def _is_same(kind: TypeEngine[Any], before: Any, after: Any) -> bool:
    """Tell whether a value is as it was, in the way of its type; NaN, which equals nothing, may be, too."""
    try:
        return bool(kind.compare_values(before, after)) or bool(before != before and after != after)
    except ValueError:  # vectors that are NumPy's arrays have an answer for each element
        return type(before) is type(after) and hasattr(before, "tolist") and before.tolist() == after.tolist()


def _for_caller(result: Result[Any], whole: FrozenResult[Any], given: int) -> Result[Any]:
    """Give what the caller asked for; the cursor's result behind it still has the `rowcount`."""
    raw = result if isinstance(result, CursorResult) else getattr(result, "raw", None)
    if not given:
        return raw if isinstance(raw, CursorResult) else result
    asked = whole().columns(*range(given))
    asked.raw = raw  # type: ignore[attr-defined] # as those of the ORM have it; another tracking may ask for it
    return asked


def _has_rows(state: ORMExecuteState) -> bool:
    """Tell whether this is an UPDATE with many sets of values: the ORM's by primary key, else one of Core's."""
    return state.is_update and isinstance(state.parameters, Sequence)


def _is_synchronised_alias(state: ORMExecuteState) -> bool:
    entity = _changing(state).entity_description["entity"]
    return bool(inspect(entity).is_aliased_class) and bool(
        state.execution_options.get("synchronize_session", "auto")
    )


def _strategy(state: ORMExecuteState) -> str:
    return str(state.execution_options.get("dml_strategy", "auto"))
