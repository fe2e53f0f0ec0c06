"""Which runs are killed: so many of each kind, each with its own source of chance."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass

import pytest

from tests.reliability.boundaries import SIGKILL, TERMINATE

# Of all kills; the rest of them are at boundaries.
MOMENTS, COMMITS, INDEXES = 0.2, 0.06, 0.04
BOUNDARIES = 1 - MOMENTS - COMMITS - INDEXES
DOWN = 0.2  # beside them, on each of the two ways down
_SHORT = {SIGKILL: "sigkill", TERMINATE: "terminate"}


@dataclass(frozen=True)
class Case:
    """One of the killed runs.

    Attributes:
        how: SIGKILL or pg_terminate_backend.
        number: which of `count` of its kind.
    """

    how: str
    number: int
    count: int
    seed: int

    def random(self) -> random.Random:
        """Give the case's own source of chance: the same in every run of the tests."""
        return random.Random(f"{self.seed}:{self.how}:{self.number}:{self.count}")

    def __str__(self) -> str:
        return f"{_SHORT[self.how]}-{self.number}-of-{self.count}"

    def tell(self, share: float, what: object) -> None:
        """Print what is needed to run this case again; pytest shows it if the case fails."""
        print(f"kill: {what}")
        print(
            "again: .venv/bin/python -m pytest tests/reliability"
            f" --kills {round(self.count * 2 / share)} --kill-seed {self.seed} -k '{self}'"
        )

    def boundary(self, total: int) -> int:
        """Choose a boundary: one from each of as many equal stretches as there are cases, the kinds in turn."""
        place = 2 * self.number + ((self.how == TERMINATE) + self.seed) % 2
        return min(total, int((place + self.random().random()) * total / (2 * self.count)) + 1)


def spread(metafunc: pytest.Metafunc, share: float) -> None:
    """Make one test for each kill of a kind, half of them by SIGKILL.

    Args:
        share: of all kills.
    """
    option = metafunc.config.getoption
    kills = option("--kills", default=None) or int(os.environ.get("UPGRADER_TEST_KILLS", "100"))
    seed = option("--kill-seed", default=None) or int(os.environ.get("UPGRADER_TEST_KILL_SEED", "1"))
    count = max(1, round(kills * share / 2))
    cases = [Case(how, number, count, seed) for how in (SIGKILL, TERMINATE) for number in range(count)]
    metafunc.parametrize("case", cases, ids=str)
