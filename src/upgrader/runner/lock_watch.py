"""Looks, from a thread of its own and past the steps' connections, at what the steps in progress wait for.

Nothing of it is in the way of a step: beginning and ending a watch sets an attribute. The thread wakes up a few
times a second, and only asks the server where a step has lasted for a quarter of its lock timeout.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import psycopg

from upgrader.database.aside import Asks, ConnectionBusy
from upgrader.database.blockers import cancel_wait, find_wait, find_waiting
from upgrader.database.index_progress import read_index_progress
from upgrader.events import EventSink, StepProgress, ignore_events
from upgrader.model import Blocker, LockWait, Scope, Step
from upgrader.runner.stop import StopToken

_LONGEST_LOOK_SECONDS = 0.25
_SHORTEST_LOOK_SECONDS = 0.01
_EVENT_SECONDS = 1.0
_BLIND_SECONDS = 5.0  # after a look that failed: the next one may be as dear to the server
_CLOSE_SECONDS = 2.0

WATCH_SETTINGS = "set local jit = off; set local statement_timeout = 1000; set local lock_timeout = 1000"
"""The views are estimated to be dear: compiling a query on them takes longer than a lock timeout."""
STOPPED, BLOCKING, TOO_LONG = "stopped", "blocking", "too-long"
"""Why a watch ended a wait: the run is to stop; others queued up behind it; it waited for longer than it may."""


@dataclass(slots=True)
class WatchedStep:
    """One attempt at a step, as the watch sees it. It may be watched several times in a row.

    Attributes:
        lock_seconds: after which time somebody's wait is looked at, and (outside a transaction) ended if others
            queue up behind it; 0: without end.
        concurrent_wait_seconds: outside a transaction: how long it may wait while nobody waits behind it.
        is_transactional: False shows the progress of an index.
        is_told: whether its waits are told while they last: where no timeout ends them.
        blockers: who was in the way, at the last wait that was seen.
        wait: the wait that was seen last in the try at hand.
        last_wait: the wait that was seen last in any.
        waited_seconds: all waits together, as far as they were seen.
        ended: why the watch ended a wait; None where it did not.
        trouble: why nothing could be seen; None where it could.
    """

    step: Step
    scope: Scope
    lock_seconds: float
    concurrent_wait_seconds: float = 0.0
    is_transactional: bool = True
    is_told: bool = False
    blockers: tuple[Blocker, ...] = ()
    wait: LockWait | None = None
    last_wait: LockWait | None = None
    waited_seconds: float = 0.0
    ended: str | None = None
    trouble: str | None = None
    pid: int = 0
    began: float = 0.0
    told: float = 0.0

    @property
    def look_seconds(self) -> float:
        """How long a watch may be blind: a quarter of the lock timeout, so that it is looked at before it."""
        quarter = self.lock_seconds / 4 if self.lock_seconds else _LONGEST_LOOK_SECONDS
        return min(_LONGEST_LOOK_SECONDS, max(_SHORTEST_LOOK_SECONDS, quarter))

    def note_timeout(self) -> None:
        """Count the wait that a lock timeout ended: it lasted to the end, whenever it was last looked at."""
        seen = self.wait.seconds if self.wait is not None else 0.0
        self.waited_seconds += max(0.0, self.lock_seconds - seen)
        self.wait = None

    def note(self, wait: LockWait) -> None:
        """Add up what was seen; several looks at one wait count as the longest."""
        before = self.wait.seconds if self.wait is not None and self.wait.started == wait.started else 0.0
        self.waited_seconds += max(0.0, wait.seconds - before)
        self.wait = self.last_wait = wait
        if wait.blockers:
            self.blockers = wait.blockers


@dataclass
class LockWatch:
    """Watches steps, of each session one at a time. Without somebody to ask it sees nothing.

    Attributes:
        asks: another connection than those of the steps.
        redact: takes secrets out of the queries of others.
    """

    asks: Asks | None = None
    emit: EventSink = ignore_events
    stop: StopToken = field(default_factory=StopToken)
    redact: Callable[[str], str] = str
    _watched: dict[int, WatchedStep] = field(default_factory=dict)
    _thread: threading.Thread | None = None
    _blind_until: float = 0.0
    _look_seconds: float = _LONGEST_LOOK_SECONDS
    _wake: threading.Event = field(default_factory=threading.Event)
    _is_closed: bool = False
    _starting: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, watched: WatchedStep, pid: int | None) -> None:
        """Watch the session `pid` from here on."""
        if self.asks is None or pid is None:
            return
        watched.pid, watched.began, watched.wait = pid, time.monotonic(), None
        self._watched[pid] = watched
        if self._thread is None:
            self._begin_thread(watched.look_seconds)
        elif watched.look_seconds < self._look_seconds:
            self._look_seconds = watched.look_seconds
            self._wake.set()

    def end(self, watched: WatchedStep) -> None:
        """Watch this step no longer."""
        if self._watched.get(watched.pid) is watched:
            self._watched.pop(watched.pid, None)

    def close(self) -> None:
        """End the thread; never raises."""
        self._is_closed = True
        self._watched.clear()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(_CLOSE_SECONDS)

    def _begin_thread(self, look_seconds: float) -> None:
        with self._starting:
            if self._thread is None:
                self._look_seconds = look_seconds
                self._thread = threading.Thread(target=self._run, name="upgrader-lock-watch", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._is_closed:
            self._wake.wait(self._look_seconds)
            self._wake.clear()
            now = time.monotonic()
            due = [one for one in tuple(self._watched.values()) if now - one.began >= one.look_seconds]
            if due and now >= self._blind_until:
                self._try_to_look(due)

    def _try_to_look(self, due: Sequence[WatchedStep]) -> None:
        assert self.asks is not None
        try:
            waiting = find_waiting(self.asks, [watched.pid for watched in due])
            for watched in due:
                self._look(self.asks, watched, is_waiting=watched.pid in waiting)
                watched.trouble = None
        except ConnectionBusy:  # its owner comes first; the next look is soon
            return
        except psycopg.Error as error:
            self._blind_until = time.monotonic() + _BLIND_SECONDS
            for watched in due:
                watched.trouble = watched.trouble or " ".join(str(error).split())

    def _look(self, asks: Asks, watched: WatchedStep, *, is_waiting: bool) -> None:
        wait = find_wait(asks, watched.pid, redact=self.redact) if is_waiting else None
        if self._watched.get(watched.pid) is not watched:  # it has ended meanwhile
            return
        if wait is not None:
            watched.note(wait)
            reason = self._reason_to_end(watched, wait)
            if reason is not None:
                # Before it is ended: the step hears of it at once.
                watched.ended = reason
                if not cancel_wait(asks, watched.pid, wait):
                    watched.ended = None
        now = time.monotonic()
        if now - watched.told < _EVENT_SECONDS:
            return
        index = None if watched.is_transactional else read_index_progress(asks, watched.pid)
        if index is not None or (wait is not None and watched.is_told):
            watched.told = now
            self.emit(StepProgress(watched.step, watched.scope, now - watched.began, index, wait))

    def _reason_to_end(self, watched: WatchedStep, wait: LockWait) -> str | None:
        if watched.is_transactional:
            return STOPPED if self.stop.requested else None
        if wait.keeps_others_waiting:
            is_over = bool(watched.lock_seconds) and wait.seconds >= watched.lock_seconds
            return BLOCKING if is_over else None
        longest = watched.concurrent_wait_seconds
        return TOO_LONG if longest and wait.seconds >= longest else None
