"""Which runs are killed: so many of each kind, each with its own source of chance."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.reliability.boundaries import OWN, SIGKILL, TERMINATE, Boundary, Kill
from tests.reliability.options import number_of

_DEFAULT_KILLS = 200
_AGAIN = 0.3  # of the runs that end a killed one are killed too
_SHORT = {SIGKILL: "sigkill", TERMINATE: "terminate"}


@dataclass(frozen=True)
class Kind:
    """A kind of case.

    Attributes:
        name: in notes.
        share: of all kills that are wanted: so many cases there are.
        when: for the report.
    """

    name: str
    share: float
    when: str


# The shares come to 0.75: the other kills are of runs that were to end a killed one.
BOUNDARY = Kind("boundary", 0.14, "at a boundary")
MOMENT = Kind("moment", 0.05, "at a random moment, from another process")
COMMIT = Kind("commit", 0.03, "with a COMMIT at work (a deferred trigger that sleeps)")
INDEX = Kind("index", 0.03, "with CREATE INDEX CONCURRENTLY at work")
LANES = Kind("lanes", 0.14, "`--jobs 4`: at a boundary of any session")
LANES_MOMENT = Kind("lanes-moment", 0.05, "`--jobs 4`: at a random moment, from another process")
LANES_COMMIT = Kind("lanes-commit", 0.02, "`--jobs 4`: with COMMITs of several lanes at work")
FILL = Kind("backfill", 0.08, "backfills: at a boundary of any session")
FILL_MOMENT = Kind("backfill-moment", 0.04, "backfills: at a random moment, from another process")
FILL_COMMIT = Kind("backfill-commit", 0.03, "backfills: with the COMMIT of a batch at work")
# Of the next two there are as many on each of two ways down.
DOWN = Kind("downgrade", 0.04, "a downgrade: at a boundary, then the same again and an upgrade")
DOWN_THEN_UP = Kind("downgrade-then-upgrade", 0.03, "a downgrade: at a boundary, then an upgrade")

KINDS = (
    BOUNDARY,
    MOMENT,
    COMMIT,
    INDEX,
    LANES,
    LANES_MOMENT,
    LANES_COMMIT,
    FILL,
    FILL_MOMENT,
    FILL_COMMIT,
    DOWN,
    DOWN_THEN_UP,
)


@dataclass(frozen=True)
class Case:
    """One of the killed runs.

    Attributes:
        how: SIGKILL or pg_terminate_backend.
        number: which of `count` of its kind.
    """

    kind: Kind
    how: str
    number: int
    count: int
    seed: int

    def random(self) -> random.Random:
        """Give the case's own source of chance: the same in every run of the tests."""
        return random.Random(f"{self.seed}:{self.kind.name}:{self.how}:{self.number}:{self.count}")

    def __str__(self) -> str:
        return f"{_SHORT[self.how]}-{self.number}-of-{self.count}"

    @contextmanager
    def noted(self, note: Callable[..., None], what: object) -> Iterator[dict[str, Any]]:
        """Note for the report how a case went; tell how to run it again if it fails.

        Args:
            what: how the run is ended, for whoever reads of a failure.

        Yields:
            What else is noted, to be filled.
        """
        values: dict[str, Any] = {}
        try:
            yield values
        except BaseException:
            self._tell(what)
            note(kind=self.kind.name, how=self.how, failed=True)
            raise
        note(kind=self.kind.name, how=self.how, **values)

    def _tell(self, what: object) -> None:
        print(f"kill ({self.kind.name}): {what}")
        print(
            "again: .venv/bin/python -m pytest tests/reliability"
            f" --kills {round(self.count * 2 / self.kind.share)} --kill-seed {self.seed} -k '{self}'"
        )

    def boundary(self, total: int) -> int:
        """Choose a boundary: one from each of as many equal stretches as there are cases, the kinds in turn."""
        place = 2 * self.number + ((self.how == TERMINATE) + self.seed) % 2
        return min(total, int((place + self.random().random()) * total / (2 * self.count)) + 1)

    def kills(self, boundaries: Sequence[Boundary], targets: Sequence[str]) -> list[Kill]:
        """Choose a boundary of a run for a kill, and perhaps others for the runs that take it up.

        Args:
            boundaries: those of an undisturbed run.
            targets: whose session is ended, if it is one that is.
        """
        chance = self.random()
        kills = [Kill(self.how, self.boundary(len(boundaries)), chance.choice(targets))]
        return kills + self.more_kills(chance, len(boundaries))

    def more_kills(self, chance: random.Random, total: int) -> list[Kill]:
        """Choose boundaries for the runs that take a killed one up."""
        kills = []
        while chance.random() < _AGAIN:
            kills.append(Kill(chance.choice((SIGKILL, TERMINATE)), chance.randint(1, total), OWN))
        return kills


def spread(metafunc: pytest.Metafunc, kind: Kind | None) -> None:
    """Make one test for each kill of a kind, half of them by SIGKILL; none where there is no kind."""
    if kind is None:
        return
    kills = number_of(metafunc.config, "--kills", _DEFAULT_KILLS)
    seed = number_of(metafunc.config, "--kill-seed", 1)
    count = max(1, round(kills * kind.share / 2))
    cases = [Case(kind, how, number, count, seed) for how in (SIGKILL, TERMINATE) for number in range(count)]
    metafunc.parametrize("case", cases, ids=str)
