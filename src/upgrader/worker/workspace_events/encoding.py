"""Batches as JSON and back: with types for a queue, plainly for everybody else.

JSON has no dates, decimals, UUIDs or bytes, and no UNKNOWN. For a queue each of them becomes an object with the
single key `$` and comes back as it was. Models and dataclasses become plain objects, anything else text.

A column of the type json holds texts that PostgreSQL's jsonb and UTF-8 do not: with a NUL, or half of a surrogate pair.
For a queue they are written as their bytes; everybody else is given � there. Else the transaction that such a record is
written in would fail for being told.
"""

from __future__ import annotations

import base64
import dataclasses
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from upgrader.worker.workspace_events.batch import (
    UNKNOWN,
    ObjectMetadata,
    RecordEvent,
    Unknown,
    WorkspaceEventBatch,
)

_TAG = "$"
_PLAIN = (int, bool, type(None))
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def batch_to_json(batch: WorkspaceEventBatch[Any]) -> dict[str, Any]:
    """Give a batch as JSON that `batch_from_json` takes back, types and all."""
    metadata = batch.object_metadata
    return {
        "id": batch.id,
        "name": batch.name,
        "workspace_id": batch.workspace_id,
        "object": metadata and [metadata.name_singular, metadata.table, metadata.schema],
        "events": [_event_to_json(event) for event in batch.events],
    }


def batch_from_json(data: Mapping[str, Any]) -> WorkspaceEventBatch[Any]:
    """Give the batch that `batch_to_json` made this of."""
    metadata = ObjectMetadata(*data["object"]) if data["object"] else None
    events = tuple(_event_from_json(event, is_record=metadata is not None) for event in data["events"])
    return WorkspaceEventBatch(data["name"], data["workspace_id"], metadata, events, data["id"])


def batch_to_plain(batch: WorkspaceEventBatch[Any]) -> dict[str, Any]:
    """Give a batch as plain JSON, for others: dates and UUIDs as text; fields whose value is unknown are left out."""
    metadata = batch.object_metadata
    return {
        "id": batch.id,
        "name": batch.name,
        "workspace_id": batch.workspace_id,
        "object": None
        if metadata is None
        else {"name_singular": metadata.name_singular, "table": metadata.table, "schema": metadata.schema},
        "events": [_event_to_plain(event) for event in batch.events],
    }


def to_plain(value: object) -> Any:
    """Give a value as plain JSON; text where JSON has nothing better, and base64 for bytes."""
    if isinstance(value, Enum):
        return to_plain(value.value)
    if isinstance(value, str):
        return value if _is_storable(value) else _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, float):
        return value if _is_finite(value) else str(value)
    if isinstance(value, Mapping):
        return {to_plain(str(key)): to_plain(one) for key, one in value.items() if one is not UNKNOWN}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_plain(one) for one in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(bytes(value)).decode()
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return _structure_to_plain(value)


def _structure_to_plain(value: object) -> Any:
    dump = getattr(type(value), "model_dump", None)  # a pydantic model
    if callable(dump):
        return to_plain(dump(value, mode="json"))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return to_plain(str(value))


def record_id_to_text(record_id: object) -> str:
    """Give the id of a record as text: several columns with commas in between."""
    plain = to_plain(record_id)
    return ",".join(map(str, plain)) if isinstance(plain, list) else str(plain)


def _event_to_plain(event: object) -> Any:
    if not isinstance(event, RecordEvent):
        return to_plain(event)
    return {
        "record_id": to_plain(event.record_id),
        "before": to_plain(event.before),
        "after": to_plain(event.after),
        "updated_fields": list(event.updated_fields),
    }


def _event_to_json(event: object) -> Any:
    if not isinstance(event, RecordEvent):
        return _tagged(event)
    return [
        _tagged(event.record_id),
        _tagged(event.before),
        _tagged(event.after),
        list(event.updated_fields),
    ]


def _event_from_json(data: Any, *, is_record: bool) -> Any:
    if not is_record:
        return _untagged(data)
    record_id, before, after, updated_fields = data
    return RecordEvent(_untagged(record_id), _untagged(before), _untagged(after), tuple(updated_fields))


_WRITERS: tuple[tuple[type, str, Callable[[Any], Any]], ...] = (
    (datetime, "datetime", datetime.isoformat),  # before date: it is one
    (date, "date", date.isoformat),
    (time, "time", time.isoformat),
    (timedelta, "timedelta", lambda value: [value.days, value.seconds, value.microseconds]),
    (Decimal, "decimal", str),
    (UUID, "uuid", str),
    (bytes, "bytes", lambda value: base64.b64encode(value).decode()),
    (tuple, "tuple", lambda value: [_tagged(one) for one in value]),
    (Unknown, "unknown", lambda _: None),
)
_READERS: dict[str, Callable[[Any], Any]] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "timedelta": lambda value: timedelta(*value),
    "decimal": Decimal,
    "uuid": UUID,
    "bytes": base64.b64decode,
    "tuple": lambda value: tuple(_untagged(one) for one in value),
    "unknown": lambda _: UNKNOWN,
    "float": float,
    "text": lambda value: base64.b64decode(value).decode(errors="surrogatepass"),
    "object": lambda value: {_untagged(key): _untagged(one) for key, one in value},
}


def _tagged(value: object) -> Any:
    if type(value) in _PLAIN:
        return value
    if type(value) is str:
        return value if _is_storable(value) else {_TAG: ["text", _bytes_as_text(value)]}
    if isinstance(value, Mapping):
        if _TAG in value or not all(_is_storable(str(key)) for key in value):
            return {_TAG: ["object", [[_tagged(str(key)), _tagged(one)] for key, one in value.items()]]}
        return {str(key): _tagged(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_tagged(one) for one in value]
    if isinstance(value, float):
        return value if _is_finite(value) else {_TAG: ["float", str(value)]}
    for kind, name, write in _WRITERS:
        if isinstance(value, kind):
            return {_TAG: [name, write(value)]}
    return to_plain(value)


def _untagged(data: Any) -> Any:
    if isinstance(data, list):
        return [_untagged(one) for one in data]
    if not isinstance(data, dict):
        return data
    if _TAG in data:
        kind, written = data[_TAG]
        return _READERS[kind](written)
    return {key: _untagged(one) for key, one in data.items()}


def _is_storable(text: str) -> bool:
    return "\x00" not in text if text.isascii() else _UNSTORABLE.search(text) is None


def _bytes_as_text(text: str) -> str:
    return base64.b64encode(text.encode(errors="surrogatepass")).decode()


def _is_finite(value: float) -> bool:
    return value - value == 0
