"""The backfills of one attempt at a step: what `ctx.backfill` and `ctx.batches` are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
from sqlalchemy import Connection, CursorResult

from upgrader.backfill.batch_loop import BatchLoop
from upgrader.backfill.batch_plan import WITHOUT_WHOLE_READS, reads_more_than_its_rows
from upgrader.backfill.control import BackfillStopped, Governor, Pacer
from upgrader.backfill.ground import Ground
from upgrader.backfill.options import Resumption
from upgrader.backfill.ranges import KeyRange
from upgrader.backfill.statement import BatchChange
from upgrader.backfill.table import WalkedTable
from upgrader.backfill.walk import Walk
from upgrader.backfill.walk_parts import Given, OpenBatch, WalkParts
from upgrader.database.message import send_message
from upgrader.errors import StepError
from upgrader.events import Notice

LeftQuery = Callable[[WalkedTable, KeyRange], str]
Row = Sequence[str | None]
_STATEMENT_CHARACTERS = 2000
# The first batch is no sign: it is open below, and with old statistics looks like most of the table.
_WASTEFUL_BATCHES = 3

MakePacer = Callable[[int | None], Pacer]
"""Makes the pacer of a walk; given the most rows that the author wants in a batch."""
MakeGovernor = Callable[[], Governor]


@dataclass
class Backfills:
    """What one step has to do with backfills, over all tries of its data migration.

    Attributes:
        parts: for the walks; pacer and governor are put in for each.
        label_prefix: tells those of the way down from those of the way up.
    """

    parts: WalkParts
    make_pacer: MakePacer
    make_governor: MakeGovernor
    label_prefix: str = ""
    _stopped: BackfillStopped | None = None
    _walks: list[Walk] = field(default_factory=list)
    _labels: set[str] = field(default_factory=set)
    _pacers: dict[str, Pacer] = field(default_factory=dict)
    _loops: list[BatchLoop] = field(default_factory=list)
    _wasteful: dict[str, int] = field(default_factory=dict)

    @property
    def stopped(self) -> BackfillStopped | None:
        """Why a walk ended between two batches; None where none did, whatever the author made of it."""
        return self._stopped or next((loop.stopped for loop in self._loops if loop.stopped), None)

    @property
    def samples(self) -> list[str]:
        """The walks of a trial that went no further than its sample."""
        return [walk.sample for walk in self._walks if walk.was_cut]

    def check(self, resumption: Resumption) -> None:
        """Look at the checkpoints of earlier runs before the step does anything.

        Raises:
            StepError: the command has changed since, and nobody has said what to do about it.
        """
        checkpoints = self.parts.checkpoints
        found = checkpoints.all()
        if not found:
            return
        if resumption is Resumption.RESTART:
            checkpoints.drop()
        elif any(one.checksum != self.parts.checksum for one in found):
            if resumption is not Resumption.KEEP:
                done = "; ".join(f"{one.label}: {one.rows_done} rows done" for one in found)
                raise StepError(
                    f"the code of {self.parts.step.name} has changed since its backfill began ({done})",
                    hint="give --keep-checkpoint to go on where it is, if the rows that are done are right as they"
                    " are; or --restart-backfill to begin again at the first row",
                )
            checkpoints.adopt(self.parts.checksum)

    def backfill(
        self,
        table: str,
        *,
        set_: Mapping[str, str] | None = None,
        from_: str | None = None,
        where: str | None = None,
        update: str | None = None,
        key: str | Sequence[str] | None = None,
        label: str | None = None,
        batch_size: int | None = None,
    ) -> None:
        """Change the rows of a table in batches; see `DataMigrationContext.backfill`.

        Raises:
            StepError: it cannot be done as it is asked for.
            BackfillStopped: it ended between two batches.
        """
        change = BatchChange(update=update, set_=set_, from_=from_, where=where)
        left = change.left_sql if where is not None else None
        walk = self._walk(table, key, label, batch_size, left=left, changes=change.columns)
        walk.start(lambda connection, table: _try_on_nothing(change, connection, table))
        while not walk.is_finished:
            try:
                with walk.batch() as batch:
                    self._apply(change, batch)
            except BackfillStopped as stopped:
                self._stopped = stopped
                raise
            except Exception as error:
                walk.note_failure(error)

    def batches(
        self,
        table: str,
        *,
        key: str | Sequence[str] | None = None,
        label: str | None = None,
        batch_size: int | None = None,
    ) -> BatchLoop:
        """Give the batches of a table; see `DataMigrationContext.batches`."""
        loop = BatchLoop(self._walk(table, key, label, batch_size))
        self._loops.append(loop)
        return loop

    def give_up(self, error: Exception) -> bool:
        """Take note of what came out of the author's code, and roll back a batch that is open.

        Returns:
            Whether a batch met something that passes: the author's code is to be called again, and the walk goes
            on at that batch. False where no batch was open.

        Raises:
            Exception: `error`, with the range of the batch, where it does not pass.
        """
        loop = next((one for one in self._loops if one.is_open), None)
        if loop is None:
            return False
        loop.abandon(error)
        self._labels.clear()
        self._walks.clear()
        self._loops.clear()
        return True

    def end(self) -> None:
        """Find out, when the author's code has returned, whether every loop came to its end.

        Raises:
            StepError: one was left early; the batch at hand is rolled back, those before it are done.
        """
        for loop in self._loops:
            if loop.is_open:
                loop.abandon()
            if not loop.is_finished:
                raise StepError(
                    f"a loop over ctx.batches() was left before its end ({loop.place}); what it did in the batch at"
                    " hand is rolled back",
                    hint="let it run to its end, and pass a batch over with `continue`; to leave it because the run"
                    " is to stop, ask ctx.stop_requested before",
                )

    def close(self, error: Exception | None = None) -> None:
        """Roll back whatever is open; raises nothing.

        Args:
            error: what came out of the author's code; where it was in a batch is added to it.
        """
        for loop in self._loops:
            if error is not None and loop.is_open:
                loop.add_place(error)
            loop.abandon()

    def work_on(self, ground: Ground) -> None:
        """Let the backfills that are still to come run elsewhere."""
        self.parts = replace(self.parts, ground=ground)

    def _walk(
        self,
        table: str,
        key: str | Sequence[str] | None,
        label: str | None,
        batch_size: int | None,
        *,
        left: LeftQuery | None = None,
        changes: frozenset[str] = frozenset(),
    ) -> Walk:
        name = self.label_prefix + (label if label is not None else table.strip())
        if batch_size is not None and batch_size < 1:
            raise StepError(f"a batch of {batch_size} rows is none", hint="batch_size is at least 1")
        if name in self._labels:
            raise StepError(
                f"this step has two backfills with the label {name}: which of them is done could not be told",
                hint='give each one a label of its own: label="totals"',
            )
        self._labels.add(name)
        pacer = self._pacers.get(name)
        if pacer is None:
            pacer = self._pacers[name] = self.make_pacer(batch_size)
        wanted = key if key is None or isinstance(key, str) else tuple(key)
        parts = replace(self.parts, pacer=pacer, governor=self.make_governor())
        walk = Walk(Given(table, name, wanted, left, changes), parts)
        self._walks.append(walk)
        return walk

    def _apply(self, change: BatchChange, batch: OpenBatch) -> None:
        if not batch.stretch.rows and not self.parts.ground.is_trial:
            return
        table, wanted = batch.table, batch.stretch.range
        looks_back = batch.key.is_ctid and change.where is not None
        if batch.stretch.is_sweep:
            sql = change.sweeping_sql(table, wanted, rows=batch.stretch.rows)
            batch.look.end()
        else:
            sql = change.counting_sql(table, wanted) if looks_back else change.sql(table, wanted)
            self._see_to_plan(sql, batch)
        result = _execute(batch.connection, sql)
        if looks_back:
            changed, still_left, *found = tuple(result.one())
            batch.changed, batch.is_clearing = changed, not still_left if changed else None
            batch.found = found[0] if found else None
        else:
            batch.changed = result.rowcount

    def _see_to_plan(self, sql: str, batch: OpenBatch) -> None:
        """Keep the planner from reading the whole table for the batch."""
        table, explain = str(batch.table), f"explain (format json) {sql}"
        if not self._wastes(batch, batch.look.end, explain) or not self._wastes(
            batch, self._send, f"{WITHOUT_WHOLE_READS}; {explain}"
        ):
            self._wasteful[table] = 0
            return
        self._wasteful[table] = self._wasteful.get(table, 0) + 1
        if self._wasteful[table] == _WASTEFUL_BATCHES:
            self.parts.emit(
                Notice(
                    f"each batch of {table} reads more of the table than its rows: look at the plan of its"
                    " statement (EXPLAIN), and whether what it joins with has an index on the column of the join",
                    "warning",
                )
            )

    def _wastes(self, batch: OpenBatch, send: Callable[[str], Row | None], explain: str) -> bool:
        try:
            plan = send(explain)
        except psycopg.Error as error:
            error.add_note(f"statement: {explain.partition('json) ')[2][:_STATEMENT_CHARACTERS]}")
            raise
        assert plan is not None
        return reads_more_than_its_rows(str(plan[0]), batch.table, batch.key, rows=batch.stretch.rows)

    def _send(self, message: str) -> Row | None:
        return send_message(self.parts.ground.driver, message)


def _try_on_nothing(change: BatchChange, connection: Connection, table: WalkedTable) -> None:
    _execute(connection, change.sql(table, None))


def _execute(connection: Connection, sql: str) -> CursorResult[Any]:
    # Without parameters the driver takes a % for what it is.
    return connection.exec_driver_sql(sql, execution_options={"no_parameters": True})
