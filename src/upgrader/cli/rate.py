"""How fast something goes, and how long the rest of it takes: an honest range instead of one number.

The rate over all and the rate of late disagree as much as the work is uneven; what is left is told between the
two. Few observations widen it, and so does a stall: the rate of late falls with each second in which nothing ends.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

_WINDOW_SECONDS = 30.0
_RECENT_AT_LEAST = 8  # observations: of things that take a minute each, the window holds as many all the same
_SPACING_SECONDS = _WINDOW_SECONDS / 60
_WIDEST_MARGIN = 0.75  # after one observation: between four sevenths of the estimate and four times it

_MINUTE = 60.0
_HOUR = 3_600.0
_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class TimeLeft:
    """How long the rest takes, between two bounds.

    Attributes:
        low_seconds: from 0.
        high_seconds: not below `low_seconds`; always finite.
    """

    low_seconds: float
    high_seconds: float

    @property
    def text(self) -> str:
        """Give it for people: `less than a minute`, `4-6 min`, `about 1 h`, `more than 2 h`."""
        low, high = self.low_seconds, self.high_seconds
        if high < _MINUTE:
            return "less than a minute"
        if low >= _MINUTE and high > 8 * low:
            return f"more than {_amount(low, down=True)}"
        if high - low <= 0.2 * (middle := (low + high) / 2):
            return f"about {_amount(middle)}"
        unit, seconds, step = _unit(high)
        first, last = math.floor(low / seconds / step) * step, math.ceil(high / seconds / step) * step
        return f"{first:,}-{last:,} {unit}" if first else f"up to {last:,} {unit}"

    @property
    def short_text(self) -> str:
        """Give it where there is little room: `<1 min`, `4-6 min`, `~1 h`, `>2 h`."""
        text = self.text.replace("less than a minute", "<1 min")
        for words, sign in (("up to ", "<"), ("about ", "~"), ("more than ", ">")):
            text = text.replace(words, sign)
        return text


@dataclass(frozen=True, slots=True)
class _Point:
    seconds: float
    done: float


class RateMeter:
    """Counts what is done over time. Begins when it is made; reads nothing but its clock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing done."""
        self._clock = clock
        self._began = clock()
        self._points = deque([_Point(self._began, 0.0)])
        self._observations = 0
        self.done: float = 0

    @property
    def seconds(self) -> float:
        """How long it has run."""
        return max(0.0, self._clock() - self._began)

    def advance(self, count: float = 1) -> None:
        """Take down that `count` more are done; 0 says that it was looked, and nothing was."""
        if count <= 0:
            return
        now = self._clock()
        self.done += count
        self._observations += 1
        if len(self._points) > 1 and now - self._points[-2].seconds < _SPACING_SECONDS:
            self._points.pop()
        self._points.append(_Point(now, self.done))
        self._forget(now)

    @property
    def overall_rate(self) -> float:
        """How many a second since the beginning; 0 while no time has passed."""
        return _rate(self.done, self.seconds)

    @property
    def recent_rate(self) -> float:
        """How many a second of late: in half a minute, or as long as the last eight took if that is longer."""
        now = self._clock()
        self._forget(now)
        first = self._points[0]
        return _rate(self.done - first.done, now - first.seconds)

    def left(self, remaining: float) -> TimeLeft | None:
        """Give how long `remaining` more take; None while nothing is known: nothing is done yet."""
        if remaining <= 0:
            return TimeLeft(0.0, 0.0)
        rates = (self.overall_rate, self.recent_rate)
        if min(rates) <= 0:
            return None
        margin = min(_WIDEST_MARGIN, 1 / math.sqrt(self._observations))
        low, high = remaining / (max(rates) * (1 + margin)), remaining / (min(rates) * (1 - margin))
        return TimeLeft(low, high) if math.isfinite(high) else None

    def _forget(self, now: float) -> None:
        """Let go of what lies before the window; the last ones stay, however long ago they were."""
        points = self._points
        while len(points) > _RECENT_AT_LEAST + 1 and now - points[1].seconds >= _WINDOW_SECONDS:
            points.popleft()


def rate_text(rate: float) -> str:
    """Give how many end in a second, a minute or an hour, whichever says something: `400/s`, `2.5/min`."""
    for unit, seconds in (("s", 1.0), ("min", _MINUTE)):
        if rate * seconds >= 0.95:
            return f"{_short(rate * seconds)}/{unit}"
    return f"{_short(rate * _HOUR)}/h"


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 9.95 else f"{number:.1f}"


def _rate(done: float, seconds: float) -> float:
    return done / seconds if seconds > 0 else 0.0


def _unit(seconds: float) -> tuple[str, float, int]:
    """Give the unit for so long a time, its seconds, and how many of it are told at a time."""
    if seconds < 20 * _MINUTE:
        return "min", _MINUTE, 1
    if seconds < 2 * _HOUR:
        return "min", _MINUTE, 5
    return ("h", _HOUR, 1) if seconds < 2 * _DAY else ("days", _DAY, 1)


def _amount(seconds: float, *, down: bool = False) -> str:
    unit, size, _ = _unit(seconds)
    if unit == "min" and not down and abs(seconds - _HOUR) < 0.05 * _HOUR:
        return "1 h"
    count = math.floor(seconds / size) if down else round(seconds / size)
    return f"{count:,} {unit}"
