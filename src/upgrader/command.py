"""What a command is: its kinds, the protocols that a class may follow, and what it is handed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

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
