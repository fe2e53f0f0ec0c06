"""A transaction that was begun before it was asked for: kept for whoever asks, but never for long.

It holds locks: that of the next workspace, and a shared one on the workspace table. Between two steps anything may
take its time (a display on a terminal that stands still, a command's constructor), and nobody is to wait for that.
Nor is what its probe saw, a workspace in scope whose schema is there, to be taken for what is there now.
"""

from __future__ import annotations

import select
import threading
import time
from dataclasses import dataclass, field

import psycopg

from upgrader.database.message import Row

AHEAD_SECONDS = 0.05
"""What was begun longer ago is begun anew: between two steps that takes a hundredth of it as a rule."""
_LOOK_SECONDS = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class Begun:
    """A transaction in which nothing was done yet.

    Attributes:
        text: what it was begun with.
        row: of its probe.
        began: by the monotonic clock, in seconds.
    """

    text: str
    token: str
    row: Row
    driver: psycopg.Connection
    began: float = field(default_factory=time.monotonic)

    @property
    def is_old(self) -> bool:
        """Whether it was kept for too long."""
        return time.monotonic() - self.began > AHEAD_SECONDS

    @property
    def has_word(self) -> bool:
        """Whether the server has said something that nobody asked for: that it ended it for idling, as a rule."""
        poll = select.poll()
        try:
            poll.register(self.driver.fileno(), select.POLLIN)
        except psycopg.Error:  # closed on this side
            return True
        return bool(poll.poll(0))


class AheadKeeper:
    """Keeps one at a time, for one session. A thread that lives while there is one takes it back in time."""

    def __init__(self) -> None:
        """Keep none yet."""
        self._lock = threading.Lock()
        self._begun: Begun | None = None
        self._is_lost = False
        self._thread: threading.Thread | None = None

    def keep(self, begun: Begun) -> None:
        """Keep one; there was none."""
        with self._lock:
            self._begun = begun
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="upgrader-ahead", daemon=True)
                self._thread.start()

    def take(self, text: str) -> Begun | None:
        """Give what was begun with `text`, where it is still good; it is no longer kept then."""
        with self._lock:
            begun = self._begun
            if begun is None or begun.text != text or begun.is_old or begun.has_word:
                return None
            self._begun = None
            return begun

    def end(self) -> bool:
        """Take back what there is; False where its connection was lost, now or since this was asked last."""
        # Whoever takes it back puts None there last: what is None is over.
        if self._begun is None and not self._is_lost:
            return True
        with self._lock:
            if self._begun is not None:
                self._take_back(self._begun)
            is_lost, self._is_lost = self._is_lost, False
        return not is_lost

    def forget(self) -> None:
        """Keep none any longer: its connection is closed."""
        with self._lock:
            self._begun, self._is_lost = None, False

    def _watch(self) -> None:
        while True:
            time.sleep(_LOOK_SECONDS)
            with self._lock:
                if self._begun is None:
                    self._thread = None
                    return
                if self._begun.is_old:
                    self._take_back(self._begun)

    def _take_back(self, begun: Begun) -> None:
        try:
            begun.driver.rollback()
        except psycopg.Error:  # a connection that is lost has nothing begun
            self._is_lost = True
        finally:
            self._begun = None
