"""How far the server is with an index that a session builds, and indexes that were left invalid."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from upgrader.database.aside import Asks
from upgrader.model import IndexProgress

_PROGRESS = """
select p.phase, p.blocks_done, p.blocks_total, p.tuples_done, p.tuples_total, p.lockers_done, p.lockers_total
from pg_stat_progress_create_index p where p.pid = %s limit 1
"""
# Those of a partitioned table are invalid by design until every partition has one. Another session may be building
# that holds this lock on the table; in its last transaction it has given the lock back and changed the row.
_INVALID = """
with held as materialized (
    select l.* from pg_locks l left join pg_stat_activity a using (pid)
    where l.granted and l.pid <> pg_backend_pid() and a.backend_type is distinct from 'autovacuum worker')
select i.indexrelid::bigint, format('%I.%I', n.nspname, c.relname), n.nspname
from pg_index i
join pg_class c on c.oid = i.indexrelid and c.relkind = 'i'
join pg_namespace n on n.oid = c.relnamespace
where not (i.indisvalid and i.indisready)
and not exists (
    select from held l where l.locktype = 'relation' and l.mode = 'ShareUpdateExclusiveLock' and l.relation = i.indrelid
    and l.database = (select oid from pg_database where datname = current_database()))
and not exists (select from held l where l.locktype = 'transactionid' and l.transactionid = i.xmax)
order by 2
"""
# A statement sees rows as they were when it began, and locks as they are when it comes to them. An index that is
# finished meanwhile may look abandoned: once where its lock went in between, once more where its transaction did.
_LOOKS = 3


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


@dataclass(frozen=True, slots=True)
class InvalidIndex:
    """An index that serves no query.

    Attributes:
        name: as SQL, with its schema.
        schema: the schema's bare name.
    """

    name: str
    schema: str


def invalid_indexes(driver: psycopg.Connection) -> dict[int, InvalidIndex]:
    """Give the invalid indexes of the database that nobody is building, by oid."""
    found = _read_invalid(driver)
    for _ in range(1, _LOOKS):
        if not found:
            break
        found = {oid: index for oid, index in _read_invalid(driver).items() if oid in found}
    return found


def _read_invalid(driver: psycopg.Connection) -> dict[int, InvalidIndex]:
    rows = driver.execute(_INVALID.encode()).fetchall()
    return {int(oid): InvalidIndex(str(name), str(schema)) for oid, name, schema in rows}


def _counts_tuples(phase: str) -> bool:
    # The counters of the phase before stay where they were: what is sorted has no counter of its own.
    return "tuples" in phase


def _percent(done: int | None, total: int | None) -> float | None:
    if not total or not done or done >= total:
        return None
    return 100.0 * done / total
