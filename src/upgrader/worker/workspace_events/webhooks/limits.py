"""How much is sent to one endpoint: so many requests at a time, and so many a second."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from upgrader.worker.workspace_events.delivery import DeliverLaterError
from upgrader.worker.workspace_events.webhooks.places import Place, Places, PlacesHere

_LONGEST_TURN_SECONDS = 60.0
"""So far ahead turns are given where nobody knows when a place is free: an endpoint may get faster."""
_SHORTEST_TURN_SECONDS = 0.1
"""What is less is waited for: to go back to the queue takes longer."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How much an endpoint takes.

    Attributes:
        max_concurrency: so many requests at a time.
        max_per_second: so many requests a second; None: as fast as they come.
        longest_seconds: so long a request takes at most. After that its place is free, whatever became of it.
    """

    max_concurrency: int
    max_per_second: float | None = None
    longest_seconds: float = 3_600.0


@dataclass(frozen=True, slots=True)
class _Turn:
    """What a place has for a request: it begins in so many seconds, or comes again then."""

    seconds: float
    is_taken: bool


class EndpointLimits:
    """Counts what is being sent, per endpoint.

    What does not fit goes back to the queue, each until its own turn: if all came again at once, all but one would
    only be sent back again.
    """

    def __init__(
        self,
        places: Places | None = None,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Begin with nothing at work.

        Args:
            places: where it is counted; by default in this process.
            now: by which requests are timed.
        """
        self._places = places or PlacesHere(now=now)
        self._now = now
        self._sleep = sleep

    def share(self, places: Places) -> None:
        """Count there from now on, together with others."""
        self._places = places

    @contextmanager
    def place(self, endpoint: str, limit: Limit) -> Iterator[None]:
        """Hold a place for one request.

        Raises:
            DeliverLaterError: there is none just now.
        """
        places, lease = self._places, secrets.token_hex(8)
        turn = places.change(endpoint, lambda place, now: _take(place, now, limit, lease))
        if not turn.is_taken:
            raise DeliverLaterError(turn.seconds)
        took_seconds = 0.0
        try:
            if turn.seconds > 0:
                self._sleep(turn.seconds)
            began = self._now()
            try:
                yield
            finally:
                took_seconds = self._now() - began
        finally:
            places.change(endpoint, lambda place, _: _give_back(place, lease, took_seconds))


def _take(place: Place, now: float, limit: Limit, lease: str) -> _Turn:
    place.leases = {one: until for one, until in place.leases.items() if until > now}
    if len(place.leases) >= limit.max_concurrency:
        # Rather one too many than a place left free.
        pause = place.request_seconds / (limit.max_concurrency + 1)
        turn = place.turn(now + pause, pause)
        return _Turn(min(turn - now, _LONGEST_TURN_SECONDS), is_taken=False)
    begins = now
    if limit.max_per_second is not None:
        share = 1 / limit.max_per_second
        if place.free_at - now > _SHORTEST_TURN_SECONDS:
            return _Turn(place.turn(place.free_at, share) - now, is_taken=False)
        begins = max(now, place.free_at)
        place.free_at = begins + share
    place.leases[lease] = begins + limit.longest_seconds
    return _Turn(begins - now, is_taken=True)


def _give_back(place: Place, lease: str, took_seconds: float) -> None:
    place.leases.pop(lease, None)
    place.request_seconds += (took_seconds - place.request_seconds) / 4
