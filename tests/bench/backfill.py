"""Filling a column of a large table: the program's batches beside one plain UPDATE."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

from tests.bench.findings import Row, Section, at_least
from tests.bench.large_table import Filled, LargeTable
from tests.bench.stage import Stage

SMALL, LARGE = 1_000_000, 10_000_000
SMALL_PAIRS, LARGE_PAIRS = 5, 2
RATE_BAR, FALL_BAR, RAMP_BAR_SECONDS = 0.95, 0.95, 5.0


@dataclass
class _Pairs:
    """Seconds of the plain UPDATE and of the backfill, in turns on equal tables."""

    rows: int
    plain: list[float] = field(default_factory=list)
    filled: list[Filled] = field(default_factory=list)

    @property
    def seconds(self) -> list[float]:
        return [one.seconds for one in self.filled]

    @property
    def ratio(self) -> float:
        """The backfill's rate beside that of the UPDATE."""
        return sum(self.plain) / sum(self.seconds)

    @property
    def rate(self) -> float:
        """Rows a second of the backfill."""
        return self.rows * len(self.filled) / sum(self.seconds)

    @property
    def plain_rate(self) -> float:
        """Rows a second of the UPDATE."""
        return self.rows * len(self.plain) / sum(self.plain)

    def row(self) -> Row:
        pairs = ", ".join(
            f"{plain / filled:.2f}" for plain, filled in zip(self.plain, self.seconds, strict=True)
        )
        what = f"Backfill of {self.rows:,} rows, one column: rate beside one plain UPDATE [^backfill]"
        told = f"{self.rate:,.0f} to {self.plain_rate:,.0f} rows a second; pairs {pairs}"
        return at_least(what, self.ratio, RATE_BAR, told)


def measure(stage: Stage, *, quick: bool) -> Section:
    """Fill tables of both sizes, both ways in turns."""
    small, large = (20_000, 100_000) if quick else (SMALL, LARGE)
    few = _measure(stage, small, pairs=1 if quick else SMALL_PAIRS)
    many = _measure(stage, large, pairs=1 if quick else LARGE_PAIRS)
    fall, plain_fall = many.rate / few.rate, many.plain_rate / few.plain_rate
    ramp = statistics.median(one.course.ramp_seconds() for one in many.filled)
    return Section(
        [
            few.row(),
            many.row(),
            Row(
                f"The same: what is left of the rate from {small:,} to {large:,} rows, beside what is left of the"
                " plain UPDATE's",
                f"≥ {FALL_BAR}x",
                f"{fall / plain_fall:.2f}x ({fall:.0%} to {plain_fall:.0%})",
                fall >= FALL_BAR * plain_fall,
            ),
            Row(
                f"Backfill of {large:,} rows: time until its rate is 90 % of its best [^ramp]",
                f"≤ {RAMP_BAR_SECONDS:g} s",
                f"{ramp:.1f} s",
                ramp <= RAMP_BAR_SECONDS,
            ),
            many.filled[-1].residence.row(
                f"Backfill of {large:,} rows: memory of the process after the first tenth [^ramp]"
            ),
        ],
        [
            f"[^backfill]: {len(few.plain)} and {len(many.plain)} pairs in turns, each on a table that was made anew"
            " (five columns, a bigint key), vacuumed and flushed; autovacuum is off for it, since a backfill waits"
            " until a vacuum of its table is through, and an UPDATE does not. The backfill is `ctx.backfill()` in a"
            " slow step with the settings' own pace, its time that of the whole step as the history tells, with the"
            " first small batches that find the pace, and with the commits.",
            "[^ramp]: Somebody else reads the checkpoint's rows twenty times a second; rates are those over the next"
            " two seconds, the best one is that over ten.",
        ],
    )


def _measure(stage: Stage, rows: int, *, pairs: int) -> _Pairs:
    found = _Pairs(rows)
    with stage.project("backfill") as project:
        table = LargeTable(project, rows)
        for _ in range(pairs):
            found.plain.append(table.plain())
            found.filled.append(table.backfill())
        table.check()
    return found
