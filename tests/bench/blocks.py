"""What is run in turns, and the ratios that come of it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Contender = Callable[[int], float]
"""Runs one block, given its number from 0, and gives the seconds that count."""


@dataclass(frozen=True)
class Times:
    """The seconds of each block, by contender; all have the same number of blocks."""

    seconds: Mapping[str, Sequence[float]]

    def median(self, name: str) -> float:
        """Give the median of a contender's blocks."""
        return statistics.median(self.seconds[name])

    def total_ratio(self, one: str, other: str) -> float:
        """Give the total time of `one` by that of `other`."""
        return sum(self.seconds[one]) / sum(self.seconds[other])

    def median_ratio(self, one: str, other: str) -> float:
        """Give the median of the ratios of blocks that ran one after the other."""
        pairs = zip(self.seconds[one], self.seconds[other], strict=True)
        return statistics.median([first / second for first, second in pairs])


def in_turns(contenders: Mapping[str, Contender], *, blocks: int, warm_up: int = 1) -> Times:
    """Run every contender once, then every one again, and so on.

    Args:
        warm_up: how many of the first blocks do not count; they have the numbers before 0.
    """
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(-warm_up, blocks):
        for name, contender in contenders.items():
            seconds = contender(number)
            if number >= 0:
                found[name].append(seconds)
    return Times(found)


def timed(action: Callable[[], object]) -> float:
    """Give the seconds that a call takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started
