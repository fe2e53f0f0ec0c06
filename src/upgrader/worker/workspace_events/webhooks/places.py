"""What is being sent to an endpoint, and where that is noted: in this process, or for all workers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

T = TypeVar("T")

_FIRST_GUESS_SECONDS = 0.1
"""So long a request is thought to take before one was seen."""


@dataclass(slots=True)
class Place:
    """One endpoint.

    Attributes:
        leases: the requests at work, each with when it is over for certain: one whose worker died ends so.
        free_at: when the next request may begin, where there are only so many a second.
        last_turn_at: when the last one that was sent back to the queue comes again.
        request_seconds: how long a request takes, lately.
    """

    leases: dict[str, float] = field(default_factory=dict)
    free_at: float = 0.0
    last_turn_at: float = 0.0
    request_seconds: float = _FIRST_GUESS_SECONDS

    def turn(self, earliest: float, pause_seconds: float) -> float:
        """Give when the next that was sent back may come again, each some time after the one before it."""
        self.last_turn_at = max(earliest, self.last_turn_at + pause_seconds)
        return self.last_turn_at


class Places(Protocol):
    """Keeps the places of endpoints."""

    def change(self, endpoint: str, change: Callable[[Place, float], T]) -> T:
        """Change a place, while nobody else does, and give what `change` gives.

        Args:
            endpoint: one without a place yet is given a new one.
            change: called with the place and the time, in seconds of any one clock; several times where others
                were quicker, each time with the place as they left it.
        """


class PlacesHere:
    """Those of this process."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        """Begin with none."""
        self._now = now
        self._lock = threading.Lock()
        self._places: dict[str, Place] = {}

    def change(self, endpoint: str, change: Callable[[Place, float], T]) -> T:
        """Change a place, while no other thread does."""
        with self._lock:
            return change(self._places.setdefault(endpoint, Place()), self._now())
