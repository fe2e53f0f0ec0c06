"""The timeouts that a decorator overrides: what they may be, and their value."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from upgrader.model import NO_OVERRIDES, StepTimeouts

if TYPE_CHECKING:
    from upgrader.registry.decorators import Declaration

_TRIES = "lock_tries"
_CONCURRENT = "concurrent_wait_seconds"
_MOST_TRIES = 1_000_000
# PostgreSQL takes its timeouts in whole milliseconds, in 32 bits.
_LEAST_SECONDS, _MOST_SECONDS = 0.001, 2_000_000.0


@dataclass(frozen=True, slots=True)
class TimeoutFault:
    """What is wrong with one of them, and what to write instead."""

    message: str
    remedy: str


def timeout_faults(declaration: Declaration) -> Iterator[TimeoutFault]:
    """Tell what is wrong with a declaration's timeouts; nothing where all are None."""
    for name, value in declaration.timeouts.items():
        if value is None:
            continue
        if not (_is_count(value) if name == _TRIES else _is_seconds(value)):
            least = (
                f"from 1 to {_MOST_TRIES:,}" if name == _TRIES else "0 for none, or from 0.001 to 2,000,000"
            )
            kind = "a whole number" if name == _TRIES else "a number of seconds"
            yield TimeoutFault(f"has {name}={_shown(value)}, which cannot be used", f"write {kind}: {least}")
        elif declaration.transactional is False and name == _TRIES:
            remedy = "take it out: what runs outside a transaction is tried once in a run"
            yield TimeoutFault(f"has {name} and transactional=False", remedy)
        elif declaration.transactional is True and name == _CONCURRENT:
            remedy = "take it out: it is for commands with transactional=False; see lock_timeout_seconds"
            yield TimeoutFault(f"has {name} but runs in a transaction", remedy)


def step_timeouts(declaration: Declaration) -> StepTimeouts:
    """Give the overrides of a declaration with which nothing is wrong."""
    given: dict[str, Any] = {name: value for name, value in declaration.timeouts.items() if value is not None}
    return StepTimeouts(**given) if given else NO_OVERRIDES


def _is_count(value: object) -> bool:
    return type(value) is int and 1 <= value <= _MOST_TRIES


def _is_seconds(value: object) -> bool:
    if type(value) not in (int, float):
        return False
    assert isinstance(value, int | float)
    return value == 0 or (math.isfinite(value) and _LEAST_SECONDS <= value <= _MOST_SECONDS)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
