"""What one flush of a session has done, as batches."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from sqlalchemy import ClauseElement
from sqlalchemy.orm import InstanceState, Session, UOWTransaction
from sqlalchemy.orm.attributes import get_history
from sqlalchemy.orm.base import LoaderCallableStatus, PassiveFlag
from sqlalchemy.orm.exc import DetachedInstanceError, ObjectDeletedError

from upgrader.worker.workspace_events.batch import UNKNOWN, EventAction, RecordEvent, WorkspaceEventBatch
from upgrader.worker.workspace_events.grouping import Batches
from upgrader.worker.workspace_events.tracked import Tracked, TrackedClass, frozen
from upgrader.worker.workspace_events.workspaces import lacks_workspace, workspaces_not_loaded

OldValues = Mapping[InstanceState[Any], Mapping[str, Any]]
"""Values of fields before a flush, by record."""

Flushed = list[tuple[TrackedClass, WorkspaceEventBatch[Any]]]
"""What a flush has done, with the classes of which it tells."""

_OF_UPDATES = (EventAction.UPDATED, EventAction.DELETED, EventAction.RESTORED)
_NO_LOADING = PassiveFlag.PASSIVE_NO_INITIALIZE
_log = logging.getLogger("upgrader.events")


@dataclass(frozen=True, slots=True)
class BeforeFlush:
    """What only stands in changed records before a flush.

    Attributes:
        expressions: fields that were set to SQL expressions, with their old values. The flush expires them, and
            nothing tells any more that they were changed.
        overwritten: fields that every update sets by itself. The flush puts the new value where the old one was.
        workspaces: of records that are to be deleted, where they are not loaded. Afterwards the rows are gone.
    """

    expressions: OldValues = field(default_factory=dict)
    overwritten: OldValues = field(default_factory=dict)
    workspaces: Mapping[InstanceState[Any], Any] = field(default_factory=dict)


def look_before_flush(session: Session, tracked: Tracked, *, wants: Callable[[str], bool]) -> BeforeFlush:
    """Note what the flush that is about to begin leaves no trace of."""
    expressions: dict[InstanceState[Any], dict[str, Any]] = {}
    overwritten: dict[InstanceState[Any], dict[str, Any]] = {}
    for record in session.dirty:
        state: InstanceState[Any] = record._sa_instance_state
        cls = tracked.of(state.mapper)
        if cls is None:
            continue
        values = state.dict
        for key in state.committed_state:
            if _is_expression(values.get(key)):
                expressions.setdefault(state, {})[key] = _old_value(record, key)
        if cls.set_by_flushes:
            overwritten[state] = {key: values[key] for key in cls.set_by_flushes if key in values}
    return BeforeFlush(expressions, overwritten, _workspaces_of_deleted(session, tracked, wants))


def _workspaces_of_deleted(
    session: Session, tracked: Tracked, wants: Callable[[str], bool]
) -> Mapping[InstanceState[Any], Any]:
    deleted: list[InstanceState[Any]] = [record._sa_instance_state for record in session.deleted]
    wanted = [
        state
        for state in deleted
        if (cls := tracked.of(state.mapper)) is not None
        and cls.workspace_field is not None
        and wants(cls.names[cls.gone])
        # One that was set before the deletion was never written.
        and _stored(state).get(cls.workspace_field, UNKNOWN) is UNKNOWN
    ]
    return workspaces_not_loaded(session, wanted, tracked)


def flushed_batches(
    session: Session,
    context: UOWTransaction,
    tracked: Tracked,
    *,
    wants: Callable[[str], bool],
    before: BeforeFlush,
) -> Flushed:
    """Give what a flush that is just about to end has done, one batch per kind, action and workspace."""
    return _Flush(session, tracked, wants, before).read(context)


class _Flush:
    def __init__(
        self, session: Session, tracked: Tracked, wants: Callable[[str], bool], before: BeforeFlush
    ) -> None:
        self._session = session
        self._tracked = tracked
        self._wants = wants
        self._before = before
        self._workspaces = dict(before.workspaces)
        self._replaced: dict[Any, InstanceState[Any]] = {}
        self._batches = Batches()
        self._workspace: str | None = None
        self._workspace_is_known = False

    def read(self, context: UOWTransaction) -> Flushed:
        new: list[InstanceState[Any]] = []
        there: list[InstanceState[Any]] = []
        gone: list[InstanceState[Any]] = []
        replaced: list[InstanceState[Any]] = []
        # Orphans that the flush itself deletes are in none of the session's collections.
        for state, (is_deleted, is_only_listed) in context.states.items():
            if is_deleted:
                # One that a new record of the same key takes the place of, by an UPDATE, is only listed.
                (replaced if is_only_listed else gone).append(state)
            elif not is_only_listed:
                (there if state.key is not None else new).append(state)
        self._replaced = {state.key: state for state in replaced}
        self._ask_for_workspaces(there)
        new.sort(key=lambda state: state.insert_order or 0)
        for states, read in (
            (_sorted(replaced), self._gone),
            (new, self._created),
            (_sorted(there), self._updated),
            (_sorted(gone), self._gone),
        ):
            for state in states:
                cls = self._tracked.of(state.mapper)
                if cls is not None:
                    read(state, cls)
        return self._batches.make()

    def _ask_for_workspaces(self, states: Iterable[InstanceState[Any]]) -> None:
        asked = []
        for state in states:
            cls = self._tracked.of(state.mapper)
            if cls is None or not lacks_workspace(state, cls):
                continue
            if any(self._wants(cls.names[action]) for action in _OF_UPDATES) and self._changed(state, cls):
                asked.append(state)
        self._workspaces.update(workspaces_not_loaded(self._session, asked, self._tracked))

    def _created(self, state: InstanceState[Any], cls: TrackedClass) -> None:
        if not self._wants(cls.names[EventAction.CREATED]):
            return
        # What was not given is NULL, unless the database had something of its own to put in, or a row was there.
        values = state.dict
        kept = self._kept(state, cls)
        held, otherwise = kept or {}, None if kept is None else UNKNOWN
        unset = {
            key: UNKNOWN if key in state.expired_attributes else held.get(key, otherwise)
            for key in cls.unset(values)
        }
        told = RecordEvent(cls.record_id(values), None, _snapshot({**values, **unset}, cls.fields), ())
        self._batches.add(cls, EventAction.CREATED, self._workspace_of(state, cls, values), told)

    def _kept(self, state: InstanceState[Any], cls: TrackedClass) -> Mapping[str, Any] | None:
        """Give what was in the row that a new record takes the place of: what it does not set stays there."""
        if not self._replaced:
            return None
        old = self._replaced.get(state.mapper.identity_key_from_instance(state.obj()))
        if old is None:
            return None
        values = _stored(old)
        if lacks_workspace(state, cls):
            self._workspaces[state] = self._workspace_of(old, cls, values)
        return values

    def _updated(self, state: InstanceState[Any], cls: TrackedClass) -> None:
        changed = self._changed(state, cls)
        if not changed:
            return
        values = state.dict
        after = {key: frozen(values.get(key, UNKNOWN)) for key in cls.fields}
        before = {**after, **changed}
        action = cls.action_of_update(changed, before, after)
        if not self._wants(cls.names[action]):
            return
        told = RecordEvent(
            _identity(state, cls, values), MappingProxyType(before), MappingProxyType(after), tuple(changed)
        )
        self._batches.add(cls, action, self._workspace_of(state, cls, values), told)

    def _gone(self, state: InstanceState[Any], cls: TrackedClass) -> None:
        if not self._wants(cls.names[cls.gone]) or state.key is None:
            return
        values = _stored(state)
        told = RecordEvent(_identity(state, cls, values), _snapshot(values, cls.fields), None, ())
        self._batches.add(cls, cls.gone, self._workspace_of(state, cls, values), told)

    def _changed(self, state: InstanceState[Any], cls: TrackedClass) -> dict[str, Any]:
        """Give the fields that changed, with what they held before."""
        record = state.obj()
        changed: dict[str, Any] = {}
        committed = state.committed_state
        if committed:
            for key in cls.fields:
                if key in committed:
                    history = get_history(record, key, _NO_LOADING)
                    if history.added or history.deleted:
                        changed[key] = history.deleted[0] if history.deleted else UNKNOWN
        for key, old in self._before.expressions.get(state, {}).items():
            if key in cls.fields:
                changed[key] = old
        if changed and cls.set_by_flushes:
            overwritten = self._before.overwritten.get(state, {})
            for key in cls.set_by_flushes:
                was, is_ = overwritten.get(key, UNKNOWN), state.dict.get(key, UNKNOWN)
                # It is as it was where the update was one of another table of the record's.
                if was is UNKNOWN or is_ is UNKNOWN or was != is_:
                    changed.setdefault(key, was)
        return changed

    def _workspace_of(
        self, state: InstanceState[Any], cls: TrackedClass, values: Mapping[str, Any]
    ) -> str | None:
        if cls.workspace_field is None:
            if not self._workspace_is_known:
                self._workspace = self._tracked.workspace_of_session(self._session)
                self._workspace_is_known = True
            return self._workspace
        value = values.get(cls.workspace_field, UNKNOWN)
        if value is UNKNOWN and state in self._workspaces:
            value = self._workspaces[state]
        elif value is UNKNOWN:
            value = _loaded(state, cls.workspace_field)
        return None if value is None else str(value)


def _is_expression(value: object) -> bool:
    return isinstance(value, ClauseElement) or hasattr(value, "__clause_element__")


def _old_value(record: object, key: str) -> Any:
    deleted = get_history(record, key, _NO_LOADING).deleted
    return deleted[0] if deleted else UNKNOWN


def _snapshot(values: Mapping[str, Any], fields: Iterable[str]) -> Mapping[str, Any]:
    return MappingProxyType({key: frozen(values.get(key, UNKNOWN)) for key in fields})


def _stored(state: InstanceState[Any]) -> dict[str, Any]:
    """Give what a row held that is gone: changes of its record were never written."""
    values = dict(state.dict)
    for key, old in state.committed_state.items():
        values[key] = UNKNOWN if isinstance(old, LoaderCallableStatus) else old
    return values


def _identity(state: InstanceState[Any], cls: TrackedClass, values: Mapping[str, Any]) -> Any:
    """Give the primary key of a record that was there, or as it was at first where it is not among the values."""
    if all(key in values for key in cls.keys):
        return cls.record_id(values)
    assert state.key is not None
    identity = state.key[1]
    return identity[0] if len(identity) == 1 else tuple(identity)


def _loaded(state: InstanceState[Any], key: str) -> Any:
    """Ask the database for the workspace of a record that is expired; None where the record is gone."""
    try:
        return getattr(state.obj(), key)
    except (ObjectDeletedError, DetachedInstanceError):
        _log.warning(
            "the workspace of a deleted %s is not known: %s was not loaded", state.class_.__name__, key
        )
        return None


def _sorted(states: list[InstanceState[Any]]) -> list[InstanceState[Any]]:
    """Order records by their keys, so that batches are the same each time; as they come where keys have no order."""
    try:
        return sorted(states, key=lambda state: state.key[1] if state.key is not None else ())
    except TypeError:
        return states
