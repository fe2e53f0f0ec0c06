"""How large the tables are that statements work on, in a live database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import psycopg

from upgrader.lint.tables import tables_of
from upgrader.model import StepStatements

_UNITS = ("bytes", "kB", "MB", "GB", "TB")
_LOCK_TIMEOUT = "1s"  # the size of a table is not known while somebody has locked it exclusively

# A name as it stands in a statement: a table, or an index in place of its table; a partitioned table is the
# sum of its partitions.
_OF_THE_INSTANCE = """
with named as (
    select given.name, coalesce(i.indrelid, to_regclass(given.name)::oid) as oid
    from unnest(%s::text[]) as given(name) left join pg_index i on i.indexrelid = to_regclass(given.name)
)
select named.name, 1,
    sum(case when part.reltuples < 0 then null else part.reltuples end)::bigint,
    sum(pg_total_relation_size(part.oid))::bigint
from named
join pg_class c on c.oid = named.oid
join pg_class part on part.oid = c.oid
    or (c.relkind = 'p' and part.oid in (select relid from pg_partition_tree(c.oid) where isleaf))
where part.relkind in ('r', 'm', 'p') and (part.oid <> c.oid or c.relkind <> 'p')
group by named.name
"""
# A name without a schema in a step of the workspaces: every workspace has its own, the largest tells.
_OF_WORKSPACES = """
select distinct on (given.name) given.name, count(*) over (partition by given.name),
    case when c.reltuples < 0 then null else c.reltuples end::bigint, pg_total_relation_size(c.oid)::bigint
from unnest(%s::text[]) as given(name)
join pg_class c on c.relname = case when given.name like '"%%' then replace(trim('"' from given.name), '""', '"')
    else lower(given.name) end
join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'm') and n.nspname !~ '^(pg_|information_schema$)'
order by given.name, c.relpages desc
"""


@dataclass(frozen=True, slots=True)
class TableSize:
    """A table, as large as the server thinks it is.

    Attributes:
        name: as it stands in the statement.
        rows: an estimate; None where the table was never analysed.
        size: in bytes, with indexes; of the largest, where there are several.
        count: how many tables of that name there are, in as many workspaces.
    """

    name: str
    rows: int | None
    size: int
    count: int = 1

    def __str__(self) -> str:
        rows = "a number of rows that is not known" if self.rows is None else f"about {self.rows:,} rows"
        which = self.name if self.count == 1 else f"the largest of {self.count:,} tables {self.name}"
        return f"{which} has {rows}, {_readable(self.size)}"


class TableSizes:
    """Sizes by name, for the instance and for workspaces apart."""

    def __init__(
        self,
        instance: Mapping[str, TableSize] | None = None,
        workspaces: Mapping[str, TableSize] | None = None,
    ) -> None:
        """Take what was found; nothing is known by default."""
        self._instance, self._workspaces = instance or {}, workspaces or {}

    def of(self, text: str, *, in_workspace: bool) -> list[TableSize]:
        """Give the sizes of the tables of a statement, where they are known."""
        by_name = self._workspaces if in_workspace else {}
        found = (by_name.get(name) or self._instance.get(name) for name in tables_of(text))
        return [size for size in found if size is not None]


def describe_tables(connection: psycopg.Connection, steps: Iterable[StepStatements]) -> TableSizes:
    """Look up the tables that these steps work on; reads catalogs only, and waits for no lock over a second.

    Args:
        connection: to the live database, in autocommit.
    """
    instance: set[str] = set()
    workspaces: set[str] = set()
    for step in steps:
        for statement in step.statements:
            for name in tables_of(statement.text):
                is_own = step.step.is_workspace and "." not in name
                (workspaces if is_own else instance).add(name)
    return TableSizes(
        _look_up(connection, _OF_THE_INSTANCE, instance), _look_up(connection, _OF_WORKSPACES, workspaces)
    )


def _look_up(connection: psycopg.Connection, query: str, names: set[str]) -> dict[str, TableSize]:
    if not names:
        return {}
    # A size is worth a look, not a failure: a lock on one table, or a name that is none, costs the sizes.
    with suppress(psycopg.Error), connection.transaction():
        connection.execute(f"set local lock_timeout = '{_LOCK_TIMEOUT}'".encode())
        rows = connection.execute(query.encode(), [sorted(names)]).fetchall()
        return {
            str(name): TableSize(str(name), None if rows is None else int(rows), int(size), int(count))
            for name, count, rows, size in rows
        }
    return {}


def _readable(size: int) -> str:
    number = float(size)
    for unit in _UNITS:
        if number < 1024 or unit == _UNITS[-1]:
            break
        number /= 1024
    return f"{number:,.0f} {unit}"
