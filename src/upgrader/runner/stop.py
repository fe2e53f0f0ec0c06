"""How a run is asked to stop."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass, field


class HardStop(BaseException):
    """Raised at a second signal: the statement at hand was cancelled, the step rolls back."""


class Interrupted(Exception):  # noqa: N818 - not an error: the operator asked
    """The step stopped before its end because somebody asked for it: the run is to stop, or a backfill.

    Attributes:
        reason: what the history says of it.
    """

    def __init__(self, reason: str | None = None) -> None:
        self.reason = reason or "the run was asked to stop"
        super().__init__(self.reason)


def _closed_gate() -> threading.Lock:
    # Not an Event: to set one takes a lock that the thread which the signal interrupts may hold, for ever then.
    gate = threading.Lock()
    gate.acquire()
    return gate


@dataclass
class StopToken:
    """Set by a signal; looked at before each step.

    Attributes:
        signal_name: `SIGINT` or `SIGTERM`; None while nothing was asked.
        hard: whether a second signal came.
        requested: whether the run was asked to stop.
    """

    signal_name: str | None = None
    hard: bool = False
    requested: bool = field(default=False, init=False)
    _gate: threading.Lock = field(default_factory=_closed_gate, init=False, repr=False)

    def request(self, signal_name: str) -> None:
        """Ask the run to stop after the step at hand; safe in a signal handler, whatever the thread is at."""
        self.signal_name = self.signal_name or signal_name
        self.requested = True
        self._open_gate()

    def wait(self, seconds: float) -> bool:
        """Sleep, but no longer than until the run is asked to stop; tell whether it was. Any number of threads may."""
        if not self.requested and self._gate.acquire(timeout=max(0.0, seconds)):
            self._open_gate()  # for whoever waits, too
        return self.requested

    def _open_gate(self) -> None:
        with suppress(RuntimeError):  # it is open already
            self._gate.release()
