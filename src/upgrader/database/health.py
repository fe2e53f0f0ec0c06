"""How the database bears what is done to it: plain readings of the server's own views, each a short query.

What a reading cannot tell is unknown, never an error: a role without `pg_monitor` sees that there are standbys,
and not how far behind they are. A reading that the server refuses is not asked for again for a while.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import psycopg

from upgrader.database.aside import Asks, ConnectionBusy

_ASKED_AGAIN_SECONDS = 60.0
_SEGMENTS_PER_ID = 0x1_0000_0000
_SEGMENT_NAME = 24  # hexadecimal digits: timeline, and twice eight of the position
_NAMED_AT_MOST = 20

# The functions behind the views: the views' joins take longer to plan than all of it takes to execute.
_DATABASE = "(select oid from pg_database where datname = current_database())"
# Rows whose details are hidden have nothing but a pid. A base backup is no standby.
_STANDBYS = """
select coalesce(nullif(a.application_name, ''), 'pid ' || w.pid),
    pg_wal_lsn_diff(pg_current_wal_lsn(), coalesce(w.replay_lsn, w.flush_lsn, w.write_lsn, w.sent_lsn))::bigint,
    extract(epoch from w.replay_lag)::float8, w.state is null, a.backend_xmin::text
from pg_stat_get_wal_senders() w left join lateral pg_stat_get_activity(w.pid) a on true
where w.state is null or w.state in ('streaming', 'catchup') order by 2 desc nulls last
"""
_SLOTS = "select slot_name::text, xmin::text from pg_get_replication_slots() where xmin is not null"
_ARCHIVER = """
select current_setting('archive_mode') <> 'off', pg_walfile_name(pg_current_wal_lsn()), last_archived_wal,
    last_failed_wal, coalesce(last_failed_time > last_archived_time, last_failed_time is not null),
    pg_size_bytes(current_setting('wal_segment_size')),
    has_function_privilege('pg_catalog.pg_ls_archive_statusdir()', 'execute')
from pg_stat_get_archiver()
"""
_READY = "select count(*) from pg_catalog.pg_ls_archive_statusdir() where name like '%.ready'"
# Of the table, or of a partition of it at any depth. Who may not see what a session vacuums sees its locks.
_OF_TABLE = """({0} = %(table)s or exists (
    select from pg_partition_ancestors({0}) ancestor where ancestor.relid = %(table)s))"""
_IS_VACUUM = "select exists (select from pg_stat_get_progress_info('VACUUM'))"
_VACUUMS = f"""
select v.pid, a.backend_type = 'autovacuum worker', a.query like '%%(to prevent wraparound)', v.phase,
    v.heap_blks_scanned, v.heap_blks_total
from pg_stat_progress_vacuum v left join lateral pg_stat_get_activity(v.pid) a on true
where v.datid = {_DATABASE}
  and case when v.relid is not null then {_OF_TABLE.format("v.relid")} else exists (
    select from pg_lock_status() l where l.pid = v.pid and l.locktype = 'relation' and l.granted
    and l.mode = 'ShareUpdateExclusiveLock' and {_OF_TABLE.format("l.relation")}) end
"""
# Who waits for a row waits for the end of another's transaction, and holds the lock on the row's place.
_WAITERS = f"""
with l as materialized (
    select pid, locktype, relation, granted, waitstart from pg_lock_status()
    where database = {_DATABASE} or database is null
), w as (
    select pid, max(extract(epoch from clock_timestamp() - waitstart))::float8 as seconds from l
    where not granted and (locktype in ('relation', 'tuple', 'page') and {_OF_TABLE.format("l.relation")}
        or locktype = 'transactionid' and exists (
            select from l t where t.pid = l.pid and t.locktype = 'tuple' and t.granted
            and {_OF_TABLE.format("t.relation")}))
    group by pid
)
select w.pid, w.seconds from w left join lateral pg_stat_get_activity(w.pid) a on true
where a.application_name is null or a.application_name <> all(%(own)s)
order by w.seconds desc nulls last
"""
# Those that keep dead rows from being cleared away: with a snapshot or a transaction id, in this database. What
# vacuums does not. Of a session whose details are hidden nothing is known.
_TRANSACTIONS = f"""
select 'pid ' || pid || coalesce(' (' || nullif(application_name, '') || ')', ''),
    extract(epoch from clock_timestamp() - xact_start)::float8 as seconds, state,
    bool_or(backend_start is null) over ()
from pg_stat_get_activity(null)
where backend_start is null or (backend_xid is not null or backend_xmin is not null) and xact_start is not null
    and datid = {_DATABASE} and pid <> pg_backend_pid() and application_name <> all(%(own)s)
    and backend_type <> 'autovacuum worker' and query !~* '^\\s*vacuum'
order by seconds desc nulls last limit 1
"""
_PREPARED = f"""
select 'the prepared transaction ' || gid, extract(epoch from clock_timestamp() - prepared)::float8, 'prepared'
from pg_prepared_xact() where dbid = {_DATABASE} order by 2 desc limit 1
"""


class Reading(StrEnum):
    """What can be read of the database's health."""

    REPLICATION = "replication lag"
    ARCHIVING = "WAL archiving"
    VACUUM = "vacuum"
    LOCK_WAITS = "lock waits"
    TRANSACTIONS = "open transactions"


OF_TABLE = frozenset({Reading.VACUUM, Reading.LOCK_WAITS})
"""What is read of one table; the rest is the server's, or the database's."""


@dataclass(frozen=True, slots=True)
class Standby:
    """A session that streams the log to somebody.

    Attributes:
        name: its `application_name`.
        lag_bytes: of log that it has not replayed (or received, where it replays none); None: hidden.
        lag_seconds: as the standby's replies tell it; None where it has caught up, or sends no replies.
        held_xmin: the oldest transaction id that its own queries need; None where they hold nothing back.
    """

    name: str
    lag_bytes: int | None
    lag_seconds: float | None = None
    held_xmin: int | None = None


@dataclass(frozen=True, slots=True)
class Archiving:
    """How far the archiver is behind.

    Attributes:
        files_behind: complete log files that are not archived yet; None where that cannot be told.
        is_failing: whether the last try failed.
        failed_file: the one that it failed on.
    """

    files_behind: int | None
    is_failing: bool = False
    failed_file: str | None = None


@dataclass(frozen=True, slots=True)
class Vacuum:
    """A vacuum that is at work on the table, or on a partition of it.

    Attributes:
        is_automatic: None where the role may not see it.
        is_against_wraparound: it does not give way to anybody.
        percent: of the table's blocks that it has scanned.
    """

    pid: int
    is_automatic: bool | None = None
    is_against_wraparound: bool = False
    phase: str | None = None
    percent: float | None = None


@dataclass(frozen=True, slots=True)
class LockWaits:
    """Sessions of others that wait for a lock on the table, or on a row of it, longest first."""

    pids: tuple[int, ...] = ()
    longest_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class OldTransaction:
    """What keeps dead rows from being cleared away for the longest time: a session, or a prepared transaction."""

    name: str
    seconds: float
    state: str | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """What was read at one moment.

    Attributes:
        standbys: those that are connected; none for a server without any.
        slots: replication slots that keep dead rows for a standby's queries: name and transaction id.
        archiving: None where the server does not archive.
        unknown: what could not be read, and what only in part.
        is_busy: whether something could not be asked for because the connection's owner was in a transaction.
    """

    standbys: tuple[Standby, ...] = ()
    slots: tuple[tuple[str, int], ...] = ()
    archiving: Archiving | None = None
    vacuums: tuple[Vacuum, ...] = ()
    lock_waits: LockWaits = LockWaits()
    oldest_transaction: OldTransaction | None = None
    unknown: frozenset[Reading] = frozenset()
    is_busy: bool = False


@dataclass
class HealthReader:
    """Takes readings on a connection that others use too: each is one statement in autocommit.

    Attributes:
        driver: gives an open connection in autocommit, or asks on one that others use.
        own: application names whose sessions are this program's own.
    """

    driver: Callable[[], Asks]
    own: tuple[str, ...] = ()
    clock: Callable[[], float] = time.monotonic
    _refused_until: dict[Reading, float] = field(default_factory=dict)

    def read(self, table_oid: int, wanted: frozenset[Reading] = frozenset(Reading)) -> Health:
        """Look once; never raises what the server says.

        Args:
            wanted: what is read at all.
        """
        found: dict[str, Any] = {}
        unknown: set[Reading] = set()
        for reading in (one for one in Reading if one in wanted):
            values, is_known = self._try(reading, table_oid)
            found.update(values)
            if not is_known:
                unknown.add(reading)
        return Health(**found, unknown=frozenset(unknown))

    def _try(self, reading: Reading, table_oid: int) -> tuple[dict[str, Any], bool]:
        if self.clock() < self._refused_until.get(reading, 0.0):
            return {}, False
        try:
            match reading:
                case Reading.REPLICATION:
                    return self._replication()
                case Reading.ARCHIVING:
                    return self._archiving()
                case Reading.VACUUM:
                    return self._vacuums(table_oid)
                case Reading.LOCK_WAITS:
                    return self._lock_waits(table_oid)
                case Reading.TRANSACTIONS:
                    return self._transactions()
        except ConnectionBusy:
            return {"is_busy": True}, False
        except psycopg.Error:
            self._refused_until[reading] = self.clock() + _ASKED_AGAIN_SECONDS
            return {}, False

    def _rows(self, query: str, **values: object) -> list[tuple[Any, ...]]:
        return self.driver().execute(query, values or None).fetchall()

    def _replication(self) -> tuple[dict[str, Any], bool]:
        rows = self._rows(_STANDBYS)
        standbys = [Standby(name, lag, seconds, _number(xmin)) for name, lag, seconds, _, xmin in rows]
        return {"standbys": tuple(standbys)}, not any(row[3] for row in rows)

    def _archiving(self) -> tuple[dict[str, Any], bool]:
        ((is_on, current, archived, failed, is_failing, segment_bytes, may_list),) = self._rows(_ARCHIVER)
        if not is_on:
            return {}, True
        behind = files_behind(
            current, archived=archived, failed=failed if is_failing else None, segment_bytes=segment_bytes
        )
        if behind is None and may_list:
            ((behind,),) = self._rows(_READY)
        archiving = Archiving(behind, is_failing, failed if is_failing else None)
        return {"archiving": archiving}, behind is not None

    def _vacuums(self, table_oid: int) -> tuple[dict[str, Any], bool]:
        if self._rows(_IS_VACUUM) == [(False,)]:
            return {}, True
        vacuums = [
            Vacuum(pid, automatic, bool(wraparound), phase, _percent(scanned, total))
            for pid, automatic, wraparound, phase, scanned, total in self._rows(_VACUUMS, table=table_oid)
        ]
        return {"vacuums": tuple(vacuums)}, True

    def _lock_waits(self, table_oid: int) -> tuple[dict[str, Any], bool]:
        rows = self._rows(_WAITERS, table=table_oid, own=list(self.own))
        longest = max((seconds or 0.0 for _, seconds in rows), default=0.0)
        return {"lock_waits": LockWaits(tuple(pid for pid, _ in rows[:_NAMED_AT_MOST]), longest)}, True

    def _transactions(self) -> tuple[dict[str, Any], bool]:
        rows = self._rows(_TRANSACTIONS, own=list(self.own))
        is_known = not any(row[3] for row in rows)
        oldest = [OldTransaction(*row[:3]) for row in rows if row[1] is not None]
        oldest += [OldTransaction(*row) for row in self._rows(_PREPARED)]
        found: dict[str, Any] = {"slots": tuple((name, int(xmin)) for name, xmin in self._rows(_SLOTS))}
        if oldest:
            found["oldest_transaction"] = max(oldest, key=lambda one: one.seconds)
        return found, is_known


def files_behind(current: str, *, archived: str | None, failed: str | None, segment_bytes: int) -> int | None:
    """Count the complete log files that are not archived, by the names of the files.

    The oldest one is archived first. So the one that the archiver fails on is the oldest; where none is known to
    be archived, that tells as much. A server that archived nothing since its statistics began tells nothing.

    Args:
        current: the file that is being written: it is not complete.
        archived: the last one that was; the name of a backup's or a timeline's file tells its own position, or none.
        failed: the one that the archiver fails on just now.
    """
    now = _position(current, segment_bytes)
    done, oldest = _position(archived, segment_bytes), _position(failed, segment_bytes)
    if now is None or (done is None and oldest is None):
        return None
    return max(0, now - (done + 1 if done is not None else oldest or 0))


def _position(name: str | None, segment_bytes: int) -> int | None:
    """Give the number of a log file since the beginning, whatever its timeline."""
    digits = (name or "")[:_SEGMENT_NAME]
    if len(digits) < _SEGMENT_NAME or not _is_hexadecimal(digits):
        return None
    return int(digits[8:16], 16) * (_SEGMENTS_PER_ID // segment_bytes) + int(digits[16:], 16)


def _is_hexadecimal(text: str) -> bool:
    return all(character in "0123456789ABCDEFabcdef" for character in text)


def _percent(scanned: int | None, total: int | None) -> float | None:
    return None if not total or scanned is None else 100.0 * scanned / total


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


def only(wanted: Iterable[tuple[Reading, float]]) -> frozenset[Reading]:
    """Give the readings that have a limit at all."""
    return frozenset(reading for reading, limit in wanted if limit)
