"""What a session waits for, and who is in its way: looked at from another connection while it waits.

After a lock timeout the wait is gone and nothing tells what it was for: the error names neither the table nor
anybody. So somebody else has to look meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from upgrader.database.aside import Asks
from upgrader.model import Blocker, LockWait
from upgrader.model.blocker import ITS_TRANSACTION

_QUERY_CHARACTERS = 200
_DEEPEST, _WIDEST = 4, 20  # of a queue: pg_blocking_pids() stops the server's whole lock table for a moment
_NAMED_AT_MOST = 5
_WEAK_TO_STRONG = (
    "AccessShareLock",
    "RowShareLock",
    "RowExclusiveLock",
    "ShareUpdateExclusiveLock",
    "ShareLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
)
_KEEPS_OTHERS_WAITING = frozenset(_WEAK_TO_STRONG[4:])

# Cheap enough to be asked often: it looks into one entry and leaves the lock table alone.
_IS_WAITING = "select wait_event_type = 'Lock' from pg_stat_get_activity(%s)"
_WAITING = "select w from unnest(%s::int[]) w, pg_stat_get_activity(w) a where a.wait_event_type = 'Lock'"
_BLOCKING = "select pid, pg_blocking_pids(pid) from unnest(%s::int[]) pid"
_OBJECT = "locktype, database, relation, page, tuple, virtualxid, transactionid, classid, objid, objsubid"


def _columns(alias: str) -> str:
    return ", ".join(f"{alias}.{name}" for name in _OBJECT.split(", "))


# The awaited lock. Who waits for another's transaction to end holds a lock on the row that it wants: its table.
_AWAITED = """
select w.locktype, w.mode, extract(epoch from clock_timestamp() - w.waitstart)::float8, w.waitstart::text,
    quote_ident(n.nspname) || '.' || quote_ident(c.relname)
from pg_locks w
left join pg_class c on c.oid = coalesce(w.relation, (
    select t.relation from pg_locks t where t.pid = w.pid and t.locktype = 'tuple' and t.granted limit 1))
left join pg_namespace n on n.oid = c.relnamespace
where w.pid = %s and not w.granted limit 1
"""
# What the others hold of the awaited objects. A prepared transaction has no pid; it is known by
# the lock that it holds on its own id.
_HELD = f"""
with l as materialized (select * from pg_locks)
select h.pid, h.mode, h.granted, h.locktype, quote_ident(n.nspname) || '.' || quote_ident(c.relname), p.gid,
    p.owner::text, extract(epoch from clock_timestamp() - p.prepared)::float8
from l w join l h on ({_columns("h")}) is not distinct from ({_columns("w")})
left join pg_class c on c.oid = coalesce(h.relation, (
    select t.relation from l t where t.pid = w.pid and t.locktype = 'tuple' and t.granted limit 1))
left join pg_namespace n on n.oid = c.relnamespace
left join l x
    on h.pid is null and x.pid is null and x.locktype = 'transactionid' and x.virtualtransaction = h.virtualtransaction
left join pg_prepared_xacts p on p.transaction = x.transactionid
where w.pid = any(%s::int[]) and not w.granted and (h.pid = any(%s::int[]) or p.gid is not null)
"""
_SESSIONS = """
select pid, usename::text, nullif(application_name, ''), client_addr::text, backend_type, state,
    extract(epoch from clock_timestamp() - xact_start)::float8, query, backend_start is null
from pg_stat_activity where pid = any(%s::int[])
"""
_CANCEL = """
select pg_cancel_backend(pid) from pg_locks where pid = %s and not granted and waitstart::text = %s limit 1
"""


def find_waiting(driver: Asks, pids: Collection[int]) -> frozenset[int]:
    """Tell which of these sessions wait for a lock just now; one cheap query."""
    return frozenset(pid for (pid,) in driver.execute(_WAITING, [list(pids)]).fetchall())


def find_wait(driver: Asks, pid: int, *, redact: Callable[[str], str] = str) -> LockWait | None:
    """Tell what the session `pid` waits for, and who is in its way; None where it waits for no lock.

    Args:
        redact: takes secrets out of the queries of others, before they are cut: half of one is not recognised.
    """
    if driver.execute(_IS_WAITING, [pid]).fetchone() != (True,):
        return None
    row = driver.execute(_AWAITED, [pid]).fetchone()
    if row is None or row[3] is None:  # granted since, or so new that its time is not written yet
        return None
    locktype, mode, seconds, started, table = row[:5]
    return LockWait(
        lock_mode=mode,
        locked=_object(locktype, table, is_ours=True),
        seconds=seconds,
        started=started,
        keeps_others_waiting=locktype == "relation" and mode in _KEEPS_OTHERS_WAITING,
        blockers=_blockers(driver, pid, redact),
    )


def cancel_wait(driver: Asks, pid: int, wait: LockWait) -> bool:
    """End the statement of the session `pid` if it is still in this very wait; tell whether it was."""
    return driver.execute(_CANCEL, [pid, wait.started]).fetchone() == (True,)


def _blockers(driver: Asks, pid: int, redact: Callable[[str], str]) -> tuple[Blocker, ...]:
    """Follow the queue to those that wait for nobody."""
    blocked_by: dict[int, list[int]] = {}
    level = [pid]
    for _ in range(_DEEPEST):
        for waiter, blocking in driver.execute(_BLOCKING, [level]).fetchall():
            blocked_by[waiter] = list(dict.fromkeys(blocking))
        found = {other for waiter in level for other in blocked_by.get(waiter, ())}
        level = sorted(other for other in found if other and other not in blocked_by)[:_WIDEST]
        if not level:
            break
    others = {other for blocking in blocked_by.values() for other in blocking} - {0, pid}
    held = driver.execute(_HELD, [list(blocked_by), sorted(others)]).fetchall()
    heads = {other for other in others if not blocked_by.get(other)}
    sessions = [
        _session(row, held, is_waiting=row[0] not in heads, redact=redact)
        for row in driver.execute(_SESSIONS, [sorted(others)]).fetchall()
    ]
    found_blockers = [*_prepared(held), *sessions]
    found_blockers.sort(key=lambda one: (one.is_waiting, -(one.transaction_seconds or 0.0)))
    return tuple(found_blockers[:_NAMED_AT_MOST])


def _session(
    row: tuple[Any, ...],
    held: Iterable[tuple[Any, ...]],
    *,
    is_waiting: bool,
    redact: Callable[[str], str],
) -> Blocker:
    pid, user, application_name, client, backend_type, state, seconds, query, is_hidden = row
    mode, locked = _strongest([lock for lock in held if lock[0] == pid and lock[2] is not is_waiting])
    return Blocker(
        pid,
        user=user,
        application_name=application_name,
        client=client,
        backend_type=backend_type or "client backend",
        state=state,
        transaction_seconds=seconds,
        query=None if is_hidden else _cut(redact(query or "")),
        lock_mode=mode,
        locked=locked,
        is_waiting=is_waiting,
        is_hidden=is_hidden,
    )


def _prepared(held: Iterable[tuple[Any, ...]]) -> list[Blocker]:
    by_gid: dict[str, list[tuple[Any, ...]]] = {}
    for lock in held:
        if lock[5] is not None:
            by_gid.setdefault(lock[5], []).append(lock)
    found = []
    for gid, locks in by_gid.items():
        mode, locked = _strongest(locks)
        owner, seconds = locks[0][6:8]
        found.append(
            Blocker(
                None,
                user=owner,
                gid=gid,
                transaction_seconds=seconds,
                lock_mode=mode,
                locked=locked,
            )
        )
    return found


def _strongest(locks: list[tuple[Any, ...]]) -> tuple[str | None, str | None]:
    if not locks:
        return None, None
    best = max(locks, key=lambda lock: _WEAK_TO_STRONG.index(lock[1]) if lock[1] in _WEAK_TO_STRONG else -1)
    return best[1], _object(best[3], best[4], is_ours=False)


def _object(locktype: str, table: str | None, *, is_ours: bool) -> str:
    """Name what a lock is on, for people."""
    if locktype == "relation":
        return table or "a new table"
    if locktype in ("transactionid", "tuple") and table:
        return f"a row of {table}"
    if locktype in ("transactionid", "virtualxid"):
        return "the end of a transaction" if is_ours else ITS_TRANSACTION
    return f"the {locktype} lock" if table is None else f"the {locktype} lock of {table}"


def _cut(query: str) -> str:
    text = " ".join(query.split())
    return text if len(text) <= _QUERY_CHARACTERS else f"{text[:_QUERY_CHARACTERS]}…"
