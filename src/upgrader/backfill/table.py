"""The table that a backfill walks: looked up once, by the name that the author gave."""

from __future__ import annotations

import re
from dataclasses import dataclass

import psycopg

from upgrader.database.connect import identifier
from upgrader.errors import StepError

USUAL_ROWS_PER_PAGE = 50
"""Of a table of which nothing is known: rows of about 150 bytes."""
_ONLY = re.compile(r"\s*only\s+(?P<name>.+)", re.IGNORECASE | re.DOTALL)
_FIND = """
select c.oid::bigint, n.nspname, c.relname, c.relkind, coalesce(pg_relation_filenode(c.oid), 0)::bigint,
    exists (select from pg_inherits h where h.inhparent = c.oid), c.relpersistence,
    (select sum(case when l.reltuples > 0 and l.relpages > 0
            then l.reltuples / l.relpages * pg_relation_size(l.oid) / current_setting('block_size')::float8 end)::bigint
       from pg_class l where l.oid = c.oid and c.relkind = 'r'
          or c.relkind = 'p' and l.oid in (select relid from pg_partition_tree(c.oid) where isleaf)),
    case when c.relkind = 'r' then pg_relation_size(c.oid) / current_setting('block_size')::bigint else 0 end,
    row_security_active(c.oid)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.oid = to_regclass(%s)
"""
_KINDS = {
    "v": "a view",
    "m": "a materialized view",
    "f": "a foreign table",
    "S": "a sequence",
    "i": "an index",
}


@dataclass(frozen=True, slots=True)
class WalkedTable:
    """A table, as the catalog has it.

    Attributes:
        filenode: changes when the table is rewritten (VACUUM FULL, TRUNCATE); 0 for a partitioned one.
        is_only: its inheritance children are left alone.
        rows_estimated: by the planner's statistics and its present size; None where there are none.
        pages: how large it is; 0 for a partitioned one.
        is_filtered: row-level security hides rows of it from this role, or may.
    """

    oid: int
    schema: str
    name: str
    filenode: int
    is_partitioned: bool = False
    is_only: bool = False
    rows_estimated: int | None = None
    pages: int = 0
    is_filtered: bool = False

    @property
    def most_rows(self) -> int:
        """How many rows it has at the most, as far as one can tell: statistics may be of a time when it was empty."""
        return max(self.rows_estimated or 0, self.pages * USUAL_ROWS_PER_PAGE)

    @property
    def qualified(self) -> str:
        """Its name as SQL; also what its columns are qualified with."""
        return identifier(self.schema, self.name)

    @property
    def in_from(self) -> str:
        """What stands after FROM or UPDATE."""
        return f"only {self.qualified}" if self.is_only else self.qualified

    def __str__(self) -> str:
        return self.qualified.replace('"', "") if '""' not in self.qualified else self.qualified


def find_table(driver: psycopg.Connection, given: str) -> WalkedTable:
    """Look a table up, as the search_path of the transaction at hand finds it.

    Args:
        given: as SQL: `core.invoice`, `"Invoice"`, `only core.event`.

    Raises:
        StepError: it is not there, or nothing that can be walked.
    """
    match = _ONLY.fullmatch(given)
    name = match["name"].strip() if match else given.strip()
    try:
        row = driver.execute(_FIND, [name]).fetchone()
    except psycopg.errors.InvalidName as error:
        raise StepError(
            f"{given!r} is no name of a table", hint="write core.invoice, with quotes where SQL needs them"
        ) from error
    if row is None:
        raise StepError(f"there is no table {name} to backfill", hint="name it with its schema: core.invoice")
    oid, schema, relname, kind, filenode, has_children, persistence, rows, pages, is_filtered = row
    table = WalkedTable(
        oid, schema, relname, filenode, kind == "p", match is not None, rows, pages, is_filtered
    )
    if kind not in ("r", "p"):
        raise StepError(
            f"{table} is {_KINDS.get(kind, 'no table')} and cannot be walked in batches",
            hint="name the table whose rows are to be changed",
        )
    if persistence == "t":
        raise StepError(
            f"{table} is a temporary table: a backfill that goes on after a crash would not find it",
            hint="change it in one statement",
        )
    if has_children and kind == "r" and not table.is_only:
        raise StepError(
            f"{table} has inheritance children: no key holds over all of them",
            hint=f'walk each table by itself: "only {table}", then its children',
        )
    return table
