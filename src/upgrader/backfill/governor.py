"""Lets a backfill's next batch begin, or waits: for the database to recover, for the operator, for the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import psycopg

from upgrader.backfill.brake import Brake, BrakeLimits
from upgrader.backfill.control import BackfillProgress, Verdict
from upgrader.backfill.orders import Order, OrderTable, Wanted
from upgrader.database.aside import ConnectionBusy
from upgrader.database.health import OF_TABLE, HealthReader, Reading
from upgrader.events import BackfillMoved, EventSink, Notice

LOOK_SECONDS = 1.0
"""How often readings are taken, at most."""
ORDER_SECONDS = 0.1
"""How often orders are read, at most: a batch takes longer as a rule."""
_POLL_SECONDS = 0.25
_EVENT_SECONDS = 1.0
_FORGOTTEN_SECONDS = 60.0
_UNSEEN = (
    "backfills cannot see all of what they should step back for: {}. Let an administrator type GRANT pg_monitor TO"
    " the role of the upgrade, or set the limits in [backfill] to 0"
)


@dataclass
class OrderBook:
    """What operators want, as all backfills of a run share it. Used from several threads."""

    table: OrderTable
    clock: Callable[[], float] = time.monotonic
    _orders: Mapping[int, Order] = field(default_factory=dict)
    _read_at: float | None = None
    _began: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def order(self, backfill_id: int) -> Order | None:
        """Give what is wanted of a backfill just now.

        A cancellation that is older than the run was meant for another one, which ended before it heard of it.
        Where the orders cannot be read, what was read last stands.
        """
        with self._lock:
            if self._read_at is None or self.clock() - self._read_at >= ORDER_SECONDS:
                self._read()
            found = self._orders.get(backfill_id)
            if found is None or found.wanted is Wanted.PAUSE or self._began is None:
                return found
            if found.at >= self._began:
                return found
            self.obeyed(found)
            return None

    def obeyed(self, order: Order) -> None:
        """Take an order away that has nothing to say any more."""
        with suppress(psycopg.Error, ConnectionBusy):  # a cancellation that stays is older than the next run
            self.table.withdraw(order.backfill_id, order.wanted)

    def _read(self) -> None:
        self._read_at = self.clock()
        try:
            now, self._orders = self.table.read()
        except (psycopg.Error, ConnectionBusy):  # a lost connection shows where the history is written
            return
        self._began = self._began or now


@dataclass
class _Looked:
    """The last look at one table, or at what concerns all of them."""

    brake: Brake
    at: float
    hindrances: tuple[str, ...] = ()


@dataclass
class HealthWatch:
    """Takes readings of the database's health about once a second. Used from several threads.

    What concerns the server is read once for all backfills of a run. A table is looked at when a backfill has been
    at it for a second: most tables of most workspaces are done by then.

    Attributes:
        emit: told once of what cannot be read.
    """

    reader: HealthReader
    limits: BrakeLimits
    emit: EventSink
    clock: Callable[[], float] = time.monotonic
    _server: _Looked | None = None
    _tables: dict[int, _Looked] = field(default_factory=dict)
    _told: frozenset[Reading] = frozenset()
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def hindrances(self, table_oid: int) -> tuple[str, ...]:
        """Give what is to be waited for before the table is changed any more; none: go on."""
        with self._lock:
            now, wanted = self.clock(), self.limits.readings
            if self._server is None:
                self._server = _Looked(Brake(self.limits), now - LOOK_SECONDS)
            self._refresh(self._server, table_oid, wanted - OF_TABLE, now)
            table = self._tables.get(table_oid)
            if table is None:
                kept = {oid: one for oid, one in self._tables.items() if now - one.at < _FORGOTTEN_SECONDS}
                table = _Looked(Brake(self.limits), now)
                self._tables = {**kept, table_oid: table}
            self._refresh(table, table_oid, wanted & OF_TABLE, now)
            return self._server.hindrances + table.hindrances

    def _refresh(self, looked: _Looked, table_oid: int, wanted: frozenset[Reading], now: float) -> None:
        if now - looked.at < LOOK_SECONDS or not wanted:
            return
        health = self.reader.read(table_oid, wanted)
        looked.at = now
        if health.is_busy:  # what was seen last stands until the next look
            return
        looked.hindrances = tuple(one.text for one in looked.brake.hindrances(health, now=now))
        news, self._told = health.unknown - self._told, self._told | health.unknown
        if news:
            names = ", ".join(sorted(reading.value for reading in news))
            self.emit(Notice(_UNSEEN.format(names), level="warning"))


@dataclass
class WatchfulGovernor:
    """Asks operator and database before each batch of one backfill.

    Attributes:
        run_id: of this run, for the row that others read.
        wait: sleeps, but no longer than until the run is asked to stop; tells whether it was.
        reason: why it said CANCEL, in words for the history.
    """

    book: OrderBook
    watch: HealthWatch
    emit: EventSink
    run_id: str
    wait: Callable[[float], bool]
    clock: Callable[[], float] = time.monotonic
    reason: str | None = None
    _waits_for: str | None = None
    _waits_since: float = 0.0
    _told_at: float = float("-inf")

    def before_batch(self, progress: BackfillProgress, *, rest_seconds: float = 0.0) -> Verdict:
        """Rest, then wait as long as somebody wants it; the waiting is told about once a second.

        Args:
            rest_seconds: what the pacer wants to rest in any case; orders are heard meanwhile.
        """
        rest_until = self.clock() + rest_seconds
        verdict = None
        while verdict is None:
            verdict = self._look(progress, rest_until)
        if verdict is Verdict.PROCEED:
            self._go_on(progress)
        return verdict

    def _look(self, progress: BackfillProgress, rest_until: float) -> Verdict | None:
        if self.wait(0.0):
            return Verdict.STOP
        order = None if progress.checkpoint_id is None else self.book.order(progress.checkpoint_id)
        if order is not None and order.wanted is Wanted.CANCEL:
            return self._cancel(order)
        rest = rest_until - self.clock()
        if order is None and rest > 0.0:
            return Verdict.STOP if self.wait(min(rest, _POLL_SECONDS)) else None
        reasons: tuple[str, ...]
        if order is not None:
            reasons = (f"`upgrader backfill resume {order.backfill_id}`, paused by {order.by}",)
        else:
            reasons = self.watch.hindrances(progress.relation_oid)
        if not reasons:
            return Verdict.PROCEED
        self._tell(progress, "; ".join(reasons))
        return Verdict.STOP if self.wait(_POLL_SECONDS) else None

    def _cancel(self, order: Order) -> Verdict:
        self.reason = f"cancelled by {order.by}"
        self.book.obeyed(order)
        return Verdict.CANCEL

    def _tell(self, progress: BackfillProgress, reason: str) -> None:
        now = self.clock()
        if self._waits_for is None:
            self._waits_since, self._told_at = now, float("-inf")
        is_news = reason != self._waits_for
        self._waits_for = reason
        if now - self._told_at < _EVENT_SECONDS:
            return
        self._told_at = now
        if is_news and progress.checkpoint_id is not None:
            self.book.table.note_waiting(progress.checkpoint_id, reason, run_id=self.run_id)
        self.emit(_moved(progress, reason, now - self._waits_since))

    def _go_on(self, progress: BackfillProgress) -> None:
        if self._waits_for is None:
            return
        self._waits_for = None
        if progress.checkpoint_id is not None:
            self.book.table.note_waiting(progress.checkpoint_id, None, run_id=self.run_id)
        self.emit(_moved(progress, None, 0.0))


def _moved(progress: BackfillProgress, reason: str | None, seconds: float) -> BackfillMoved:
    return BackfillMoved(
        progress.step,
        progress.scope,
        progress.label,
        rows_done=progress.rows_done,
        rows_estimated=progress.rows_estimated,
        batches=progress.batches,
        batch_rows=progress.batch_rows,
        rows_per_second=progress.rows_per_second,
        waiting_for=reason,
        waiting_seconds=seconds,
    )
