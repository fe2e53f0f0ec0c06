"""How much one worker process sends to one endpoint: so many at a time, and so many a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from upgrader.worker.workspace_events.delivery import DeliverLaterError

_FULL_SECONDS = 1.0
"""So long a batch waits in the queue where as many as allowed are being sent."""


@dataclass(slots=True)
class _Place:
    at_work: int = 0
    free_at: float = 0.0


class EndpointLimits:
    """Counts what is being sent, per endpoint. Nobody waits here: what does not fit goes back to the queue."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing at work."""
        self._now = now
        self._lock = threading.Lock()
        self._places: dict[str, _Place] = {}

    @contextmanager
    def place(self, endpoint: str, *, max_concurrency: int, max_per_second: float | None) -> Iterator[None]:
        """Hold a place for one request.

        Raises:
            DeliverLaterError: there is none just now.
        """
        with self._lock:
            place = self._places.setdefault(endpoint, _Place())
            self._take(place, max_concurrency, max_per_second)
        try:
            yield
        finally:
            with self._lock:
                place.at_work -= 1

    def _take(self, place: _Place, max_concurrency: int, max_per_second: float | None) -> None:
        if place.at_work >= max_concurrency:
            raise DeliverLaterError(_FULL_SECONDS)
        now = self._now()
        if max_per_second is not None:
            if place.free_at > now:
                raise DeliverLaterError(place.free_at - now)
            place.free_at = now + 1 / max_per_second
        place.at_work += 1
