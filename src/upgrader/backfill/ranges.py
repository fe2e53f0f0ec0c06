"""The SQL of one stretch of a walk: which rows are in it, and where the next one ends.

Values travel as text, in the way in which every session reads them the same (`EXACT`), and stand in the SQL as
literals: the planner sees what is asked for, and whoever reads a log or a script can run it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from upgrader.backfill.keys import KeyColumn, WalkKey
from upgrader.backfill.table import WalkedTable
from upgrader.database.connect import identifier, literal

KeyValue = tuple[str, ...]

# Local to the look for the next range: what the author's SQL sees stays as it is. Without the last three a stale
# statistic ("one row is left") has the whole rest of the table sorted for each batch.
EXACT = (
    "set local datestyle = 'ISO, YMD'; set local intervalstyle = 'postgres'; set local timezone = 'UTC';"
    " set local extra_float_digits = 3; set local bytea_output = 'hex';"
    " set local enable_seqscan = off; set local enable_bitmapscan = off; set local enable_sort = off"
)
_INTEGER = re.compile(r"-?[0-9]+")


@dataclass(frozen=True, slots=True)
class KeyRange:
    """The rows with `after` < key ≤ `upto`; None is open.

    By ctid the values are numbers of pages: `after` ≤ page < `upto`.

    Attributes:
        excluded: transactions (as 32-bit numbers) whose rows do not belong to it, by ctid only: they are the
            walk's own, and what it has done may have come to lie ahead of it.
    """

    key: WalkKey
    after: KeyValue | None
    upto: KeyValue | None
    excluded: tuple[int, ...] = ()
    excluded_since: int | None = None

    def condition(self, prefix: str) -> str:
        """Give it as SQL.

        Args:
            prefix: the name or alias by which the statement knows the table.
        """
        parts = self._by_ctid(prefix) if self.key.is_ctid else self._by_key(prefix)
        return f"({' and '.join(parts)})" if parts else "true"

    def _by_key(self, prefix: str) -> list[str]:
        columns = [_Place.of(column, prefix) for column in self.key.columns]
        after, upto = self.after, self.upto
        parts = []
        # What both ends have in common stands as an equation: of a comparison of rows the planner estimates the
        # first column only, and would take all rows of one tenant to be in the range.
        while len(columns) > 1 and after is not None and upto is not None and after[0] == upto[0]:
            parts.append(f"{columns[0].text} = {columns[0].literal(after[0])}")
            columns, after, upto = columns[1:], after[1:], upto[1:]
        for operator, values in ((">", after), ("<=", upto)):
            if values is not None:
                parts.append(_comparison(columns, operator, values))
        return parts

    def _by_ctid(self, prefix: str) -> list[str]:
        parts = []
        for operator, values in ((">=", self.after), ("<", self.upto)):
            if values is not None:
                parts.append(f"{prefix}.ctid {operator} '({values[0]},0)'")
        if self.excluded:
            parts.append(f"{prefix}.xmin <> all ('{{{','.join(map(str, self.excluded))}}}'::xid[])")
        if self.excluded_since is not None:
            parts.append(f"age({prefix}.xmin) > age('{self.excluded_since}'::xid)")
        return parts

    def __str__(self) -> str:
        if self.key.is_ctid:
            return (
                f"pages {self.after[0] if self.after else 0} to {int(self.upto[0]) - 1 if self.upto else '…'}"
            )
        names = ", ".join(self.key.names)
        names = f"({names})" if len(self.key.names) > 1 else names
        ends = [
            f"{word} {_shown(values)}" for word, values in ((">", self.after), ("<=", self.upto)) if values
        ]
        return " and ".join(f"{names} {end}" for end in ends) or f"all {names}"


@dataclass(frozen=True, slots=True)
class _Place:
    """A key column in a statement: how it is written, and how its values are."""

    text: str
    is_integer: bool

    @classmethod
    def of(cls, column: KeyColumn, prefix: str) -> _Place:
        collate = f" collate {column.collation}" if column.collation else ""
        return cls(f"{prefix}.{identifier(column.name)}{collate}", column.is_integer)

    def literal(self, value: str) -> str:
        """Write a value; PostgreSQL takes an unadorned text for what it is compared with."""
        return value if self.is_integer and _INTEGER.fullmatch(value) else literal(value)


def _comparison(columns: Sequence[_Place], operator: str, values: KeyValue) -> str:
    names = ", ".join(column.text for column in columns)
    given = ", ".join(column.literal(value) for column, value in zip(columns, values, strict=True))
    return f"{names} {operator} {given}" if len(columns) == 1 else f"({names}) {operator} ({given})"


def _shown(values: KeyValue) -> str:
    shown = ", ".join(value if _INTEGER.fullmatch(value) else repr(value) for value in values)
    return f"({shown})" if len(values) > 1 else shown


def upper_end(table: WalkedTable, key: WalkKey) -> str:
    """Give the query for the last key of a table, as texts; by ctid the number of its pages."""
    if key.is_ctid:
        return f"select pg_relation_size({table.oid}) / current_setting('block_size')::bigint"
    columns = [_Place.of(column, table.qualified).text for column in key.columns]
    down = ", ".join(f"{column} desc" for column in columns)
    return f"select {_texts(columns)} from {table.in_from} order by {down} limit 1"


def end_of_batch(table: WalkedTable, left: KeyRange, rows: int) -> str:
    """Give the query for the key of the row number `rows` of what is left, as texts; no row where there are fewer.

    Its last column is the table that has the name now.
    """
    columns = [_Place.of(column, table.qualified).text for column in left.key.columns]
    return (
        f"select {_texts(columns)}, {_present(table)}::oid from {table.in_from}"
        f" where {left.condition(table.qualified)} order by {', '.join(columns)} offset {rows - 1} limit 1"
    )


def count_of(table: WalkedTable, counted: KeyRange) -> str:
    """Give the query for the number of rows in a range, the table that has the name now, and the file it is in."""
    present = _present(table)
    return (
        f"select count(*), {present}::oid, coalesce(pg_relation_filenode({present}), 0) from {table.in_from}"
        f" where {counted.condition(table.qualified)}"
    )


def keys_in(table: WalkedTable, wanted: KeyRange) -> str:
    """Give the query for the keys of a range, in order, in their own types."""
    if wanted.key.is_ctid:
        columns = [f"{table.qualified}.ctid"]
    else:
        columns = [_Place.of(column, table.qualified).text for column in wanted.key.columns]
    return (
        f"select {', '.join(columns)} from {table.in_from} where {wanted.condition(table.qualified)}"
        f" order by {', '.join(columns)}"
    )


def _present(table: WalkedTable) -> str:
    return f"{literal(table.qualified)}::regclass"


def _texts(columns: Sequence[str]) -> str:
    return ", ".join(f"({column})::text" for column in columns)
