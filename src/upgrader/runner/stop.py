"""How a run is asked to stop."""

from __future__ import annotations

import threading
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


@dataclass
class StopToken:
    """Set by a signal; looked at before each step.

    Attributes:
        signal_name: `SIGINT` or `SIGTERM`; None while nothing was asked.
        hard: whether a second signal came.
    """

    signal_name: str | None = None
    hard: bool = False
    _event: threading.Event = field(default_factory=threading.Event, repr=False)

    @property
    def requested(self) -> bool:
        """Whether the run was asked to stop."""
        return self._event.is_set()

    def request(self, signal_name: str) -> None:
        """Ask the run to stop after the step at hand."""
        self.signal_name = self.signal_name or signal_name
        self._event.set()

    def wait(self, seconds: float) -> bool:
        """Sleep, but no longer than until the run is asked to stop; tell whether it was."""
        return self._event.wait(seconds)
