"""A walk whose batches an author's loop changes, in Python or in SQL of its own."""

from __future__ import annotations

from collections.abc import MutableMapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from upgrader.backfill.control import BackfillStopped
from upgrader.backfill.ranges import keys_in
from upgrader.backfill.walk import Walk
from upgrader.backfill.walk_parts import OpenBatch
from upgrader.database.guard import NOTE
from upgrader.errors import StepError


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch, as an author's loop is given it.

    Attributes:
        connection: in the batch's transaction, which commits when the loop goes on.
        keys: of its rows, in order; tuples where the key has several columns, text by ctid.
        where: which rows it has, as SQL, for a statement that knows the table by its own name.
    """

    connection: Connection
    keys: tuple[Any, ...]
    where: str

    @property
    def first(self) -> Any:
        """The first key."""
        return self.keys[0]

    @property
    def last(self) -> Any:
        """The last key."""
        return self.keys[-1]


class _LeftEarly(Exception):  # noqa: N818 - rolls back a batch whose loop was left
    """The loop was left while its batch was open."""


class BatchLoop:
    """Gives one batch after the other; the one before commits when the next is asked for.

    Whoever has handed it out closes it: an author who leaves the loop early leaves a batch open, and when a
    generator would be closed depends on who still holds its frame.

    Attributes:
        stopped: why it ended between two batches; None where it did not.
    """

    def __init__(self, walk: Walk) -> None:
        """Begin with the first batch that is not done."""
        self._walk = walk
        self.stopped: BackfillStopped | None = None
        self._open: AbstractContextManager[OpenBatch] | None = None
        self._noted: MutableMapping[Any, Any] | None = None

    def __iter__(self) -> BatchLoop:
        """Give itself: it is gone through once."""
        return self

    def __next__(self) -> Batch:
        """Commit the batch at hand, and open the next one.

        Raises:
            BackfillStopped: there is to be none now.
        """
        self._walk.start()
        while True:
            try:
                if self._open is not None:
                    self._close()
                if self._walk.is_finished:
                    raise StopIteration
                batch = self._begin()
            except StopIteration:
                raise
            except BackfillStopped as stopped:
                self.stopped = stopped
                raise
            except Exception as error:
                self._walk.note_failure(self._abandon(error))
                continue
            if batch.keys:
                return batch

    @property
    def is_open(self) -> bool:
        """Whether a batch is open."""
        return self._open is not None

    @property
    def is_finished(self) -> bool:
        """Whether it has come to its end."""
        return self._open is None and self._walk.is_finished

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return self._walk.place

    def add_place(self, error: Exception) -> None:
        """Add to an error in which batch it was."""
        self._walk.add_place(error)

    def abandon(self, error: Exception | None = None) -> None:
        """Roll the batch at hand back; nothing happens where none is open.

        Args:
            error: what came out of the loop's body; it is to be tried again if this returns.

        Raises:
            Exception: `error`, if it does not pass.
        """
        found = self._abandon(error or _LeftEarly())
        if error is not None:
            self._walk.note_failure(found)

    def _begin(self) -> Batch:
        opening = self._walk.batch()
        opened = opening.__enter__()
        self._open = opening
        if opened.key.is_ctid and not self._walk.parts.ground.is_trial:
            self._noted = opened.connection.info
            self._noted[NOTE] = _refuse_savepoint
        if not opened.stretch.rows:
            return Batch(opened.connection, (), "")
        opened.look.end()
        rows = self._walk.parts.ground.driver.execute(
            keys_in(opened.table, opened.stretch.range).encode()
        ).fetchall()
        keys = tuple(row[0] for row in rows) if len(opened.key.columns) < 2 else tuple(map(tuple, rows))
        return Batch(opened.connection, keys, opened.stretch.range.condition(opened.table.qualified))

    def _take_open(self) -> AbstractContextManager[OpenBatch] | None:
        opening, self._open = self._open, None
        noted, self._noted = self._noted, None
        if noted is not None:
            noted.pop(NOTE, None)
        return opening

    def _close(self) -> None:
        opening = self._take_open()
        if opening is not None:
            opening.__exit__(None, None, None)

    def _abandon(self, error: Exception) -> Exception:
        """Roll the batch at hand back; give what its end makes of the error (a lost connection, for example)."""
        opening = self._take_open()
        if opening is None:
            return error
        try:
            opening.__exit__(type(error), error, error.__traceback__)
        except Exception as raised:
            return raised
        return error


def _refuse_savepoint(statement: str) -> None:
    """Let no rows be written under the number of a savepoint: the walk by ctid tells its own by their transaction.

    Raises:
        StepError: the statement sets one.
    """
    if statement.lstrip()[:9].lower() == "savepoint":
        raise StepError(
            "a batch by ctid may not use savepoints (begin_nested()): rows that it changes inside of one come up again"
            " as those of others, and would be changed twice",
            hint="do without them, or give the table a unique key over NOT NULL columns",
        )
