"""How many lanes a run works with, where it may choose: a climb to where more of them bring nothing more.

A pure controller. It is told once per window how long what ended in it has taken, and how the server is. With n
lanes that take d seconds for a workspace, n / d of them end in a second; from where on d grows with n, more lanes
bring nothing. That is tried out:

    2 ─> 4 ─> 8 … as long as each doubling brings more than half of what it would if nothing were shared,
    then steps of a fifth, up or down, each kept if it brings more (loses less) than half of its part,
    then rest, the longer the more often nothing was gained.

A database that suffers halves the lanes at once, and they rest. The doubling and the halving are those of TCP's
slow start and congestion avoidance (Jacobson, 1988); what is compared is the mean of the logarithms, so that one
large tenant among small ones does not count for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from upgrader.model import Pressure
from upgrader.runner.strain import Strain

LANES_AT_FIRST = 2
LANES_AT_MOST = 32
_WINDOWS_TO_COMPARE = (2, 10)  # at least, and at most
_CERTAIN = 1.5  # standard errors,
_LIKELY = 0.5  # and what is asked of a change where looking longer is not worth the time
_REST_WINDOWS = (8, 64)  # the first one, and the longest
_SUFFERED_REST_WINDOWS = 10
_NOISE = 0.05  # of a whole window, before anything is known of it
_NOISE_WEIGHT = 4
_FINE_PART = 5


@dataclass(frozen=True, slots=True)
class Window:
    """What was seen in a few seconds.

    Attributes:
        seconds_each: how long each workspace took that began and ended with the lanes that are wanted now.
    """

    seconds_each: Sequence[float] = ()
    pressure: Pressure = field(default_factory=Pressure)


@dataclass
class _Sample:
    """How long workspaces take with so many lanes, as the mean of the logarithms."""

    lanes: int
    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    windows: list[float] = field(default_factory=list)

    def add(self, seconds_each: Sequence[float]) -> None:
        """Take a window; an empty one says nothing."""
        logarithms = [math.log(max(seconds, 1e-6)) for seconds in seconds_each]
        if not logarithms:
            return
        self.count += len(logarithms)
        self.total += math.fsum(logarithms)
        self.squares += math.fsum(value * value for value in logarithms)
        self.windows.append(math.fsum(logarithms) / len(logarithms))

    @property
    def rate(self) -> float:
        """The logarithm of how many end in a second, on average."""
        return math.log(self.lanes) - self.total / self.count

    @property
    def is_enough(self) -> bool:
        """Whether there is anything to compare with."""
        return len(self.windows) >= _WINDOWS_TO_COMPARE[0] and self.count >= 2 * self.lanes

    @property
    def is_all(self) -> bool:
        """Whether looking longer is not worth the time."""
        return self.is_enough and len(self.windows) >= _WINDOWS_TO_COMPARE[1]

    def variance(self) -> float:
        """Give that of `rate`: of the workspaces, and of whole windows (a checkpoint, a neighbour)."""
        mean = self.total / self.count
        of_one = max(0.0, self.squares / self.count - mean * mean)
        seen = sum((one - mean) ** 2 for one in self.windows)
        of_window = (seen + _NOISE_WEIGHT * _NOISE**2) / (len(self.windows) + _NOISE_WEIGHT)
        return of_one / self.count + of_window / len(self.windows)


class Throttle:
    """Says how many lanes are to work.

    Attributes:
        lanes: as many, from 1 to `maximum`.
        reason: why the last change was made.
    """

    def __init__(self, *, maximum: int = LANES_AT_MOST, lanes: int = LANES_AT_FIRST) -> None:
        """Begin with a few."""
        self._maximum = max(1, maximum)
        self.lanes = min(lanes, self._maximum)
        self.reason = ""
        self._strain = Strain()
        self._rest, self._next_rest = 0, _REST_WINDOWS[0]
        self._doubles = True
        self._begin_at_base()

    def observe(self, window: Window) -> int:
        """Take what was seen in a window; give how many lanes are to work in the next one."""
        reason = self._strain.rises(window.pressure, lanes=self.lanes)
        if reason is not None:
            self._step_back(reason)
        elif not self._strain.is_high:
            self._follow(window.seconds_each)
        return self.lanes

    def _follow(self, seconds_each: Sequence[float]) -> None:
        self._rest = max(0, self._rest - 1)
        if self._rest < _WINDOWS_TO_COMPARE[1]:  # the end of a rest is what the next try is compared with
            self._sample.add(seconds_each)
        if not self._rest:
            self._consider()

    def begin_anew(self) -> None:
        """Forget how long things took: other work begins. The lanes stay."""
        self._begin_at_base()

    def _begin_at_base(self) -> None:
        """Measure where it is, then look around: up, and where that was in vain, down."""
        self._base: _Sample | None = None
        self._sample = _Sample(self.lanes)
        self._gained = False

    def _step_back(self, reason: str) -> None:
        self._doubles = False
        self._move(max(1, self.lanes // 2), reason)
        self._begin_at_base()
        self._rest = max(_SUFFERED_REST_WINDOWS, self._next_rest)
        self._next_rest = min(2 * self._next_rest, _REST_WINDOWS[1])

    def _consider(self) -> None:
        """Decide, as soon as the sample says enough."""
        if self._base is None:
            if self._sample.is_enough:
                self._base = self._sample
                self._try_more()
            return
        if not self._sample.is_enough:
            return
        gain = self._sample.rate - self._base.rate
        half = math.log(self._sample.lanes / self._base.lanes) / 2
        error = math.sqrt(self._sample.variance() + self._base.variance())
        if abs(gain - half) < _CERTAIN * error and not self._sample.is_all:
            return
        if gain - half > _LIKELY * error:
            self._keep()
        else:
            self._give_up(gain)

    def _keep(self) -> None:
        """Stay with what was tried, and go on in the same direction."""
        assert self._base is not None
        is_up = self._sample.lanes > self._base.lanes
        self._base, self._gained = self._sample, True
        if is_up:
            self._try_more()
        else:
            self._try_fewer()

    def _give_up(self, gain: float) -> None:
        """Go back to where it was, and look in the other direction if nothing was gained in this one."""
        assert self._base is not None
        is_up, base = self._sample.lanes > self._base.lanes, self._base
        if is_up and self._doubles:
            self._doubles = False
            between = round(base.lanes * math.exp(max(0.0, gain)))
            if base.lanes < between < self._sample.lanes:
                self._move(between, "half way up is enough")
                self._begin_at_base()
                return
        if is_up and not self._gained:
            self._try_fewer()
        else:
            self._settle()

    def _try_more(self) -> None:
        assert self._base is not None
        lanes = self._base.lanes
        more = min(self._maximum, 2 * lanes if self._doubles else lanes + _fine(lanes))
        if more > lanes:
            self._try(more, "more may bring more")
        elif self._gained:
            self._settle()
        else:
            self._try_fewer()

    def _try_fewer(self) -> None:
        assert self._base is not None
        lanes = self._base.lanes
        self._doubles = False
        if lanes > 1:
            self._try(lanes - _fine(lanes), "fewer may be as fast")
        else:
            self._settle()

    def _try(self, lanes: int, reason: str) -> None:
        self._sample = _Sample(lanes)
        self._move(lanes, reason)

    def _settle(self) -> None:
        """Stay at the best that was found, longer each time that looking around gained nothing."""
        assert self._base is not None
        self._move(self._base.lanes, "as many as bring something")
        self._rest = self._next_rest
        self._next_rest = _REST_WINDOWS[0] if self._gained else min(2 * self._next_rest, _REST_WINDOWS[1])
        self._begin_at_base()

    def _move(self, lanes: int, reason: str) -> None:
        if lanes != self.lanes:
            self.lanes, self.reason = lanes, reason


def _fine(lanes: int) -> int:
    return max(1, lanes // _FINE_PART)
