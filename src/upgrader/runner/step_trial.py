"""One step in a dry run: called as in a run, in savepoints of the transaction that is rolled back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import cast

from sqlalchemy import Connection

from upgrader.backfill.backfills import Backfills
from upgrader.backfill.outside import offering
from upgrader.command import SlowInstanceCommand
from upgrader.database.connect import identifier
from upgrader.database.not_null import PROVER, Nullable, proof, refuse_nulls
from upgrader.database.trial import Trial
from upgrader.errors import StepError
from upgrader.history.layout import check_block
from upgrader.model import Direction, Scope, Step, Workspace
from upgrader.runner.author import call_author, method_of
from upgrader.runner.backfilling import trial_backfills
from upgrader.runner.contexts import RunDataMigrationContext, RunWorkspaceContext, author_log
from upgrader.runner.data_migration import finishing
from upgrader.runner.excuses import Excuses
from upgrader.runner.options import DowngradeOptions, UpgradeOptions
from upgrader.runner.timeouts import timeouts_of
from upgrader.runner.upgrade import RunParts

SCHEMA_MISSING = "schema missing"
"""Stands for the status of a workspace whose schema cannot be used: its first step tells."""


class StepTrial:
    """Tries steps in the transaction of a dry run."""

    def __init__(
        self,
        parts: RunParts,
        options: UpgradeOptions | DowngradeOptions,
        direction: Direction,
        *,
        trial: Trial,
        excuses: Excuses,
        workspaces: Sequence[Workspace],
    ) -> None:
        """Take the parts; nothing is tried yet.

        Args:
            excuses: told of backfills that are tried on a sample.
            workspaces: what a data migration finds in `ctx.workspaces()`.
        """
        self._parts = parts
        self._options = options
        self._direction = direction
        self._trial = trial
        self._excuses = excuses
        self._workspaces = workspaces

    def run(self, step: Step, workspace: Workspace | None, index: int, total: int) -> None:
        """Run the step, or take it back, as far as that can be undone.

        Raises:
            StepError: the workspace has no schema, or the command left its transaction otherwise than it was.
        """
        parts = self._parts
        if workspace is not None and workspace.status == SCHEMA_MISSING and workspace.schema is None:
            raise StepError(
                "the schema of this workspace does not exist, or this role may not use it",
                hint="restore it, correct the workspace's row, or GRANT USAGE ON SCHEMA to the role",
            )
        settings = timeouts_of(step, parts.settings).transactional
        if workspace is not None and workspace.schema is not None:
            schemas = (workspace.schema, *parts.settings.search_path_extra)
            settings["search_path"] = ", ".join(identifier(schema) for schema in schemas)
        command = parts.steps.parts.commands.create(step.name)
        scope = Scope(workspace.id if workspace else None)
        direction = self._direction
        observer = parts.steps.parts.observer_of(step, scope, direction)
        if step.has_data_migration and direction is Direction.UP:
            with (
                parts.steps.parts.logging_of(step, scope),
                self._trial.step(settings, observer, check_block(parts.settings.schema)) as connection,
            ):
                self._migrate_data(command, step, workspace, connection)
        with self._trial.step(settings, observer, check_block(parts.settings.schema)) as connection:
            context = (
                self._workspace_context(step, workspace, connection, index, total)
                if workspace
                else connection
            )
            may_skip = workspace is not None and direction is Direction.UP
            connection.info[PROVER] = self._prove
            with parts.steps.parts.logging_of(step, scope), self._outside(step, scope, connection):
                call_author(method_of(command, step, direction), context, skips=may_skip)

    @contextmanager
    def _outside(self, step: Step, scope: Scope, connection: Connection) -> Iterator[None]:
        """Let a command that runs outside a transaction (it is tried where a script is made) have its backfills."""
        if step.transactional:
            yield
            return
        backfills = self._trial_backfills(step, scope, connection)
        with offering(connection, backfills), finishing(backfills):
            yield

    def _prove(self, connection: Connection, found: Nullable) -> None:
        """Look for what would make the proof of a NOT NULL fail; the scan under a lock is not for a dry run."""
        refuse_nulls(connection, found)
        driver = self._parts.steps.session.driver
        with driver.transaction(force_rollback=True):
            for statement in islice(proof(found), 1):
                driver.execute(statement.encode())

    def _workspace_context(
        self, step: Step, workspace: Workspace, connection: Connection, index: int, total: int
    ) -> RunWorkspaceContext:
        parts = self._parts
        return RunWorkspaceContext(
            workspace=workspace,
            connection=connection,
            dry_run=True,
            verbose=self._options.verbose,
            index=index,
            total=total,
            _stop=parts.stop,
            _make_log=lambda: author_log(parts.emit, Scope(workspace.id), step.name),
        )

    def _migrate_data(
        self, command: object, step: Step, workspace: Workspace | None, connection: Connection
    ) -> None:
        @contextmanager
        def own_transaction() -> Iterator[Connection]:
            with connection.begin_nested():
                yield connection

        parts = self._parts
        scope = Scope(workspace.id if workspace else None)
        backfills = self._trial_backfills(step, scope, connection)
        context = RunDataMigrationContext(
            dry_run=True,
            verbose=self._options.verbose,
            log=author_log(parts.emit, scope, step.name),
            workspace=workspace,
            _stop=parts.stop,
            _open=own_transaction,
            _workspaces=lambda: iter(self._workspaces),
            _backfills=backfills,
        )
        migrate = cast("SlowInstanceCommand", command).run_data_migration
        with finishing(backfills):
            call_author(migrate, context, skips=workspace is not None)
        self._excuses.note_samples(step, backfills.samples)

    def _trial_backfills(self, step: Step, scope: Scope, connection: Connection) -> Backfills:
        """Give what tries backfills, on a sample of their rows."""
        options = self._options
        sample = options.backfill.dry_run_rows if isinstance(options, UpgradeOptions) else 0
        return trial_backfills(self._parts.steps.parts, step, scope, connection, most_rows=sample)
