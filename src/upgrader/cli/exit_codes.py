"""Which exit code an error or an outcome has: the one place that maps them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from upgrader.errors import LockHeldError, OperatorError, UpgraderError

if TYPE_CHECKING:
    from upgrader.model import Outcome

DONE = 0
FAILED = 1
REFUSED = 2
LOCKED = 3
STOPPED = 4
FOUND = 5
BUG = 70
INTERRUPTED = 130
TERMINATED = 143

_OUTCOMES = {"done": DONE, "failed": FAILED, "refused": REFUSED, "stopped-at-barrier": STOPPED}


def of_error(error: BaseException) -> int:
    """Give the exit code of a command that ended with `error`."""
    if isinstance(error, OperatorError):
        return REFUSED
    if isinstance(error, LockHeldError):
        return LOCKED
    if isinstance(error, UpgraderError):
        return FAILED
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else BUG


def of_outcome(outcome: Outcome, signal_name: str | None = None) -> int:
    """Give the exit code of a run."""
    return _OUTCOMES[outcome.value] if outcome.value in _OUTCOMES else of_signal(signal_name)


def of_signal(signal_name: str | None) -> int:
    """Give the exit code of what a signal ended; without a name it was Ctrl-C."""
    return TERMINATED if signal_name == "SIGTERM" else INTERRUPTED


def word(code: int) -> str:
    """Give the word for an exit code where there is no outcome: for the JSON of what never began."""
    return _WORDS.get(code, "failed")


_WORDS = {
    **{code: outcome for outcome, code in _OUTCOMES.items()},
    LOCKED: "locked",
    BUG: "bug",
    INTERRUPTED: "interrupted",
    TERMINATED: "interrupted",
}
