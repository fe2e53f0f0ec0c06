"""Where the next batch ends: the look for it, inside the batch's transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import psycopg

from upgrader.backfill.checkpoint import Checkpoint
from upgrader.backfill.keys import WalkKey
from upgrader.backfill.ranges import EXACT, KeyRange, KeyValue, count_of, end_of_batch, upper_end
from upgrader.backfill.table import USUAL_ROWS_PER_PAGE, WalkedTable
from upgrader.database.message import send_message
from upgrader.errors import StepError

_SAVEPOINT = "upgrader_look"
# A batch has no more pages than this (80 MB), however few rows they seem to hold.
_MOST_PAGES = 10_000
_FEWEST_ROWS_PER_PAGE = 0.01
_XID_MASK = 0xFFFFFFFF
FIRST_SWEEP = 3
"""The number of the first walk by ctid that is no walk but a look at the whole table at once."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """The rows of one batch.

    Attributes:
        rows: how many there are now.
        is_last: whether nothing of the walk comes after it.
        is_sweep: it is the whole table, where `rows` that are still to be changed are looked for.
    """

    range: KeyRange
    rows: int
    is_last: bool
    is_sweep: bool = False


class Look:
    """A few queries with settings of their own, which the author's SQL does not see: they end with a savepoint."""

    def __init__(self, driver: psycopg.Connection) -> None:
        """Set nothing yet."""
        self._driver = driver
        self._is_open = False

    def row(self, query: str) -> KeyValue | None:
        """Give the first row of a query, as texts; None without a row."""
        begin = "" if self._is_open else f"savepoint {_SAVEPOINT}; {EXACT}; "
        found = send_message(self._driver, begin + query)
        self._is_open = True
        return tuple(str(value) for value in found) if found is not None else None

    def end(self, query: str = "") -> KeyValue | None:
        """Bring the settings back, then give the first row of `query`; one message."""
        back = f"rollback to savepoint {_SAVEPOINT}; release savepoint {_SAVEPOINT}" if self._is_open else ""
        self._is_open = False
        message = "; ".join(part for part in (back, query) if part)
        found = send_message(self._driver, message) if message else None
        return tuple(str(value) for value in found) if found is not None else None


class StretchFinder(Protocol):
    """Finds the next stretch of a walk."""

    def upper_end(self, look: Look) -> KeyValue | None:
        """Give the end of the walk as it is now; None where there is no row."""

    def find(self, look: Look, checkpoint: Checkpoint, rows: int) -> Stretch:
        """Give the next stretch after a checkpoint, of about `rows` rows.

        Raises:
            StepError: the table is not what it was.
        """


class KeyStretches:
    """Stretches of a key: as many rows as are asked for, fewer at the end."""

    def __init__(self, table: WalkedTable, key: WalkKey) -> None:
        """Look at nothing yet."""
        self._table, self._key = table, key

    def upper_end(self, look: Look) -> KeyValue | None:
        """Give the greatest key; None in an empty table."""
        return look.row(upper_end(self._table, self._key))

    def find(self, look: Look, checkpoint: Checkpoint, rows: int) -> Stretch:
        """Give the next stretch."""
        left = KeyRange(self._key, checkpoint.last_key, checkpoint.upper_key)
        found = look.row(end_of_batch(self._table, left, rows))
        if found is not None:
            end = found[:-1]
            _check_present(self._table, found[-1])
            return Stretch(
                KeyRange(self._key, checkpoint.last_key, end), rows, is_last=end == checkpoint.upper_key
            )
        counted = look.row(count_of(self._table, left))
        assert counted is not None
        _check_present(self._table, counted[1])
        return Stretch(left, int(counted[0]), is_last=True)


class PageStretches:
    """Stretches of a table's pages, for a walk by ctid.

    A row that is changed gets a new place, which may be ahead of the walk: rows that the walk's own transactions
    have written are none of a stretch.
    """

    def __init__(self, table: WalkedTable, key: WalkKey, *, since: int | None = None) -> None:
        """Look at nothing yet.

        Args:
            since: in a trial, whose transactions are no transactions: the 32-bit number before which a row has to
                have been written.
        """
        self._table, self._key, self._since = table, key, since
        self._rows_per_page = 0.0

    def upper_end(self, look: Look) -> KeyValue | None:
        """Give the number of pages; None in an empty table."""
        found = look.row(upper_end(self._table, self._key))
        return found if found is not None and found != ("0",) else None

    def find(self, look: Look, checkpoint: Checkpoint, rows: int) -> Stretch:
        """Give the next stretch."""
        if checkpoint.walk >= FIRST_SWEEP:
            own = _own(checkpoint)
            return Stretch(
                KeyRange(self._key, None, None, own, self._since), rows, is_last=True, is_sweep=True
            )
        assert checkpoint.upper_key is not None
        first = int(checkpoint.last_key[0]) if checkpoint.last_key else 0
        last = int(checkpoint.upper_key[0])
        pages = min(self._pages(rows, checkpoint, last), max(last - first, 1))
        while True:
            stretch = self._count(look, checkpoint, first, first + pages, is_last=first + pages >= last)
            self._rows_per_page = max(stretch.rows / pages, _FEWEST_ROWS_PER_PAGE)
            if stretch.rows <= 2 * rows or pages == 1:
                return stretch
            pages = max(1, pages * rows // stretch.rows)

    def _pages(self, rows: int, checkpoint: Checkpoint, last: int) -> int:
        if not self._rows_per_page and checkpoint.rows_estimated is not None:
            self._rows_per_page = checkpoint.rows_estimated / max(last, 1)
        return min(max(1, int(rows / (self._rows_per_page or USUAL_ROWS_PER_PAGE))), _MOST_PAGES)

    def _count(self, look: Look, checkpoint: Checkpoint, first: int, end: int, *, is_last: bool) -> Stretch:
        wanted = KeyRange(self._key, (str(first),), (str(end),), _own(checkpoint), self._since)
        counted = look.row(count_of(self._table, wanted))
        assert counted is not None
        _check_present(self._table, counted[1])
        if int(counted[2]) != checkpoint.filenode:
            raise StepError(
                f"{self._table} was rewritten while it was walked by ctid: its rows lie elsewhere",
                hint="begin again at its first row: upgrader upgrade … --restart-backfill",
            )
        return Stretch(wanted, int(counted[0]), is_last)


def _check_present(table: WalkedTable, oid: str) -> None:
    if int(oid) != table.oid:
        raise StepError(
            f"the name {table} has become that of another table while it was walked",
            hint="begin again at its first row: upgrader upgrade … --restart-backfill; or, if it holds the same rows,"
            " changed as far as the walk has come, go on with --keep-checkpoint",
        )


def _own(checkpoint: Checkpoint) -> tuple[int, ...]:
    return tuple(sorted({number & _XID_MASK for number in checkpoint.own_transactions}))
