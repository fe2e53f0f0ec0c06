"""The backfills of a run while they are at work: how fast each goes, and whether it begins to wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from upgrader import events
from upgrader.cli.rate import RateMeter
from upgrader.cli.render.backfills import moved_text, short_moved_text


@dataclass(frozen=True, slots=True)
class BackfillWord:
    """What there is to say of a backfill.

    Attributes:
        short_text: the same where there is little room.
        is_turn: whether it has begun to wait, or goes on after it.
    """

    text: str
    short_text: str
    is_turn: bool


@dataclass
class _Followed:
    meter: RateMeter
    rows: int
    is_waiting: bool = False


class BackfillMeters:
    """Follows backfills by their events; one that is through is forgotten."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._followed: dict[tuple[str, str | None, str], _Followed] = {}

    def follow(self, event: events.BackfillMoved) -> BackfillWord:
        """Take an event; the rows that were done when a backfill is seen first count for no rate."""
        key = (event.step.name, event.scope.workspace_id, event.label)
        one = self._followed.get(key) or _Followed(RateMeter(self._clock), event.rows_done)
        one.meter.advance(event.rows_done - one.rows)
        one.rows = event.rows_done
        is_waiting = event.waiting_for is not None
        is_turn, one.is_waiting = is_waiting is not one.is_waiting, is_waiting
        if event.is_finished:
            self._followed.pop(key, None)
        else:
            self._followed[key] = one
        remaining = (event.rows_estimated or 0) - event.rows_done
        left = one.meter.left(remaining) if remaining > 0 else None
        return BackfillWord(moved_text(event, left), short_moved_text(event, left), is_turn)
