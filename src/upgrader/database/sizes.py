"""How large schemas are, as the planner's statistics have it: one query that reads no file and waits for no lock."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

# A partition counts where it lies, a table's TOAST with the table. What was never vacuumed or analysed has no pages
# yet and is of unknown size (reltuples -1); a schema in which that is so of every table is unknown itself.
_SIZES = """
select n.nspname::text, sum(c.relpages + coalesce(t.relpages, 0))::bigint
from pg_namespace n
join pg_class c on c.relnamespace = n.oid
left join pg_class t on t.oid = c.reltoastrelid
where c.relkind in ('r', 'm', 'i') and n.nspname::text = any(%s)
group by n.nspname
having bool_or(c.reltuples >= 0 and c.relkind <> 'i')
"""


def schema_sizes(driver: psycopg.Connection, schemas: Sequence[str]) -> dict[str, int]:
    """Give the sizes of schemas in pages, tables with TOAST and indexes; those of unknown size are left out.

    Takes no lock on any table; a hundred thousand schemas are one query.
    """
    return {str(name): int(pages) for name, pages in driver.execute(_SIZES, [list(schemas)])}
