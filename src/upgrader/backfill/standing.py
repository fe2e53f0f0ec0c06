"""How far every backfill is, as its row and the operator's word tell it from outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import psycopg

from upgrader.backfill.orders import Wanted
from upgrader.database.connect import identifier

_COLUMNS = (
    "b.id, b.step, b.workspace_id, b.label, b.relation, b.key_columns, b.rows_done, b.batches, b.rows_estimated,"
    " b.batch_rows, b.rows_per_second, b.waiting_for, b.waiting_since, b.is_finished, b.run_id, b.started_at,"
    " b.updated_at, o.wanted, o.ordered_by, o.ordered_at,"
    " extract(epoch from clock_timestamp() - b.waiting_since)::float8,"
    " extract(epoch from clock_timestamp() - o.ordered_at)::float8,"
    " extract(epoch from clock_timestamp() - b.updated_at)::float8"
)


class BackfillState(StrEnum):
    """What a backfill does just now."""

    RUNNING = "running"
    WAITING = "waiting"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    """The order is given; its run ends the step with the batch at hand."""
    STOPPED = "stopped"
    """Its run is gone; the next one goes on from the checkpoint."""
    FINISHED = "finished"
    """Nothing is left of it; the step that it belongs to is not complete."""


@dataclass(frozen=True, slots=True)
class Backfill:
    """One row of the table `backfill`, with the order that stands.

    Attributes:
        id: what the verbs take.
        relation: the qualified name of its table.
        key_columns: none: it is walked by ctid.
        rows_estimated: rows of the table by the planner's statistics when it began.
        rows_per_second: lately, as of its last batch.
        waiting_seconds: how long it has waited for `waiting_for`.
        wanted_seconds: how long the order stands.
        idle_seconds: since its last batch.
        has_run: whether the run that works on it lives.
    """

    id: int
    step: str
    workspace_id: str | None
    label: str
    relation: str
    key_columns: tuple[str, ...]
    rows_done: int
    batches: int
    rows_estimated: int | None
    batch_rows: int | None
    rows_per_second: float | None
    waiting_for: str | None
    waiting_since: datetime | None
    is_finished: bool
    run_id: str | None
    started_at: datetime
    updated_at: datetime
    wanted: Wanted | None
    wanted_by: str | None
    wanted_at: datetime | None
    waiting_seconds: float | None
    wanted_seconds: float | None
    idle_seconds: float
    has_run: bool = False

    @property
    def state(self) -> BackfillState:
        """What it does."""
        if self.is_finished:
            return BackfillState.FINISHED
        if self.wanted is Wanted.PAUSE:
            return BackfillState.PAUSED
        if not self.has_run:
            return BackfillState.STOPPED
        if self.wanted is Wanted.CANCEL:
            return BackfillState.CANCELLED
        return BackfillState.WAITING if self.waiting_for else BackfillState.RUNNING

    @property
    def percent(self) -> float | None:
        """How much of the estimate is done; above 100 where the estimate was too low. None without one."""
        if self.is_finished:
            return 100.0
        return 100.0 * self.rows_done / self.rows_estimated if self.rows_estimated else None

    @property
    def rows_left(self) -> int | None:
        """How many rows of the estimate are left; None where it tells nothing any more."""
        if self.is_finished:
            return 0
        left = (self.rows_estimated or 0) - self.rows_done
        return left if left > 0 else None


def read_backfills(
    driver: psycopg.Connection, schema: str, *, running: str | None, is_running: bool
) -> tuple[Backfill, ...]:
    """Give all backfills whose step is not complete, the oldest first; none where there is no history.

    Args:
        running: the id of the run that holds the run lock; None where the role may not see it.
        is_running: whether any does.
    """
    table, orders = identifier(schema, "backfill"), identifier(schema, "backfill_order")
    if driver.execute("select to_regclass(%s)", [table]).fetchone() == (None,):
        return ()
    rows = driver.execute(
        f"select {_COLUMNS} from {table} b left join {orders} o on o.backfill_id = b.id order by b.id".encode()
    ).fetchall()
    return tuple(_backfill(row, has_run=is_running and running in (None, row[14])) for row in rows)


def _backfill(row: Sequence[Any], *, has_run: bool) -> Backfill:
    values = list(row)
    values[5] = tuple(row[5])
    values[17] = Wanted(row[17]) if row[17] is not None else None
    return Backfill(*[*values, has_run])
