"""What a worker has to tell and has not told yet: results, ends of chunks, events. Any number of lanes write."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

from upgrader.events import Event, Notice
from upgrader.model import Step
from upgrader.worker.distributed.messages import WorkspaceResult, encode_event, encode_result

_LONG_SECONDS = 1.0
_EVENTS_AT_MOST = 1_000


class Outbox:
    """Collects until somebody takes it.

    Attributes:
        is_urgent: set when there is something that somebody should hear of at once.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self.is_urgent = threading.Event()
        self._lock = threading.Lock()
        self._items: list[dict[str, Any]] = []
        self._events = self._cut = 0
        self._at_work: dict[str, tuple[float, Step, int]] = {}

    def add_result(self, result: WorkspaceResult) -> None:
        """Tell what became of a workspace; a failure at once: others may have to stop for it."""
        with self._lock:
            self._at_work.pop(result.workspace_id, None)
            self._items.append({"say": "result", **encode_result(result)})
        if result.end != "done":
            self.is_urgent.set()

    def add_end(self, chunk: int, how: str, error: str | None = None, hint: str | None = None) -> None:
        """Tell how a chunk ended."""
        with self._lock:
            self._items.append({"say": "end", "chunk": chunk, "end": how, "error": error, "hint": hint})
        self.is_urgent.set()

    def add_event(self, event: Event) -> None:
        """Tell of an event, where anybody wants to hear of it; one that logs without end is cut, and told so."""
        body = encode_event(event)
        if body is None:
            return
        with self._lock:
            if self._events < _EVENTS_AT_MOST:
                self._events += 1
                self._items.append({"say": "event", **body})
            else:
                self._cut += 1

    def note_begun(self, workspace_id: str, step: Step, attempt: int) -> None:
        """Keep which step is at work; it is told where that lasts."""
        with self._lock:
            self._at_work[workspace_id] = (time.monotonic(), step, attempt)

    def note_ended(self, workspace_id: str) -> None:
        """Forget it again."""
        with self._lock:
            self._at_work.pop(workspace_id, None)

    def take(self) -> str | None:
        """Give what there is to tell; None where that is nothing."""
        now = time.monotonic()
        with self._lock:
            self.is_urgent.clear()
            items, self._items, self._events = self._items, [], 0
            if self._cut:
                cut = Notice(f"a worker left out {self._cut:,} lines: there were too many at a time")
                items.append({"say": "event", **(encode_event(cut) or {})})
                self._cut = 0
            lasting = [id_ for id_, (since, *_) in self._at_work.items() if now - since >= _LONG_SECONDS]
            for id_ in lasting:
                _, step, attempt = self._at_work.pop(id_)
                items.append({"say": "begun", "id": id_, "step": step.name, "attempt": attempt})
        return json.dumps(items) if items else None
