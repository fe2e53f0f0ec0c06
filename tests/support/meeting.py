"""A place where commands of several lanes wait for each other, in a run of this process."""

from __future__ import annotations

import threading

_SECONDS = 60.0
_places: dict[str, threading.Barrier] = {}
_seen: set[tuple[str, str]] = set()
_lock = threading.Lock()


def meet(place: str, count: int, who: str) -> None:
    """Wait until so many are at this place; whoever was there before goes on at once.

    Raises:
        threading.BrokenBarrierError: they did not all come.
    """
    with _lock:
        if (place, who) in _seen:
            return
        _seen.add((place, who))
        barrier = _places.setdefault(place, threading.Barrier(count))
    barrier.wait(_SECONDS)


def meeting(place: object, count: int) -> str:
    """Give the lines of a workspace command by which the first so many workspaces meet, at their first try."""
    return (
        "from tests.support.meeting import meet\n"
        f"if ctx.index <= {count}:\n    meet({str(place)!r}, {count}, ctx.workspace.id)\n"
    )
