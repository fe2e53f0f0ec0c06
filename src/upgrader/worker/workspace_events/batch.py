"""What handlers are told: actions, records before and after, and the batches that they come in. All frozen."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Any, Final, Generic, Literal, TypeVar

from upgrader.worker.workspace_events.pattern import SEPARATOR, is_name

Event = TypeVar("Event")


class EventAction(StrEnum):
    """What happened to a record.

    `deleted` and `restored` are a soft delete and its opposite where the table has a column for it, and the row is
    `destroyed` when it is gone. Where a table has no such column, a row that is gone is `deleted`. `upserted`: it
    was inserted, or updated because it was there.
    """

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    DESTROYED = "destroyed"
    RESTORED = "restored"
    UPSERTED = "upserted"


class Unknown(Enum):
    """A value that was not loaded when its record changed; nobody asked the database for it. It is false."""

    UNKNOWN = "unknown"

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final[Literal[Unknown.UNKNOWN]] = Unknown.UNKNOWN


@dataclass(frozen=True, slots=True)
class ObjectMetadata:
    """Which kind of record it is.

    Attributes:
        name_singular: as in the names of events.
        table: where the records are, without its schema.
        schema: of the table; None: what the search path says.
    """

    name_singular: str
    table: str | None = None
    schema: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A field that changed."""

    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class RecordEvent:
    """One record, and what happened to it.

    Attributes:
        record_id: its primary key; a tuple where that has several columns.
        before: the record's fields as they were, `UNKNOWN` where nobody had loaded them; None: it was not there.
        after: the record's fields as they are; None: it is gone.
        updated_fields: which of them changed.
    """

    record_id: Any
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    updated_fields: tuple[str, ...] = ()

    @property
    def changes(self) -> Mapping[str, Change]:
        """The fields that changed, with their values before and after."""
        before, after = self.before or {}, self.after or {}
        return MappingProxyType(
            {
                name: Change(before.get(name, UNKNOWN), after.get(name, UNKNOWN))
                for name in self.updated_fields
            }
        )


def new_batch_id() -> str:
    """Give an id that no other batch has."""
    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True)
class WorkspaceEventBatch(Generic[Event]):
    """What a handler receives.

    Attributes:
        name: `<objectNameSingular>.<action>`, or that of a custom event.
        workspace_id: whose records they are; None: no workspace's, the instance's.
        object_metadata: of the records; None for custom events.
        events: never empty; `RecordEvent`s, or what a custom event was emitted with.
        id: the same in every delivery of this batch, retries included.
    """

    name: str
    workspace_id: str | None
    object_metadata: ObjectMetadata | None
    events: tuple[Event, ...]
    id: str = field(default_factory=new_batch_id)

    @property
    def action(self) -> EventAction | None:
        """What happened to the records; None for custom events."""
        if self.object_metadata is None:
            return None
        return EventAction(self.name.rpartition(SEPARATOR)[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseBatchEvent:
    """Records of one kind to which the same happened; what `emit_database_batch_event` takes.

    Attributes:
        object_name_singular: the first part of the event's name.
        action: the second.
        workspace_id: whose records they are; None: the instance's.
        events: the records; where there are none, nothing is emitted.
        object_metadata: by default made of the name.
    """

    object_name_singular: str
    action: EventAction
    workspace_id: str | None
    events: tuple[RecordEvent, ...]
    object_metadata: ObjectMetadata | None = None

    @property
    def name(self) -> str:
        """The name of the event."""
        return event_name(self.object_name_singular, self.action)

    def batch(self) -> WorkspaceEventBatch[RecordEvent]:
        """Give what handlers receive."""
        metadata = self.object_metadata or ObjectMetadata(self.object_name_singular)
        return WorkspaceEventBatch(self.name, self.workspace_id, metadata, tuple(self.events))


def event_name(object_name_singular: str, action: EventAction) -> str:
    """Give `<objectNameSingular>.<action>`.

    Raises:
        ValueError: the object has no name that an event could have.
    """
    name = f"{object_name_singular}{SEPARATOR}{EventAction(action).value}"
    if not is_name(name):
        raise ValueError(
            f"{name!r} is no name of an event: write the object's name as parts with dots between them"
        )
    return name
