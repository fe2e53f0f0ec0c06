"""How often each handler was given a batch, and failed."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EventCounts:
    """Batches by the names of handlers, since the emitter was made.

    Attributes:
        delivered: handled without an error, in this process.
        failed: handlers that raised.
        enqueued: handed over to a queue; what becomes of the transaction is not looked at.
    """

    delivered: Mapping[str, int]
    failed: Mapping[str, int]
    enqueued: Mapping[str, int]


class EventCounter:
    """Counts; any thread may."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self._lock = threading.Lock()
        self._delivered: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._enqueued: Counter[str] = Counter()

    def delivered(self, handler: str) -> None:
        """Count a batch that a handler took."""
        with self._lock:
            self._delivered[handler] += 1

    def failed(self, handler: str) -> None:
        """Count a batch that a handler failed on."""
        with self._lock:
            self._failed[handler] += 1

    def enqueued(self, handler: str) -> None:
        """Count a batch that waits for a handler in a queue."""
        with self._lock:
            self._enqueued[handler] += 1

    @property
    def counts(self) -> EventCounts:
        """What was counted until now."""
        with self._lock:
            return EventCounts(dict(self._delivered), dict(self._failed), dict(self._enqueued))
