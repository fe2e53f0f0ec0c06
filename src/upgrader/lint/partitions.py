"""What is different about partitioned tables: nothing is built or dropped concurrently on the whole of one."""

from __future__ import annotations

import re
from collections.abc import Iterable

import psycopg

from upgrader.lint.tables import tables_of
from upgrader.model import StepStatements

# A name without a schema may stand in a schema of any workspace.
_PARTITIONED = """
select given.name from unnest(%s::text[]) as given(name)
where exists (
    select from pg_class c where c.relkind in ('p', 'I') and case
        when given.name like '%%.%%' then c.oid = to_regclass(given.name)
        else c.relname = any(parse_ident(given.name)) end
)
"""
_ON_ONLY = re.compile(r"\bon\s+only\b", re.IGNORECASE)
_CREATION = "require-concurrent-index-creation"
_REMEDIES = {
    _CREATION: "a partitioned table has no concurrent build: CREATE INDEX … ON ONLY the table, then on each partition"
    " create_index_concurrently() and ALTER INDEX … ATTACH PARTITION; the last one makes it valid",
    "require-concurrent-index-deletion": "the index of a partitioned table cannot be dropped concurrently: drop it"
    " with a short lock_timeout, at a quiet hour",
    "disallowed-unique-constraint": "ALTER TABLE ONLY the partitioned table ADD CONSTRAINT … UNIQUE, then on each"
    " partition create_index_concurrently(unique=True) and ALTER INDEX … ATTACH PARTITION",
}


def find_partitioned(connection: psycopg.Connection, steps: Iterable[StepStatements]) -> frozenset[str]:
    """Give those names of tables and indexes in statements that are partitioned, as they are written there.

    Reads the catalog alone.

    Args:
        connection: to a database in which they are, in autocommit.
    """
    names = {name for step in steps for one in step.statements for name in tables_of(one.text)}
    rows = connection.execute(_PARTITIONED.encode(), [sorted(names)]).fetchall() if names else []
    return frozenset(str(name) for (name,) in rows)


def remedy_of_partitioned(rule: str, text: str, partitioned: frozenset[str]) -> str | None:
    """Give the remedy that works on a partitioned table; None where the usual one does."""
    return _REMEDIES.get(rule) if partitioned.intersection(tables_of(text)) else None


def is_quick_beginning(rule: str, text: str, partitioned: frozenset[str]) -> bool:
    """Tell whether a statement is the first one of that remedy: it builds nothing and takes no time."""
    is_partitioned = bool(partitioned.intersection(tables_of(text)))
    return rule == _CREATION and is_partitioned and _ON_ONLY.search(text) is not None
