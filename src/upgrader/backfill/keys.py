"""By which key a table is walked: its primary key, a unique key that was named, or none, which means by ctid."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import psycopg

from upgrader.backfill.table import WalkedTable
from upgrader.errors import StepError

BY_CTID = "ctid"
# One row for each key column of each unique index. A domain counts as what it is made of. Values travel as text:
# money is written by the session's locale, and an array or a row as its elements' settings say.
_COLUMNS = """
select ic.relname, i.indisprimary, i.indisvalid and i.indisready, i.indpred is not null, am.amname, a.attname,
    a.attnotnull and not exists (select from pg_constraint nn
        where nn.conrelid = i.indrelid and nn.contype = 'n' and not nn.convalidated and nn.conkey = array[a.attnum]),
    i.indoption[k.place - 1] & 1 = 1, opc.opcdefault,
    (select format('%%I.%%I', cn.nspname, co.collname) from pg_collation co
       join pg_namespace cn on cn.oid = co.collnamespace
      where co.oid = i.indcollation[k.place - 1] and co.oid <> a.attcollation),
    t.kind in ('b', 'e') and t.category <> 'A' and t.oid <> 'pg_catalog.money'::regtype,
    format_type(a.atttypid, a.atttypmod),
    t.oid in ('pg_catalog.int2'::regtype, 'pg_catalog.int4'::regtype, 'pg_catalog.int8'::regtype)
from pg_index i
join pg_class ic on ic.oid = i.indexrelid
join pg_am am on am.oid = ic.relam
cross join lateral generate_series(1, i.indnkeyatts) k(place)
join pg_opclass opc on opc.oid = i.indclass[k.place - 1]
left join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[k.place - 1] and a.attnum > 0
left join lateral (
    with recursive made_of(oid, base, kind, category) as (
        select t.oid, t.typbasetype, t.typtype, t.typcategory from pg_type t where t.oid = a.atttypid
        union all
        select t.oid, t.typbasetype, t.typtype, t.typcategory
          from made_of m join pg_type t on t.oid = m.base where m.kind = 'd'
    ) select oid, kind, category from made_of where kind <> 'd'
) t on true
where i.indrelid = %s and i.indisunique
order by i.indisprimary desc, i.indimmediate desc, i.indnkeyatts, ic.relname, k.place
"""


@dataclass(frozen=True, slots=True)
class KeyColumn:
    """One column of a key.

    Attributes:
        collation: that of the index, as SQL, where it is not the column's own: what is compared follows the index.
        is_integer: its values can stand in SQL without quotes.
    """

    name: str
    collation: str | None = None
    is_integer: bool = False


@dataclass(frozen=True, slots=True)
class WalkKey:
    """What a walk goes along; without columns it is the ctid."""

    index: str
    columns: tuple[KeyColumn, ...]

    @property
    def is_ctid(self) -> bool:
        """Whether the table is walked in the order in which it is stored."""
        return not self.columns

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its columns."""
        return tuple(column.name for column in self.columns)

    def check_kept(self, changed: Collection[str], table: WalkedTable) -> None:
        """Make sure that no row moves along the key while it is followed: it would be changed twice, or never.

        Args:
            changed: the columns that get another value.

        Raises:
            StepError: one of them is of the key.
        """
        moving = [name for name in self.names if name in changed]
        if moving:
            raise StepError(
                f"the backfill of {table} changes {', '.join(moving)}, and walks along it:"
                " a row would be changed twice, or never",
                hint="name another unique key with key=, or change it in one statement",
            )

    def __str__(self) -> str:
        return ", ".join(self.names) or BY_CTID


CTID = WalkKey(BY_CTID, ())


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A unique index; `trouble` says why it cannot be walked along, None where it can."""

    index: str
    is_primary: bool
    columns: tuple[KeyColumn, ...]
    trouble: str | None


def find_key(driver: psycopg.Connection, table: WalkedTable, wanted: str | Sequence[str] | None) -> WalkKey:
    """Choose the key that a table is walked along.

    A key can be walked along where every row has a value and an index gives the rows in its order: a unique B-tree
    over columns that are NOT NULL, all in one direction, without a predicate.

    Args:
        wanted: the name of a unique index or constraint, the names of its columns, or `ctid`; None takes the
            primary key, else the first usable unique key, else the ctid.

    Raises:
        StepError: there is no such key, or it cannot be walked along.
    """
    if wanted == BY_CTID:
        return _by_ctid(table)
    candidates = _candidates(driver, table)
    if wanted is None:
        usable = next((one for one in candidates if one.trouble is None), None)
        return WalkKey(usable.index, usable.columns) if usable is not None else _by_ctid(table)
    named = [one for one in candidates if _is_meant(one, wanted)]
    usable = next((one for one in named if one.trouble is None), None)
    if usable is not None:
        return WalkKey(usable.index, usable.columns)
    shown = wanted if isinstance(wanted, str) else ", ".join(wanted)
    if named:
        raise StepError(
            f"{table} cannot be walked along {shown}: {named[0].trouble}",
            hint='name another unique key, or leave key= out; key="ctid" walks the table as it is stored',
        )
    there = "; ".join(
        f"{one.index} ({', '.join(column.name for column in one.columns)})" for one in candidates
    )
    raise StepError(
        f"{table} has no unique index {shown}",
        hint=f"there are: {there}" if there else 'there is none: key="ctid" walks the table as it is stored',
    )


def _by_ctid(table: WalkedTable) -> WalkKey:
    if table.is_partitioned:
        raise StepError(
            f"{table} is partitioned and has no key that a backfill can follow over all partitions",
            hint="give it a primary key, or walk each partition by itself",
        )
    return CTID


def _candidates(driver: psycopg.Connection, table: WalkedTable) -> list[_Candidate]:
    rows = driver.execute(_COLUMNS, [table.oid]).fetchall()
    return [_candidate(name, list(group)) for name, group in groupby(rows, key=lambda row: row[0])]


def _candidate(name: str, rows: list[tuple[Any, ...]]) -> _Candidate:
    columns = tuple(
        KeyColumn(str(row[5]) if row[5] is not None else "(expression)", row[9], bool(row[12]))
        for row in rows
    )
    return _Candidate(name, rows[0][1], columns, _trouble(rows))


def _trouble(rows: list[tuple[Any, ...]]) -> str | None:
    _, _, is_valid, is_partial, method, *_ = rows[0]
    if not is_valid:
        return "its index is not valid"
    if is_partial:
        return "its index is partial: it does not hold every row"
    if method != "btree":
        return f"its index is of the method {method}, which has no order"
    if len({row[7] for row in rows}) > 1:
        return "its columns are ordered in both directions"
    for row in rows:
        column, is_not_null, has_default_order, is_text_safe, type_name = (
            row[5],
            row[6],
            row[8],
            row[10],
            row[11],
        )
        if column is None:
            return "its index is on an expression"
        if not is_not_null:
            return f"{column} may be NULL"
        if not has_default_order:
            return f"its index has an order of its own on {column} (operator class)"
        if not is_text_safe:
            return f"{column} is of the type {type_name}, whose values cannot be kept as text"
    return None


def _is_meant(candidate: _Candidate, wanted: str | Sequence[str]) -> bool:
    if isinstance(wanted, str):
        return candidate.index == wanted or [column.name for column in candidate.columns] == [wanted]
    return tuple(column.name for column in candidate.columns) == tuple(wanted)
