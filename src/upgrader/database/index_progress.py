"""How far the server is with an index that a session builds, and indexes that were left invalid."""

from __future__ import annotations

import psycopg

from upgrader.database.aside import Asks
from upgrader.model import IndexProgress

_PROGRESS = """
select p.phase, p.blocks_done, p.blocks_total, p.tuples_done, p.tuples_total, p.lockers_done, p.lockers_total
from pg_stat_progress_create_index p where p.pid = %s limit 1
"""
# Those of a partitioned table are invalid by design until every partition has one. Another session that holds
# this lock on the table may be building.
_INVALID = """
select i.indexrelid::bigint, format('%I.%I', n.nspname, c.relname)
from pg_index i
join pg_class c on c.oid = i.indexrelid and c.relkind = 'i'
join pg_namespace n on n.oid = c.relnamespace
where not (i.indisvalid and i.indisready) and not exists (
    select from pg_locks l where l.locktype = 'relation' and l.mode = 'ShareUpdateExclusiveLock' and l.granted
    and l.relation = i.indrelid and l.pid <> pg_backend_pid()
    and l.database = (select oid from pg_database where datname = current_database()))
order by 2
"""


def read_index_progress(driver: Asks, pid: int) -> IndexProgress | None:
    """Tell how far the session `pid` is with an index; None where it builds none."""
    row = driver.execute(_PROGRESS, [pid]).fetchone()
    if row is None or row[0] is None:
        return None
    phase, blocks_done, blocks_total, tuples_done, tuples_total, lockers_done, lockers_total = row
    return IndexProgress(
        phase=phase,
        percent=_percent(tuples_done, tuples_total)
        if _counts_tuples(phase)
        else _percent(blocks_done, blocks_total),
        lockers_done=lockers_done or 0,
        lockers_total=(lockers_total or 0) if phase.startswith("waiting") else 0,
    )


def invalid_indexes(driver: psycopg.Connection) -> dict[int, str]:
    """Give the invalid indexes of the database that nobody is building, by oid."""
    return {int(oid): str(name) for oid, name in driver.execute(_INVALID.encode()).fetchall()}


def _counts_tuples(phase: str) -> bool:
    # The counters of the phase before stay where they were: what is sorted has no counter of its own.
    return "tuples" in phase


def _percent(done: int | None, total: int | None) -> float | None:
    if not total or not done or done >= total:
        return None
    return 100.0 * done / total
