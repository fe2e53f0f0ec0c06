"""The run lock: one upgrade at a time, and none before the last one has really ended."""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass

import psycopg

from upgrader.database.connect import Connector, client_name, identifier, literal
from upgrader.errors import LockHeldError, RunSupersededError
from upgrader.events import EventSink, Notice, Waiting
from upgrader.history.keys import LockKeys

_POLL_SECONDS = 0.2
_FRESH_SECONDS = 0.001  # about what a step takes
_EVENT_SECONDS = 1.0
_QUERY_CHARACTERS = 200
_SILENT_SECONDS = 3.0
# A session of a killed run that waits for its client for so long is ended. A living process would have noticed: it
# looks at its run before each step, and no author's code of one step between two statements takes a minute as a rule.
# Were it to: what it had not committed is rolled back, and done again.
_ABANDONED_SECONDS = 60.0

# Who holds an advisory lock of a 64-bit key, and since when its run has executed nothing. Where the role may
# not see another role's sessions, the times are unknown.
_HOLDERS = """
select l.pid, a.application_name, a.client_addr::text, a.backend_start,
    extract(epoch from now() - a.backend_start)::float8,
    (select min(extract(epoch from now() - s.state_change)) filter (where s.state_change is not null)::float8
       from pg_stat_activity s where s.application_name = a.application_name and s.datname = a.datname),
    left(a.query, 10000), a.state
from pg_locks l left join pg_stat_activity a using (pid)
where l.locktype = 'advisory' and l.granted and l.objsubid = 1
  and l.database = (select oid from pg_database where datname = current_database())
  and ((l.classid::bigint << 32) | l.objid::bigint) = %s and l.pid <> pg_backend_pid()
order by l.pid
"""
# The same for many keys, and no more than who it is.
_WORKSPACE_HOLDERS = """
select distinct on (k.key) k.key, l.pid, a.application_name
from (select ((classid::bigint << 32) | objid::bigint) as key, pid from pg_locks
       where locktype = 'advisory' and granted and objsubid = 1
         and database = (select oid from pg_database where datname = current_database())) l
join unnest(%s::bigint[]) k (key) using (key)
left join pg_stat_activity a on a.pid = l.pid
order by k.key, l.pid
"""


@dataclass(frozen=True, slots=True)
class Holder:
    """A session that holds one of the locks, as far as this role may see it."""

    pid: int
    application_name: str | None
    address: str | None
    held_seconds: float | None
    silent_seconds: float | None
    query: str | None
    state: str | None


class RunLock:
    """The session that holds the run lock. It is in autocommit, runs no command, and is watched.

    A lock taken inside a transaction would make CREATE INDEX CONCURRENTLY wait for ever, and so would a
    session that *waits* in pg_advisory_lock(): hence pg_try_advisory_lock(), polled.
    """

    def __init__(
        self,
        connector: Connector,
        schema: str,
        *,
        run_id: str,
        emit: EventSink,
        redact: Callable[[str], str] = str,
    ) -> None:
        """Connect; the lock is not taken yet.

        Args:
            redact: takes secrets out of what a killed run still executes.

        Raises:
            DatabaseUnavailableError: there is no connection to be had.
        """
        self.run_id = run_id
        self._schema = schema
        self._keys = LockKeys.of(schema)
        self._emit = emit
        self._redact = redact
        self._driver = connector.connect()
        self._is_wanted = False
        self.has_waited = False
        self._checking = threading.Lock()
        self._fresh_until = 0.0
        self._poll = select.poll() if hasattr(select, "poll") else None
        if self._poll is not None:
            self._poll.register(self._driver.fileno(), select.POLLIN)

    @property
    def driver(self) -> psycopg.Connection:
        """The connection, for the program's own short statements."""
        return self._driver

    def acquire(self, *, wait_seconds: float, is_stopping: Callable[[], bool]) -> None:
        """Take the run lock, then wait for the fence of the last run.

        Args:
            wait_seconds: how long to wait for another run; 0 does not wait.
            is_stopping: asked while waiting; True ends it as if the time were over.

        Raises:
            LockHeldError: another run holds the lock, or one that was killed has not ended.
        """
        started, self._is_wanted = time.monotonic(), True
        self._wait(
            self._keys.run, "run-lock", lambda: time.monotonic() - started >= wait_seconds, is_stopping
        )
        # An orphan ends by itself: its COMMIT or CREATE INDEX CONCURRENTLY is waited for, however long. One whose
        # process stands still (SIGSTOP, a frozen machine) does not.
        self._wait(self._keys.fence, "fence", lambda: False, is_stopping)
        self._unlock(self._keys.fence)

    def hold(self, key: int) -> bool:
        """Hold one more key for as long as the run lock, or until it is released; False where somebody has it."""
        return self._try(key)

    def release(self, key: int) -> None:
        """Give such a key back."""
        self._unlock(key)

    def announce(self, executed_by_version: str) -> None:
        """Write who holds the lock, for the message that a second run gives."""
        table = identifier(self._schema, "run")
        self._driver.execute(
            f"insert into {table} (run_id, client, backend_pid, executed_by_version) values"
            f" ({literal(self.run_id)}, {literal(client_name())}, pg_backend_pid(), {literal(executed_by_version)})"
            " on conflict (only_row) do update set run_id = excluded.run_id, client = excluded.client,"
            " backend_pid = excluded.backend_pid, executed_by_version = excluded.executed_by_version,"
            " started_at = clock_timestamp()".encode()
        )

    def try_barrier(self) -> bool:
        """Take the barrier lock if no transaction is enrolling a workspace just now."""
        return self._try(self._keys.barrier)

    def release_barrier(self) -> None:
        """Give the barrier lock back."""
        self._unlock(self._keys.barrier)

    def barrier_holders(self) -> list[Holder]:
        """Name the sessions that are enrolling a workspace."""
        return find_holders(self._driver, self._keys.barrier)

    @property
    def on_connect(self) -> str:
        """SQL for each connection that runs commands: it holds the fence."""
        return f"select pg_advisory_lock_shared({self._keys.fence})"

    def check(self) -> None:
        """Make sure that the lock's session lives. Costs about a microsecond while it does; any thread may ask.

        A look that was taken a moment ago, by another lane as a rule, will do: for each one Python lets the other
        threads in, and the lane that looked waits for them.

        Raises:
            RunSupersededError: it is gone, and the lock with it.
        """
        if time.monotonic() < self._fresh_until:
            return
        with self._checking:  # a poll object refuses a second thread
            if self._poll is not None and not self._poll.poll(0):
                self._fresh_until = time.monotonic() + _FRESH_SECONDS
                return
        try:
            self._driver.execute("select 1")
        except psycopg.Error as error:
            raise RunSupersededError(
                "the connection that holds the run lock was lost: another upgrade may begin at any moment",
                hint="nothing is left half done; run the same command again",
            ) from error

    def terminate(self, pids: Sequence[int]) -> None:
        """End server processes of this run whose statements do not come to an end: they roll back."""
        self._driver.execute("select pg_terminate_backend(pid) from unnest(%s::int[]) pid", [list(pids)])

    def workspace_holders(self, workspace_ids: Collection[str]) -> dict[str, Holder]:
        """Name the sessions that hold the locks of workspaces, by the workspace's id."""
        return find_workspace_holders(self._driver, self._keys, workspace_ids)

    def close(self) -> None:
        """Give the lock up and close its connection; never raises.

        Given up first: a closed session holds its locks until its server process notices.
        """
        if self._is_wanted:  # else it is somebody else's locks that a proxy would let this end
            with suppress(Exception):
                self._driver.execute("select pg_advisory_unlock_all()")
        self._driver.close()

    def _wait(
        self, key: int, reason: str, is_over: Callable[[], bool], is_stopping: Callable[[], bool]
    ) -> None:
        # The sessions of a run that has just ended properly may take a moment to go: not worth a word.
        started, next_word = time.monotonic(), _POLL_SECONDS if reason == "fence" else 0.0
        while not self._try(key):
            seconds = time.monotonic() - started
            if is_over() or is_stopping():
                raise self._held(key, reason)
            self.has_waited = self.has_waited or reason == "run-lock"
            if seconds >= next_word:
                next_word = seconds + _EVENT_SECONDS
                holders = find_holders(self._driver, key)
                self._emit(Waiting(reason, self._describe_wait(holders, reason), seconds))
                if reason == "fence" and _are_silent(holders, _ABANDONED_SECONDS):
                    self._end_abandoned(holders)
            time.sleep(_POLL_SECONDS)

    def _end_abandoned(self, holders: Sequence[Holder]) -> None:
        pids = [holder.pid for holder in holders]
        with suppress(psycopg.errors.InsufficientPrivilege):  # goes on waiting, and saying what ends it
            self.terminate(pids)
            named = ", ".join(f"pid {pid}" for pid in pids)
            self._emit(
                Notice(
                    f"ended {named}, left by a killed run: nothing came from its process for"
                    f" {_duration(_ABANDONED_SECONDS)}; what it had not committed is rolled back",
                    level="warning",
                )
            )

    def _describe_wait(self, holders: list[Holder], reason: str) -> str:
        if reason == "run-lock":
            return f"waiting for another upgrade to end: {_describe(holders, self._announced())}"
        pids = ", ".join(f"pid {holder.pid}" for holder in holders) or "a session"
        query = next((holder.query for holder in holders if holder.query), None)
        doing = f": {' '.join(self._redact(query).split())[:_QUERY_CHARACTERS]}" if query else ""
        return f"waiting for {pids}, left by a killed run, to finish{doing}{_way_out(holders)}"

    def _held(self, key: int, reason: str) -> LockHeldError:
        holders = find_holders(self._driver, key)
        pid = holders[0].pid if holders else 0
        what = "another upgrade is running" if reason == "run-lock" else "a killed upgrade has not ended yet"
        return LockHeldError(
            f"{what}: {_describe(holders, self._announced())}",
            hint="wait for it (--wait-lock SECONDS), or end it in the database with: "
            f"SELECT pg_terminate_backend({pid});",
        )

    def _announced(self) -> tuple[int, str] | None:
        table = identifier(self._schema, "run")
        try:
            row = self._driver.execute(f"select backend_pid, client from {table}".encode()).fetchone()
        except psycopg.Error:  # no history yet, or no right to read it: the holder has no name then
            return None
        return (int(row[0]), str(row[1])) if row else None

    def _try(self, key: int) -> bool:
        row = self._driver.execute("select pg_try_advisory_lock(%s)", [key]).fetchone()
        return row == (True,)

    def _unlock(self, key: int) -> None:
        self._driver.execute("select pg_advisory_unlock(%s)", [key])


def find_workspace_holders(
    driver: psycopg.Connection, keys: LockKeys, workspace_ids: Collection[str]
) -> dict[str, Holder]:
    """Name the sessions that hold the locks of workspaces, by the workspace's id."""
    ids = {keys.workspace(workspace_id): workspace_id for workspace_id in workspace_ids}
    rows = driver.execute(_WORKSPACE_HOLDERS, [list(ids)]).fetchall()
    return {ids[key]: Holder(pid, name, None, None, None, None, None) for key, pid, name in rows}


def find_holders(driver: psycopg.Connection, key: int) -> list[Holder]:
    """Name the other sessions that hold the advisory lock `key`."""
    rows = driver.execute(_HOLDERS, [key]).fetchall()
    return [Holder(row[0], row[1], row[2], row[4], row[5], row[6], row[7]) for row in rows]


def _way_out(holders: list[Holder]) -> str:
    """Say how to end sessions that wait for their client: a process that is stopped (SIGSTOP) keeps them for ever."""
    if not _are_silent(holders, _SILENT_SECONDS):
        return ""
    silent = min(holder.silent_seconds or 0.0 for holder in holders)
    ends = ", ".join(f"pg_terminate_backend({holder.pid})" for holder in holders)
    return (
        f"; silent for {_duration(silent)}: if its process does not go on, it is ended after"
        f" {_duration(_ABANDONED_SECONDS)}, or by SELECT {ends};"
    )


def _are_silent(holders: Sequence[Holder], seconds: float) -> bool:
    """Tell whether each of them waits for its client, and their runs have executed nothing for so long."""
    return bool(holders) and all(
        (holder.state or "").startswith("idle") and (holder.silent_seconds or 0.0) >= seconds
        for holder in holders
    )


def _describe(holders: list[Holder], announced: tuple[int, str] | None) -> str:
    if not holders:
        return "its session has just ended"
    holder = holders[0]
    parts = [f"database session pid {holder.pid}"]
    if announced is not None and announced[0] == holder.pid:
        parts.append(f"on {announced[1]}")
    elif holder.address:
        parts.append(f"from {holder.address}")
    if holder.application_name:
        parts.append(holder.application_name)
    if holder.held_seconds is not None:
        parts.append(f"since {_duration(holder.held_seconds)}")
    if holder.silent_seconds is not None:
        parts.append(f"silent for {_duration(holder.silent_seconds)}")
    return ", ".join(parts)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min"
