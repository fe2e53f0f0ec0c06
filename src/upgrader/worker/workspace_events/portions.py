"""Events in portions: PostgreSQL's jsonb holds 256 MB, and whoever receives a job holds all of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from upgrader.worker.workspace_events.batch import RecordEvent

_OF_ANYTHING_ELSE = 16


def portions(events: Sequence[Any], *, most: int, largest: int) -> Iterator[tuple[Any, ...]]:
    """Divide events into portions, in their order.

    Args:
        most: so many events are in one at most.
        largest: about so many characters; an event that is larger stands by itself.
    """
    portion: list[Any] = []
    size = 0
    for event in events:
        added = _size(event)
        if portion and (len(portion) == most or size + added > largest):
            yield tuple(portion)
            portion, size = [], 0
        portion.append(event)
        size += added
    if portion:
        yield tuple(portion)


def _size(value: object) -> int:
    """Give about how many characters a value is written with."""
    if isinstance(value, str | bytes | bytearray | memoryview):
        return len(value)
    if isinstance(value, RecordEvent):
        return _size(value.before) + _size(value.after)
    if isinstance(value, Mapping):
        return sum(_size(key) + _size(one) for key, one in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return sum(map(_size, value))
    return _OF_ANYTHING_ELSE
