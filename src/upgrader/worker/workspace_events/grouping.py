"""Events of one flush or statement, put together into batches."""

from __future__ import annotations

from typing import Any

from upgrader.worker.workspace_events.batch import EventAction, RecordEvent, WorkspaceEventBatch
from upgrader.worker.workspace_events.tracked import TrackedClass


class Batches:
    """One batch for each kind of record, action and workspace, in the order in which they were first met."""

    def __init__(self) -> None:
        """Begin with none."""
        self._groups: dict[tuple[str, str | None], tuple[TrackedClass, list[RecordEvent]]] = {}

    def add(self, cls: TrackedClass, action: EventAction, workspace: str | None, told: RecordEvent) -> None:
        """Put an event where it belongs."""
        key = (cls.names[action], workspace)
        found = self._groups.get(key)
        if found is None:
            self._groups[key] = (cls, [told])
        else:
            found[1].append(told)

    def make(self) -> list[tuple[TrackedClass, WorkspaceEventBatch[Any]]]:
        """Give the batches, each with the class that it tells of."""
        return [
            (cls, WorkspaceEventBatch(name, workspace, cls.metadata, tuple(events)))
            for (name, workspace), (cls, events) in self._groups.items()
        ]
