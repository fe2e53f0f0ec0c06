"""What a command is: its kinds, the protocols that a class may follow, and what it is handed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, TypedDict, Unpack, runtime_checkable

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from upgrader.model import Workspace


class SkipWorkspace(Exception):  # noqa: N818 - not an error: the command says "not now"
    """Raise it in a workspace command to leave the workspace at hand for a later run.

    What the step did is rolled back, and it is recorded as `skipped` with the reason. The workspace holds the
    barrier, the others go on, and the next run tries the step again.
    """

    def __init__(self, reason: str) -> None:
        self.reason = str(reason).strip() or "no reason was given"
        super().__init__(self.reason)


class CommandKind(StrEnum):
    """The three kinds of command, as history names them, in the order in which a version runs them."""

    FAST = "fast-instance"
    SLOW = "slow-instance"
    WORKSPACE = "workspace"

    @property
    def rank(self) -> int:
        """The place of this kind within a version: fast 0, slow 1, workspace 2."""
        return _RANKS[self]


_RANKS = {CommandKind.FAST: 0, CommandKind.SLOW: 1, CommandKind.WORKSPACE: 2}


class Batch(Protocol):
    """The rows of a table between two keys, in a transaction that commits when the loop over the batches goes on."""

    @property
    def connection(self) -> Connection:
        """A connection inside the batch's transaction."""

    @property
    def keys(self) -> Sequence[Any]:
        """The keys of its rows, in order: tuples where the key has several columns, places as text without a key."""

    @property
    def first(self) -> Any:
        """The first key."""

    @property
    def last(self) -> Any:
        """The last key."""

    @property
    def where(self) -> str:
        """Which rows it has, as an SQL condition: `f"UPDATE core.invoice SET … WHERE {batch.where}"`."""


class BatchArguments(TypedDict, total=False):
    """How a table is walked in batches.

    Keys:
        key: the name of a unique index or constraint, or the names of its columns; `ctid` walks the table as it is
            stored. Left out: the primary key, else a unique key over NOT NULL columns, else the ctid.
        label: tells the backfills of one step apart; the table if left out. A checkpoint belongs to it.
        batch_size: the most rows of a batch.
    """

    key: str | Sequence[str] | None
    label: str | None
    batch_size: int | None


class BackfillArguments(BatchArguments, total=False):
    """What is done to the rows of each batch: either `set_` (with `from_` and `where`), or `update`.

    All of it is SQL, sent as it stands and without parameters: `%` and `:` are themselves.

    Keys:
        set_: columns, and SQL expressions for them: `{"total": "net + tax", "state": "'new'"}`.
        from_: what an UPDATE has after FROM.
        where: which rows are to be changed; in a table without a key, such as a changed row does not meet any more.
        update: a whole statement with `{batch}` where the rows of the batch are to be chosen; `{i.batch}` where the
            statement knows the table as `i`.
    """

    set_: Mapping[str, str] | None
    from_: str | None
    where: str | None
    update: str | None


class DataMigrationContext(Protocol):
    """What `run_data_migration` is handed. It runs outside the step's transaction and may be tried again."""

    @property
    def dry_run(self) -> bool:
        """Whether everything will be rolled back."""

    @property
    def verbose(self) -> bool:
        """Whether the operator asked for detail."""

    @property
    def log(self) -> logging.Logger:
        """A logger whose lines go where the run's output goes."""

    @property
    def stop_requested(self) -> bool:
        """Whether the operator asked the run to stop: finish the batch at hand and return."""

    @property
    def workspace(self) -> Workspace | None:
        """The workspace, for a workspace command's data migration; None for an instance command's."""

    def transaction(self) -> AbstractContextManager[Connection]:
        """Give a connection in a transaction that commits at the end of the block (in a dry run: does not)."""

    def workspaces(self) -> Iterator[Workspace]:
        """Give the workspaces in scope, in ascending order of their id."""

    def backfill(self, table: str, **arguments: Unpack[BackfillArguments]) -> None:
        """Change the rows of a table in batches, while the application works.

            ctx.backfill("core.invoice", set_={"total": "net + tax"}, where="total IS NULL")
            ctx.backfill("core.invoice", update="UPDATE core.invoice SET … WHERE {batch} AND total IS NULL")

        Each row once: a batch commits together with its checkpoint, so that a run that was killed goes on at the
        next batch, and a step that fails later does not do it again. The last row is fixed at the beginning; those
        that are inserted afterwards are the application's business.

        Args:
            table: as SQL; without a schema it is looked up in the search_path.
            arguments: see `BackfillArguments`.
        """

    def batches(self, table: str, **arguments: Unpack[BatchArguments]) -> Iterator[Batch]:
        """Give the rows of a table in batches, for what takes Python; as exact as `backfill`.

            for batch in ctx.batches("core.invoice"):
                rows = batch.connection.execute(text(f"SELECT … FROM core.invoice WHERE {batch.where} FOR UPDATE"))

        A batch commits when the loop goes on. The loop has to come to its end: leaving it fails the step. Where a
        batch meets a lock timeout, a deadlock or a serialization failure, `run_data_migration` is called once more
        and the loop goes on with a smaller batch at the same place.
        """


class WorkspaceContext(Protocol):
    """What `run_on_workspace` is handed. All its work is one transaction, shared with the history row."""

    @property
    def workspace(self) -> Workspace:
        """The workspace at hand."""

    @property
    def connection(self) -> Connection:
        """A connection inside the step's transaction; `search_path` is the workspace's schema."""

    @property
    def dry_run(self) -> bool:
        """Whether everything will be rolled back."""

    @property
    def verbose(self) -> bool:
        """Whether the operator asked for detail."""

    @property
    def index(self) -> int:
        """The place of this workspace in the segment, from 1."""

    @property
    def total(self) -> int:
        """The number of workspaces in the segment."""

    @property
    def log(self) -> logging.Logger:
        """A logger whose lines go where the run's output goes."""

    @property
    def stop_requested(self) -> bool:
        """Whether the operator asked the run to stop."""

    def backfill(self, table: str, **arguments: Unpack[BackfillArguments]) -> None:
        """Change the rows of a table in batches, as in a data migration; only with `transactional=False`."""

    def batches(self, table: str, **arguments: Unpack[BatchArguments]) -> Iterator[Batch]:
        """Give the rows of a table in batches, as in a data migration; only with `transactional=False`."""


@runtime_checkable
class FastInstanceCommand(Protocol):
    """A quick change of the shared schemas. `down(connection)` may be added."""

    def up(self, connection: Connection) -> None:
        """Make the change, in one transaction with its history row."""


@runtime_checkable
class SlowInstanceCommand(Protocol):
    """A backfill, then the change that needs it. `down(connection)` may be added."""

    def run_data_migration(self, ctx: DataMigrationContext) -> None:
        """Bring the data into shape, in transactions of its own; must be repeatable."""

    def up(self, connection: Connection) -> None:
        """Make the change, in one transaction with its history row."""


@runtime_checkable
class WorkspaceCommand(Protocol):
    """A change made once in every workspace. `down_on_workspace` and `run_data_migration` may be added."""

    def run_on_workspace(self, ctx: WorkspaceContext) -> None:
        """Make the change in the workspace at hand, in one transaction with its history row."""
