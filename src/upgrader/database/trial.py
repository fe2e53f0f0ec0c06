"""A transaction that is always rolled back, in which steps are tried; and what it holds meanwhile."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from sqlalchemy import Connection

from upgrader.database.connect import literal
from upgrader.database.guard import StatementObserver, enter_guard, forget_options, leave_guard
from upgrader.database.leftovers import Traces, noting
from upgrader.database.session import CommandSession
from upgrader.database.step_transaction import StepTransaction

_SAVEPOINT = "upgrader_trial"

# Locks of this session: how many, and those that keep readers or writers of a relation waiting.
_LOCKS = """
select (select count(*) from pg_locks where pid = pg_backend_pid()),
    coalesce(array_agg(distinct l.relation::bigint), '{}')
from pg_locks l
where l.pid = pg_backend_pid() and l.locktype = 'relation'
  and l.mode in ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
"""
# Constraints that a transaction begins with as deferred: set back to that after a check.
_DEFERRED = """
select string_agg(distinct format('%I.%I', n.nspname, c.conname), ', ')
from pg_constraint c join pg_namespace n on n.oid = c.connamespace where c.condeferred
"""
_CAPACITY = """
select current_setting('max_locks_per_transaction')::bigint
    * (current_setting('max_connections')::bigint + current_setting('max_prepared_transactions')::bigint)
"""
_TABLES = """
select c.oid::bigint, n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.oid = any(%s) and c.relkind in ('r', 'p', 'm') and n.nspname not in ('pg_catalog', 'pg_toast')
"""


@dataclass(frozen=True, slots=True)
class LockedTable:
    """An existing table that the trial locked so that readers or writers had to wait."""

    schema: str
    name: str
    seconds: float


class Trial:
    """One transaction, begun anew as often as it should not last any longer."""

    def __init__(self, session: CommandSession, observing: psycopg.Connection) -> None:
        """Begin nothing yet.

        Args:
            session: runs the steps.
            observing: another connection: it sees only tables that exist outside the trial.
        """
        self._session = session
        self._observing = observing
        self._transaction: StepTransaction | None = None
        self._since: dict[int, float] = {}
        self._names: dict[int, tuple[str, str] | None] = {}
        self._kept_blocking_since: float | None = None
        self.lock_count = 0
        row = observing.execute(_CAPACITY).fetchone()
        self.lock_capacity = int(row[0]) if row else 6400

    @property
    def connection(self) -> Connection:
        """The connection inside the transaction."""
        assert self._transaction is not None
        return self._transaction.connection

    @property
    def blocking_seconds(self) -> float:
        """How long the transaction has kept readers or writers of an existing table waiting."""
        if self._kept_blocking_since is None:
            return 0.0
        return time.monotonic() - self._kept_blocking_since

    def begin(self) -> None:
        """Begin the transaction; one that is open is rolled back first."""
        self.end()
        self._transaction = self._session.begin(settings={})
        leave_guard(self.connection)

    def end(self) -> list[LockedTable]:
        """Roll everything back; tell which existing tables were locked until now."""
        if self._transaction is None:
            return []
        self._transaction.rollback()
        self._session.replace()
        self._transaction = None
        self._kept_blocking_since = None
        return self._release(list(self._since))

    @contextmanager
    def step(
        self, settings: Mapping[str, str], observer: StatementObserver | None, check: str
    ) -> Iterator[Connection]:
        """Run a step's code in the block, guarded as in a real run; then check it and its constraints.

        Args:
            check: SQL that checks the step, with `{token}` for the marker and `{temporary_allowed}` for whether
                it may leave temporary tables.

        Raises:
            GuardError: the command did to its connection what it may not do.
            psycopg.Error: a deferred constraint does not hold.
        """
        assert self._transaction is not None
        token = secrets.token_hex(8)
        pairs = {**settings, "upgrader.step": token}
        configure = ", ".join(f"set_config({literal(k)}, {literal(v)}, true)" for k, v in pairs.items())
        self._execute(f"select {configure}")
        enter_guard(self.connection, observer)
        traces = Traces()
        try:
            with noting(self.connection, traces):
                yield self.connection
        finally:
            leave_guard(self.connection)
            forget_options(self.connection)
        self._transaction.check()
        deferred = self._value(_DEFERRED)
        restore = f"set constraints {deferred} deferred" if deferred else "select"
        allowed = "true" if traces.dropped_on_commit else "false"
        check = check.replace("{token}", token).replace("{temporary_allowed}", allowed)
        self._execute(
            f"set session authorization default; {check};"
            f" set constraints all immediate; {restore}; discard temp; reset all"
        )

    def set_savepoint(self) -> None:
        """Mark the place to which `back_to_savepoint` goes."""
        self._execute(f"savepoint {_SAVEPOINT}")

    def keep_savepoint(self) -> None:
        """Keep what was done since the savepoint."""
        self._execute(f"release savepoint {_SAVEPOINT}")

    def back_to_savepoint(self) -> None:
        """Undo what was done since the savepoint, an author's open savepoints included."""
        leave_guard(self.connection)
        while (nested := self.connection.get_nested_transaction()) is not None:
            nested.rollback()
        self._execute(f"rollback to savepoint {_SAVEPOINT}; release savepoint {_SAVEPOINT}")

    def set_search_path(self, schema: str | None) -> None:
        """Let names be looked up in one schema until something else is set; None: where the role looks."""
        self._execute(f"set local search_path = {'default' if schema is None else literal(schema)}")

    def probe(self, query: str) -> tuple[object, ...] | None:
        """Look at something inside the transaction."""
        cursor = self._session.driver.execute(query.encode())
        return cursor.fetchone() if cursor.description else None

    def note_locks(self, began: float, *, is_kept: bool) -> None:
        """Look at what the transaction holds.

        Args:
            began: when the step that may have taken the locks began (`time.monotonic()`).
            is_kept: whether the locks stay until the end of the transaction.
        """
        row = self.probe(_LOCKS)
        assert row is not None
        self.lock_count = int(str(row[0]))
        relations = [oid for oid in row[1] if oid not in self._since]  # type: ignore[attr-defined]  # a bigint[]
        existing = [oid for oid in relations if self._name(oid, relations) is not None]
        for oid in existing:
            self._since[oid] = began
        if existing and is_kept and self._kept_blocking_since is None:
            self._kept_blocking_since = began

    def release_workspace_locks(self, kept: frozenset[int]) -> list[LockedTable]:
        """Tell which existing tables a rolled-back savepoint has let go."""
        return self._release([oid for oid in self._since if oid not in kept])

    @property
    def blocked_relations(self) -> frozenset[int]:
        """The relations that are noted as locked now."""
        return frozenset(self._since)

    def _release(self, oids: list[int]) -> list[LockedTable]:
        now = time.monotonic()
        released = []
        for oid in oids:
            began = self._since.pop(oid)
            name = self._names[oid]
            if name is not None:
                released.append(LockedTable(name[0], name[1], now - began))
        return released

    def _name(self, oid: int, batch: list[int]) -> tuple[str, str] | None:
        if oid not in self._names:
            found = {
                int(row[0]): (str(row[1]), str(row[2])) for row in self._observing.execute(_TABLES, [batch])
            }
            self._names.update({one: found.get(one) for one in batch})
        return self._names[oid]

    def _execute(self, message: str) -> None:
        self._session.driver.execute(message.encode())

    def _value(self, query: str) -> str | None:
        row = self._session.driver.execute(query.encode()).fetchone()
        return None if row is None or row[0] is None else str(row[0])
