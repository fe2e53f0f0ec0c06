"""How large the next batch is, and how long to rest before it: by what the last batches took.

Pure, and without a clock: it is told how many rows a batch had and how many seconds it took. Of a batch two
things count: the part that is there whatever its size (a plan, a join that hashes another table, a commit that
waits for a standby), and the part that grows with it. Both are read from batches of different sizes, so that a
long fixed part does not shrink batches that would take no less time for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from upgrader.backfill.options import BackfillOptions

FIRST_ROWS = 100
"""The size of the first batch: small enough for a table of which nothing is known."""
GROWTH = 4.0
"""The most that one batch is larger than the one before while the pace is looked for: 100 rows are 100,000 in six."""
STEADY_GROWTH = 1.5
"""The most that one batch is larger than the one before once the pace was found."""
_SHRINKS_AT_MOST = 10.0
_CALM_FASTER, _CALM_SLOWER = (
    0.3,
    0.5,
)  # of the way to where one measured batch points; slower batches count more
_FAR = 2.0  # times the target: no noise any more
_TELLING = 1.5  # so much must two sizes differ for their times to tell the fixed part
_SHARE_OF_THE_ROWS = 0.5  # of the target, at the least: with a long fixed part batches take longer than it
_CREDIT_SECONDS = 1.0  # what was too slow for the allowed rate is caught up with for so long at most
_RATE_SPAN_SECONDS = 5.0
_EVEN_SECONDS = 0.01  # of the allowed rate: the most that one batch holds, so that the load is even
_EVEN_ROWS = 100.0  # but so many rows it may hold: smaller ones only cost transactions


@dataclass(frozen=True, slots=True)
class Pace:
    """What an operator asks of the pace.

    Attributes:
        target_seconds: how long a batch should take.
        min_rows: no batch is made smaller, but after failures.
        max_rows: no batch is made larger.
        batch_rows: this size, whatever is measured; None: by measurement.
        pause_seconds: the rest after each batch.
        max_rows_per_second: over seconds, rests included, in batches of a hundredth of a second's share (or 100
            rows, where that is more); None: as fast as it goes.
        max_failures: so many batches that fail one after the other end the backfill.
    """

    target_seconds: float = 0.2
    min_rows: int = 10
    max_rows: int = 1_000_000
    batch_rows: int | None = None
    pause_seconds: float = 0.0
    max_rows_per_second: float | None = None
    max_failures: int = 10

    def with_options(self, options: BackfillOptions, *, author_rows: int | None = None) -> Pace:
        """Give the pace that the flags ask for.

        Args:
            author_rows: the most rows that the command can do in one batch; a flag for the size goes before it.
        """
        rate, pause = options.max_rows_per_second, options.pause_ms
        return replace(
            self,
            batch_rows=options.batch_size or self.batch_rows,
            max_rows=min(self.max_rows, author_rows or self.max_rows),
            pause_seconds=self.pause_seconds if pause is None else pause / 1000,
            max_rows_per_second=(self.max_rows_per_second if rate is None else rate) or None,
        )


@dataclass(slots=True)
class _FixedPart:
    """The part of a batch's time that does not depend on its size, from pairs of batches of different sizes."""

    seconds: float = 0.0
    is_known: bool = False
    _rows: int = 0
    _took: float = 0.0

    def note(self, rows: int, seconds: float) -> None:
        """Take a batch of this size."""
        small, large = sorted(((rows, seconds), (self._rows, self._took)))
        if small[0] and large[0] >= small[0] * _TELLING:
            per_row = max(0.0, (large[1] - small[1]) / (large[0] - small[0]))
            self.seconds = max(0.0, min(small[1] - per_row * small[0], large[1]))
            self.is_known = True
        self._rows, self._took = rows, seconds


@dataclass
class MeasuredPacer:
    """Follows the target time per batch: fast up while it probes, calm when it is there, quick when it gets slow.

    Attributes:
        rows: the size of the next batch.
        rows_per_second: of the last seconds, rests included; None before the first batch.
    """

    pace: Pace = field(default_factory=Pace)
    rows: int = 0
    rows_per_second: float | None = None
    _rows_of_late: float = 0.0
    _seconds_of_late: float = 0.0
    _size: float = 0.0
    _is_probing: bool = True
    _failures: int = 0
    _debt_seconds: float = 0.0
    _pause: float = 0.0
    _fixed: _FixedPart = field(default_factory=_FixedPart)

    def __post_init__(self) -> None:
        """Begin with a probe, or with the size that was asked for."""
        self._resize(self.pace.batch_rows or FIRST_ROWS)

    def succeeded(self, *, rows: int, seconds: float) -> None:
        """Take a batch that is done.

        Args:
            rows: what it counted; fewer than were asked for where the range held fewer.
            seconds: from its first message to the end of its commit.
        """
        self._failures = 0
        self._rest_after(rows, seconds)
        self._measure(rows, seconds + self._pause)
        if self.pace.batch_rows is not None:
            self._resize(min(self._size * 2.0, self.pace.batch_rows))  # after a failure it was less
            return
        # What was asked for, not what was found: a range with holes needs a larger range for the same time.
        self._fixed.note(self.rows, seconds)
        self._resize(self._size * self._factor(max(seconds, 1e-6)))

    def failed(self, error_kind: str) -> bool:  # noqa: ARG002 - the protocol tells it; all kinds pass by smaller batches
        """Take a batch that was rolled back: the next one is half as large. How long to rest is the walk's affair.

        Returns:
            False once as many failed one after the other as may.
        """
        self._failures += 1
        self._is_probing = False
        self._size = max(1.0, self.rows / 2)
        self.rows = int(self._size)
        return self._failures < self.pace.max_failures

    def begin_again(self) -> None:
        """Look for the pace anew: what went before says nothing of the rows that come now."""
        self._fixed, self._is_probing = _FixedPart(), True
        self._resize(self.pace.batch_rows or FIRST_ROWS)

    def pause_seconds(self) -> float:
        """Give how long to rest before the next batch."""
        return self._pause

    def _factor(self, seconds: float) -> float:
        """Give by how much the next batch should be larger than the last one."""
        target, fixed = self.pace.target_seconds, self._fixed.seconds
        # Shrinking takes nothing from the fixed part: beside a long one there is still a share for the rows.
        share = max(target - fixed, target * _SHARE_OF_THE_ROWS)
        wanted = share / max(seconds - fixed, share / 1000)
        if self._is_probing:
            return self._probe(wanted, seconds)
        if wanted < 1 / _FAR:
            return max(1 / _SHRINKS_AT_MOST, wanted)
        if wanted > _FAR:
            return STEADY_GROWTH
        return min(STEADY_GROWTH, math.pow(wanted, _CALM_SLOWER if wanted < 1.0 else _CALM_FASTER))

    def _probe(self, wanted: float, seconds: float) -> float:
        target = self.pace.target_seconds
        if not self._fixed.is_known and wanted < _FAR:
            # Slow at the first try: another size tells whether fewer rows would take any less.
            wanted = _TELLING if seconds < target else min(wanted, 1 / _TELLING)
        elif wanted < _FAR:
            self._is_probing = False
        # Were it all for the rows, a batch should not take many times the target.
        longest = min(GROWTH, max(_FAR, target / seconds))
        return min(longest, max(1 / _SHRINKS_AT_MOST, wanted))

    def _resize(self, size: float) -> None:
        pace = self.pace
        if pace.batch_rows is not None:
            self._size = min(max(1.0, size), float(pace.batch_rows))
        else:
            self._size = min(max(size, float(pace.min_rows)), float(pace.max_rows))
            if (allowed := pace.max_rows_per_second) is not None:
                # Long batches with long rests between them keep the rate too, but the application feels each of
                # them: its own commits wait behind the log that a batch has written.
                self._size = min(self._size, max(1.0, min(allowed, _EVEN_ROWS), allowed * _EVEN_SECONDS))
        self.rows = max(1, int(self._size))

    def _measure(self, rows: int, seconds: float) -> None:
        """Follow the rate: what is older than the span weighs less and less."""
        kept = math.exp(-seconds / _RATE_SPAN_SECONDS)
        self._rows_of_late = self._rows_of_late * kept + rows
        self._seconds_of_late = self._seconds_of_late * kept + seconds
        self.rows_per_second = self._rows_of_late / max(self._seconds_of_late, 1e-6)

    def _rest_after(self, rows: int, seconds: float) -> None:
        """Settle what the batch owes to the allowed rate. The rest that was asked for is taken to be kept."""
        pace = self.pace
        self._pause = pace.pause_seconds
        if pace.max_rows_per_second is not None:
            self._debt_seconds += rows / pace.max_rows_per_second - seconds
            self._pause = max(self._pause, self._debt_seconds)
            self._debt_seconds = max(-_CREDIT_SECONDS, self._debt_seconds - self._pause)
