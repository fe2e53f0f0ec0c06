"""Stand-ins and helpers for tests, the product's own and those of people who write commands.

def test_note_is_added(engine):
    with engine.begin() as connection:
        run_command(AddNote, connection, workspace=Workspace("42", schema="ws_42"))
        assert connection.execute(text("select count(*) from note")).scalar() == 0
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast
from weakref import WeakSet

import psycopg
from sqlalchemy import Connection, text

from upgrader.backfill.backfills import Backfills
from upgrader.backfill.checkpoint import NoCheckpoints
from upgrader.backfill.control import FixedPacer, OpenGovernor
from upgrader.backfill.ground import TrialGround
from upgrader.backfill.outside import offering
from upgrader.backfill.walk_parts import WalkParts
from upgrader.command import SlowInstanceCommand
from upgrader.database.connect import identifier
from upgrader.database.guard import check_transaction, enter_guard, install_guard, leave_guard
from upgrader.events import Event, ignore_events
from upgrader.history.in_memory_store import InMemoryHistoryStore
from upgrader.model import Direction, Scope, Step, Workspace
from upgrader.registry import registry_of
from upgrader.runner.author import method_of
from upgrader.runner.contexts import RunDataMigrationContext, RunWorkspaceContext
from upgrader.runner.data_migration import finishing
from upgrader.runner.stop import StopToken

EventT = TypeVar("EventT", bound=Event)


class RecordingSink:
    """An event sink that keeps everything it is told, in order."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        """Keep an event."""
        self.events.append(event)

    def of(self, kind: type[EventT]) -> list[EventT]:
        """Give the events of one type, in order."""
        return [event for event in self.events if isinstance(event, kind)]


def run_command(
    command: type[Any],
    connection: Connection,
    *,
    workspace: Workspace | None = None,
    workspaces: Sequence[Workspace] = (),
    search_path_extra: Sequence[str] = ("public",),
    direction: Literal["up", "down"] = "up",
) -> None:
    """Run a command as an upgrade would, or take it back, in the transaction that is open on `connection`.

    Nothing is recorded.

    The connection is guarded while the command runs: ending the transaction fails, as it does in an upgrade.
    A data migration runs first, its `ctx.transaction()` in a savepoint, and so each batch of its backfills; no
    checkpoint is kept. The caller commits or rolls back.
    For a command with `transactional=False` give a connection in autocommit
    (`execution_options(isolation_level="AUTOCOMMIT")`).

    Args:
        command: the decorated class.
        workspace: for a workspace command: where it runs.
        workspaces: what `ctx.workspaces()` gives in a data migration.
        search_path_extra: the schemas after the workspace's own.
        direction: `"down"` calls `down` or `down_on_workspace`.

    Raises:
        LoadingError: the class is not a valid command; nothing ran.
        GuardError: the command did to its transaction what it may not do.
        ValueError: a workspace command without a workspace, or the other way round; an irreversible one that
            is to be taken back.
    """
    registry = registry_of([command])
    step = next(iter(registry.sequence))
    if step.is_workspace != (workspace is not None):
        raise ValueError(f"{command.__name__} needs {'a' if step.is_workspace else 'no'} workspace")
    way = Direction(direction)
    if way is Direction.DOWN and not step.reversible:
        why = (
            step.irreversible_reason
            or f"no {'down_on_workspace' if workspace else 'down'} that takes it back"
        )
        raise ValueError(f"{command.__name__} cannot be taken back: {why}")
    trial = _Trial(step, registry.create(step.name), connection, workspace, workspaces, way)
    if workspace is not None and workspace.schema is not None:
        path = ", ".join(identifier(schema) for schema in (workspace.schema, *search_path_extra))
        connection.execute(
            text("select set_config('search_path', :path, :local)"),
            {"path": path, "local": step.transactional},
        )
    trial.run()


_guarded: WeakSet[Connection] = WeakSet()


@dataclass
class _Trial:
    """One command, run for a test."""

    step: Step
    command: object
    connection: Connection
    workspace: Workspace | None
    workspaces: Sequence[Workspace]
    direction: Direction

    def run(self) -> None:
        """Run it, guarded."""
        if not self.step.transactional:
            backfills = self._backfills()
            with offering(self.connection, backfills), finishing(backfills):
                self._call()
            return
        connection = self.connection
        if connection not in _guarded:
            install_guard(connection)
            _guarded.add(connection)
        transaction = connection.get_transaction() or connection.begin()
        connection.execute(text("select"))  # begins it on the server, too
        driver = cast("psycopg.Connection", connection.connection.driver_connection)
        enter_guard(connection)
        try:
            self._call()
        finally:
            leave_guard(connection)
        check_transaction(connection, transaction, driver.info.transaction_status)

    def _call(self) -> None:
        if self.step.has_data_migration and self.direction is Direction.UP:
            context = self._migration_context()
            with finishing(context._backfills):
                cast("SlowInstanceCommand", self.command).run_data_migration(context)
        method = method_of(self.command, self.step, self.direction)
        method(self._workspace_context(self.workspace) if self.workspace else self.connection)

    def _workspace_context(self, workspace: Workspace) -> RunWorkspaceContext:
        return RunWorkspaceContext(
            workspace=workspace,
            connection=self.connection,
            dry_run=False,
            verbose=False,
            index=1,
            total=1,
            _stop=StopToken(),
            _make_log=self._log,
        )

    def _migration_context(self) -> RunDataMigrationContext:
        return RunDataMigrationContext(
            dry_run=False,
            verbose=False,
            log=self._log(),
            workspace=self.workspace,
            _stop=StopToken(),
            _open=self._savepoint,
            _workspaces=lambda: iter(self.workspaces),
            _backfills=self._backfills(),
        )

    def _backfills(self) -> Backfills:
        scope = Scope(self.workspace.id if self.workspace else None)
        walks = WalkParts(
            step=self.step,
            scope=scope,
            checksum=self.step.checksum,
            ground=TrialGround(self.connection),
            checkpoints=NoCheckpoints(),
            emit=ignore_events,
            wait=StopToken().wait,
        )
        return Backfills(walks, make_pacer=lambda most: FixedPacer(most or 1_000), make_governor=OpenGovernor)

    @contextmanager
    def _savepoint(self) -> Iterator[Connection]:
        with self.connection.begin_nested():
            yield self.connection

    def _log(self) -> logging.Logger:
        return logging.getLogger(f"upgrader.command.{self.step.name}")


__all__ = ["InMemoryHistoryStore", "RecordingSink", "run_command"]
