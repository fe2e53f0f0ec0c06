"""How far every backfill is, as its row and the operator's word tell it from outside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import psycopg

from upgrader.backfill.orders import Wanted
from upgrader.database.connect import identifier
from upgrader.history.layout import not_readable

_COLUMNS = (
    "b.id, b.step, b.workspace_id, b.label, b.relation, b.key_columns, b.rows_done, b.batches, b.rows_estimated,"
    " b.batch_rows, b.rows_per_second, b.waiting_for, extract(epoch from b.waiting_since)::float8, b.is_finished,"
    " b.run_id, extract(epoch from b.started_at)::float8, extract(epoch from b.updated_at)::float8, o.wanted,"
    " o.ordered_by, extract(epoch from o.ordered_at)::float8,"
    " extract(epoch from clock_timestamp() - b.waiting_since)::float8,"
    " extract(epoch from clock_timestamp() - o.ordered_at)::float8,"
    " extract(epoch from clock_timestamp() - b.updated_at)::float8"
)

_TIMES = (12, 15, 16, 19)  # read as numbers: how the server writes times is a setting of role and database
# The full name of a step is version_Class_timestamp.
_IS_STEP = r"%s in (b.step, regexp_replace(b.step, '^[^_]+_(.*)_[0-9]+$', '\1'))"


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
    def name(self) -> str:
        """Name it for people: `BackfillTotals/core.invoice`, with the workspace where it is one's."""
        step = self.step.partition("_")[2].rpartition("_")[0] or self.step
        workspace = f" in workspace {self.workspace_id}" if self.workspace_id is not None else ""
        return f"{step}/{self.label}{workspace}"

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
    def is_estimate_too_low(self) -> bool:
        """Whether more is done than was estimated, and something is left."""
        return not self.is_finished and self.percent is not None and self.percent > 100.0

    @property
    def rows_left(self) -> int | None:
        """How many rows of the estimate are left; None where it tells nothing any more."""
        if self.is_finished:
            return 0
        left = (self.rows_estimated or 0) - self.rows_done
        return left if left > 0 else None


@dataclass(frozen=True, slots=True)
class BackfillFilter:
    """Which backfills are read.

    Attributes:
        name: an id, `STEP/label`, a step or a label; a step goes by its full name or its class. None: all.
        limit: at most so many; None: without one.
    """

    name: str | None = None
    limit: int | None = None

    def conditions(self) -> tuple[str, list[object]]:
        """Give WHERE and LIMIT with their values."""
        where, values = "", list[object]()
        if self.name is not None:
            step, _, label = self.name.partition("/")
            where = f" where b.id::text = %s or b.label = %s or {_IS_STEP} or {_IS_STEP} and b.label = %s"
            values = [self.name, self.name, self.name, step, label]
        limit = f" limit {self.limit}" if self.limit is not None else ""
        return f"{where} order by b.id{limit}", values


def read_backfills(
    driver: psycopg.Connection,
    schema: str,
    *,
    wanted: BackfillFilter,
    is_worked_on: Callable[[str | None], bool],
) -> tuple[Backfill, ...]:
    """Give backfills whose step is not complete, the oldest first; none where there is no history.

    Args:
        is_worked_on: whether the run of this id lives.

    Raises:
        LayoutError: the role may not read them.
    """
    table, orders = identifier(schema, "backfill"), identifier(schema, "backfill_order")
    where, values = wanted.conditions()
    try:
        if driver.execute("select to_regclass(%s)", [table]).fetchone() == (None,):
            return ()
        rows = driver.execute(
            f"select {_COLUMNS} from {_escaped(table)} b"
            f" left join {_escaped(orders)} o on o.backfill_id = b.id{where}".encode(),
            values,
        ).fetchall()
    except psycopg.errors.InsufficientPrivilege as error:
        raise not_readable(driver, schema) from error
    return tuple(_backfill(row, has_run=is_worked_on(row[14])) for row in rows)


def _escaped(name: str) -> str:
    return name.replace("%", "%%")


def _backfill(row: Sequence[Any], *, has_run: bool) -> Backfill:
    values = list(row)
    values[5] = tuple(row[5])
    for place in _TIMES:
        values[place] = None if row[place] is None else datetime.fromtimestamp(row[place], UTC)
    values[17] = Wanted(row[17]) if row[17] is not None else None
    return Backfill(*[*values, has_run])
