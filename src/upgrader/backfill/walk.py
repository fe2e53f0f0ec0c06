"""The walk of one backfill through its table: batch after batch, each once.

    look up table and key · fix the upper end · keep a checkpoint
    until nothing is left:
        governor: may there be a batch now?   outside of any transaction: no snapshot is held while it waits
        BEGIN · find the end of the batch · change its rows · check · move the checkpoint · COMMIT
        pacer: how large is the next one, after which pause?

Rows and checkpoint commit in one transaction, so that after a crash the next run begins with the first batch that
is not committed. Rows that are inserted after the upper end was read are none of the walk's.

By ctid, where there is no key, three things are different. A row that a batch changes may come to lie ahead of
the walk: rows written by the walk's own transactions are left out. A row that somebody else changes meanwhile may
move behind the walk, or ahead of it after it was done: only `where` tells what it is. If rows that were changed do
not meet `where` any more (which is looked at), a second walk picks up those that have moved, and looks at the whole
table in one snapshot pick up those that moved again, until one finds none. If they still do, or there is no `where`,
there is one walk, and the operator is told so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection

from upgrader.backfill.checkpoint import Checkpoint
from upgrader.backfill.control import (
    BackfillProgress,
    BackfillStopped,
    Verdict,
)
from upgrader.backfill.keys import WalkKey, find_key
from upgrader.backfill.ranges import KeyValue
from upgrader.backfill.stretch import FIRST_SWEEP, KeyStretches, Look, PageStretches, Stretch, StretchFinder
from upgrader.backfill.table import WalkedTable, find_table
from upgrader.backfill.trouble import passing_trouble
from upgrader.backfill.walk_parts import Given, OpenBatch, WalkParts
from upgrader.database.retry import RetryPolicy
from upgrader.events import BackfillMoved, Notice

_TELL_EVERY_SECONDS = 1.0
_FEW_ROWS, _FEW_TIMES = 1_000, 4  # that so many rows, or so many times as many, change is no surprise
_MOST_SWEEPS = 50  # an application that makes such rows faster has to be mended first
_RETRIES = RetryPolicy(initial_seconds=0.2, maximum_seconds=10.0)


@dataclass
class Walk:
    """One backfill on its way. `is_finished`: nothing is left; `was_cut`: a trial has seen its sample."""

    given: Given
    parts: WalkParts
    was_cut: bool = False
    _table: WalkedTable = field(init=False)
    _key: WalkKey = field(init=False)
    _finder: StretchFinder = field(init=False)
    _checkpoint: Checkpoint | None = None
    _stretch: Stretch | None = None
    _tries: int = 0
    _changed: int | None = None  # in the batch before, where it was a small part of its rows
    _told: float = 0.0

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.was_cut or (self._checkpoint is not None and self._checkpoint.is_finished)

    @property
    def sample(self) -> str:
        """What a trial has seen of it, for people."""
        return (
            f"the first {self._checkpoint.rows_done if self._checkpoint else 0:,} rows of {self.given.label}"
        )

    @property
    def place(self) -> str:
        """Where it is, for people."""
        done = self._checkpoint.rows_done if self._checkpoint else 0
        return f"{self.given.label}, after {done} rows"

    def start(self, try_on_nothing: Callable[[Connection, WalkedTable], None] | None = None) -> None:
        """Look up the table, and take up its checkpoint or make one; nothing happens the second time.

        Args:
            try_on_nothing: called for a table without rows, of which there is no batch: so that a statement that
                is wrong is found in an empty database, too.

        Raises:
            StepError: the table cannot be walked, or is not that of the checkpoint.
        """
        while self._checkpoint is None:
            try:
                with self.parts.ground.transaction(lambda: "select") as connection:
                    self._checkpoint = self._prepare()
                    if try_on_nothing is not None and self._checkpoint.upper_key is None:
                        try_on_nothing(connection, self._table)
            except Exception as error:
                self._checkpoint = None
                self.note_failure(error)

    def _prepare(self) -> Checkpoint:
        parts, driver = self.parts, self.parts.ground.driver
        self._table = find_table(driver, self.given.table)
        self._key = find_key(driver, self._table, self.given.key)
        self._key.check_kept(self.given.changes, self._table)
        found = parts.checkpoints.find(self.given.label)
        if found is not None:
            found.check(self._table, self._key, is_kept=parts.keeps_checkpoint)
        look = Look(driver)
        self._finder = self._make_finder(look)
        if found is None:
            upper = self._finder.upper_end(look)
            look.end()
            found = parts.checkpoints.create(self._begin(upper))
            if self._key.is_ctid and self.given.left is None and upper is not None:
                self._warn_of_ctid()
            if self._table.is_filtered and upper is not None:
                self._warn_of_hidden_rows()
        look.end()
        return found

    def _make_finder(self, look: Look) -> StretchFinder:
        if not self._key.is_ctid:
            return KeyStretches(self._table, self._key)
        since = look.row("select pg_snapshot_xmax(pg_current_snapshot())::text::bigint % 4294967296")
        assert since is not None
        return PageStretches(
            self._table, self._key, since=int(since[0]) if self.parts.ground.is_trial else None
        )

    def _begin(self, upper: KeyValue | None) -> Checkpoint:
        return Checkpoint(
            label=self.given.label,
            checksum=self.parts.checksum,
            relation=self._table.qualified,
            relation_oid=self._table.oid,
            filenode=self._table.filenode,
            key_columns=self._key.names,
            upper_key=upper,
            rows_estimated=self._table.rows_estimated,
            is_finished=upper is None,
        )

    @contextmanager
    def batch(self) -> Iterator[OpenBatch]:
        """Open the next batch for the block; it commits at the block's end, and the walk is one batch further.

        Raises:
            BackfillStopped: there is to be no batch now.
        """
        self._await_turn()
        before = self._checkpoint
        assert before is not None
        self._stretch = None
        began = time.perf_counter()
        opened: OpenBatch | None = None

        def final() -> str:
            assert opened is not None
            return self.parts.checkpoints.moving(
                before, self._after(before, opened), rows=opened.stretch.rows
            )

        with self.parts.ground.transaction(final) as connection:
            opened = self._open(connection, before)
            yield opened
            opened.look.end()
        self._advance(self._after(before, opened), opened, time.perf_counter() - began)

    def _open(self, connection: Connection, before: Checkpoint) -> OpenBatch:
        look = Look(self.parts.ground.driver)
        stretch = self._find(look, before)
        opened = OpenBatch(connection, self._table, self._key, stretch, look, before.walk)
        if self._key.is_ctid:
            own = look.row("select pg_current_xact_id()::text::bigint")
            opened.transaction = int(own[0]) if own is not None else None
            opened.upper = self._finder.upper_end(look) if stretch.is_last else None
        return opened

    def _find(self, look: Look, before: Checkpoint) -> Stretch:
        """Find the next stretch. Where hardly a row was to be changed batches have become large, for the time it takes.

        A stretch in which that comes to an end would be changed in one batch of many times the target time.
        """
        stretch = self._stretch = self._finder.find(look, before, self._rows_wanted(before))
        left, changed = self.given.left, self._changed
        if left is None or changed is None or stretch.is_sweep or stretch.rows <= _FEW_ROWS:
            return stretch
        counted = look.end(left(self._table, stretch.range))
        if counted is None or int(counted[0]) <= max(_FEW_ROWS, _FEW_TIMES * changed):
            return stretch
        self.parts.pacer.begin_again()
        self._stretch = self._finder.find(look, before, self._rows_wanted(before))
        return self._stretch

    def note_failure(self, error: Exception) -> None:
        """Come back when a batch was rolled back that is to be tried again; raise its error otherwise.

        Raises:
            BackfillStopped: the run was asked to stop meanwhile.
        """
        kind = passing_trouble(error)
        self._tries += 1
        if kind is None or not self.parts.pacer.failed(kind):
            self.add_place(error)
            raise error
        pause = _RETRIES.pause_seconds(self._tries)
        self.parts.tell_retry(self._tries, kind, pause)
        if self.parts.wait(pause):
            raise BackfillStopped

    def add_place(self, error: Exception) -> None:
        """Add to an error in which batch it was."""
        if self._stretch is not None:
            count = f"{self._stretch.rows} row{'' if self._stretch.rows == 1 else 's'}"
            error.add_note(f"in the batch of {self.given.label} with {self._stretch.range} ({count})")

    def _await_turn(self) -> None:
        rest = self.parts.pacer.pause_seconds()
        verdict = self.parts.governor.before_batch(self._progress(), rest_seconds=rest)
        if verdict is not Verdict.PROCEED:
            self._tell()
            raise BackfillStopped(self.parts.governor.reason)

    def _rows_wanted(self, checkpoint: Checkpoint) -> int:
        rows = self.parts.pacer.rows
        return min(rows, self.parts.most_rows - checkpoint.rows_done) if self.parts.most_rows else rows

    def _after(self, before: Checkpoint, done: OpenBatch) -> Checkpoint:
        stretch = done.stretch
        own = before.own_transactions + ((done.transaction,) if done.transaction is not None else ())
        after = replace(
            before,
            last_key=stretch.range.upto,
            rows_done=before.rows_done + done.new_rows,
            batches=before.batches + 1,
            batch_rows=stretch.rows,
            rows_per_second=self.parts.pacer.rows_per_second,
            is_finished=stretch.is_last,
            is_clearing=_both(before.is_clearing, done.is_clearing),
            own_transactions=own,
        )
        if stretch.is_last and self._key.is_ctid and self._needs_another_walk(after, done):
            return replace(
                after, is_finished=False, walk=before.walk + 1, last_key=None, upper_key=done.upper
            )
        return after

    def _needs_another_walk(self, after: Checkpoint, done: OpenBatch) -> bool:
        """Tell whether a row that somebody else has changed meanwhile may have been missed, and can be told."""
        if not after.is_clearing or after.walk - FIRST_SWEEP >= _MOST_SWEEPS:
            return False
        return done.found is None or done.found > 0

    def _advance(self, after: Checkpoint, done: OpenBatch, seconds: float) -> None:
        parts, self._tries = self.parts, 0
        is_sparse = done.changed is not None and done.changed * _FEW_TIMES < done.stretch.rows
        self._changed = done.changed if is_sparse else None
        parts.pacer.succeeded(rows=done.stretch.rows, seconds=seconds)
        self._checkpoint = after
        self.was_cut = bool(parts.most_rows) and not after.is_finished and after.rows_done >= parts.most_rows
        if self.is_finished or time.monotonic() - self._told >= _TELL_EVERY_SECONDS:
            self._tell()

    def _tell(self) -> None:
        self._told = time.monotonic()
        progress = self._progress()
        is_through = self.is_finished and not self.was_cut
        self.parts.emit(
            BackfillMoved(
                progress.step,
                progress.scope,
                progress.label,
                progress.rows_done,
                progress.rows_done if is_through else progress.rows_estimated,  # known by now
                progress.batches,
                progress.batch_rows,
                progress.rows_per_second,
                is_finished=self.is_finished,
            )
        )

    def _progress(self) -> BackfillProgress:
        checkpoint = self._checkpoint
        assert checkpoint is not None
        return BackfillProgress(
            step=self.parts.step,
            scope=self.parts.scope,
            label=self.given.label,
            checkpoint_id=checkpoint.id,
            relation_oid=self._table.oid,
            relation=self._table.qualified,
            rows_done=checkpoint.rows_done,
            rows_estimated=checkpoint.rows_estimated,
            batches=checkpoint.batches,
            batch_rows=self.parts.pacer.rows,
            rows_per_second=self.parts.pacer.rows_per_second,
        )

    def _warn_of_hidden_rows(self) -> None:
        self.parts.emit(
            Notice(
                f"row-level security of {self._table} holds for this role: rows that its policies hide are left as they"
                " are; let the role have BYPASSRLS, or use the table's owner, unless the policies show it every row",
                "warning",
            )
        )

    def _warn_of_ctid(self) -> None:
        self.parts.emit(
            Notice(
                f"{self._table} has no key that a backfill can follow and is walked as it is stored: a row that the"
                " application changes meanwhile may be missed, or changed twice; a unique key over NOT NULL columns,"
                " or where= that a changed row does not meet any more, prevents that",
                "warning",
            )
        )


def _both(before: bool | None, now: bool | None) -> bool | None:
    """Put together what was seen: one row that still is to be changed is enough."""
    return now if before is None else before if now is None else before and now
