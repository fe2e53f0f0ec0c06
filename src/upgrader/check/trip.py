"""One step taken back and done again, with a look at the catalog after each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

from sqlalchemy import Connection

from upgrader.backfill.backfills import Backfills
from upgrader.backfill.outside import offering
from upgrader.check.catalog.objects import Catalog
from upgrader.command import SlowInstanceCommand
from upgrader.database.guard import EARLIER_ATTEMPTS, StatementObserver, enter_guard, leave_guard
from upgrader.database.step_transaction import StepTransaction
from upgrader.errors import IrreversibleError
from upgrader.model import Direction
from upgrader.runner.author import call_author, method_of
from upgrader.runner.backfilling import trial_backfills
from upgrader.runner.contexts import RunDataMigrationContext, RunWorkspaceContext, author_log
from upgrader.runner.data_migration import finishing
from upgrader.runner.search_path import search_path_of
from upgrader.runner.step_parts import StepParts
from upgrader.runner.step_task import StepTask
from upgrader.runner.stop import HardStop
from upgrader.workspaces import WorkspaceListing


class TripError(Exception):
    """One of the two ways failed.

    Attributes:
        cause: what was raised.
        is_down: whether it was the way down.
    """

    def __init__(self, cause: BaseException, *, is_down: bool) -> None:
        self.cause, self.is_down = cause, is_down
        super().__init__(str(cause))


class _Irreversible(Exception):  # noqa: N818 - not an error: the command says so on purpose
    """The command says that it cannot be taken back."""


class Trip:
    """Takes a completed step back and does it again.

    Everything is rolled back where the step is transactional; a data migration runs in the same transaction then,
    and is told that it is a dry run. Else everything is kept.
    """

    def __init__(
        self, parts: StepParts, task: StepTask, workspaces: WorkspaceListing, read: Callable[[], Catalog]
    ) -> None:
        """Begin nothing yet.

        Args:
            read: reads the catalog on the session of `parts`.
        """
        self._parts = parts
        self._task = task
        self._workspaces = workspaces
        self._read = read
        self._session = parts.session
        self._transaction: StepTransaction | None = None

    def catalogs(self) -> Iterator[Catalog]:
        """Give the catalog after the way down, then that after the way up; nothing where there is no way down.

        Raises:
            TripError: a way failed.
        """
        try:
            for is_down in (True, False):
                yield self._go(is_down=is_down)
        except _Irreversible:
            return

    def close(self) -> None:
        """Roll back what is open; never raises."""
        if self._transaction is not None:
            self._transaction.rollback()
            self._session.replace()
            self._transaction = None

    def _go(self, *, is_down: bool) -> Catalog:
        try:
            if self._task.step.transactional:
                self._in_transaction(is_down=is_down)
            else:
                self._in_autocommit(is_down=is_down)
        except (HardStop, KeyboardInterrupt):
            raise
        except BaseException as error:
            if not self._task.step.transactional:
                self._session.replace()
            if is_down and isinstance(error, IrreversibleError):
                raise _Irreversible from error
            raise TripError(error, is_down=is_down) from error
        return self._read()

    def _in_transaction(self, *, is_down: bool) -> None:
        if self._transaction is None:
            self._transaction = self._session.begin(settings=self._settings())
        transaction = self._transaction
        enter_guard(transaction.connection, self._observer(is_down=is_down))
        try:
            self._call(transaction.connection, is_down=is_down)
        finally:
            leave_guard(transaction.connection)
        transaction.check()
        # What a commit would check; and ALTER TABLE does not go with checks that are still to come.
        self._session.driver.execute("set constraints all immediate; set constraints all deferred")

    def _in_autocommit(self, *, is_down: bool) -> None:
        connection = self._session.begin_autocommit(
            settings=self._settings(), observer=self._observer(is_down=is_down)
        )
        connection.info[EARLIER_ATTEMPTS] = 0
        backfills = self._backfills(connection)
        with offering(connection, backfills), finishing(backfills):
            self._call(connection, is_down=is_down)
        self._session.end_autocommit()

    def _observer(self, *, is_down: bool) -> StatementObserver | None:
        """Give what is told of the statements of the way down; those of the way up are known by now."""
        if not is_down:
            return None
        return self._parts.observer_of(self._task.step, self._task.scope, Direction.DOWN)

    def _call(self, connection: Connection, *, is_down: bool) -> None:
        command = self._parts.commands.create(self._task.step.name)
        if not is_down and self._task.step.has_data_migration:
            self._migrate_data(command, connection)
        method = method_of(command, self._task.step, Direction.DOWN if is_down else Direction.UP)
        call_author(method, connection if self._task.workspace is None else self._context(connection))

    def _context(self, connection: Connection) -> RunWorkspaceContext:
        task, parts = self._task, self._parts
        assert task.workspace is not None
        return RunWorkspaceContext(
            workspace=task.workspace,
            connection=connection,
            dry_run=False,
            verbose=parts.verbose,
            index=task.index,
            total=task.total,
            _stop=parts.stop,
            _make_log=lambda: author_log(parts.emit, task.scope, task.step.name),
        )

    def _migrate_data(self, command: object, connection: Connection) -> None:
        @contextmanager
        def own_transaction() -> Iterator[Connection]:
            with connection.begin_nested() if connection.in_transaction() else connection.begin():
                yield connection

        parts, task = self._parts, self._task
        context = RunDataMigrationContext(
            dry_run=True,
            verbose=parts.verbose,
            log=author_log(parts.emit, task.scope, task.step.name),
            workspace=task.workspace,
            _stop=parts.stop,
            _open=own_transaction,
            _workspaces=lambda: iter(self._workspaces.in_scope),
            _backfills=self._backfills(connection),
        )
        with finishing(context._backfills):
            call_author(cast("SlowInstanceCommand", command).run_data_migration, context)

    def _backfills(self, connection: Connection) -> Backfills:
        return trial_backfills(self._parts, self._task.step, self._task.scope, connection, most_rows=0)

    def _settings(self) -> dict[str, str]:
        return search_path_of(self._task.workspace, self._parts.settings.search_path_extra)
