"""Something that is done again and again while nothing else happens."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Ticker:
    """Calls a function every so many seconds, from a thread of its own, between `start` and `stop`."""

    def __init__(self, tick: Callable[[], None], *, seconds: float) -> None:
        """Start nothing yet."""
        self._tick = tick
        self._seconds = seconds
        self._stopped: threading.Event | None = None

    def start(self) -> None:
        """Begin; what was begun before ends."""
        self.stop()
        self._stopped = stopped = threading.Event()
        threading.Thread(target=self._run, args=(stopped,), name="upgrader-ticker", daemon=True).start()

    def stop(self) -> None:
        """End; a call that is on its way comes to its end."""
        if self._stopped is not None:
            self._stopped.set()
            self._stopped = None

    def _run(self, stopped: threading.Event) -> None:
        while not stopped.wait(self._seconds):
            self._tick()
