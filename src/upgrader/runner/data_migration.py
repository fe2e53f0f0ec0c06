"""`run_data_migration` of one attempt: the transactions that it opens by itself, and its backfills."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, cast

from sqlalchemy import Connection

from upgrader.backfill.backfills import Backfills
from upgrader.backfill.control import BackfillStopped
from upgrader.command import SlowInstanceCommand
from upgrader.database.leftovers import guarded
from upgrader.database.step_transaction import StepTransaction
from upgrader.errors import StepError
from upgrader.model import Scope, Step, Workspace
from upgrader.runner.author import call_author
from upgrader.runner.contexts import RunDataMigrationContext, author_log
from upgrader.runner.step_parts import StepParts
from upgrader.runner.stop import Interrupted


class AttemptTransactions(Protocol):
    """What an attempt at a step gives its data migration."""

    def begin(self, settings: Mapping[str, str]) -> StepTransaction:
        """Begin a transaction in the step's scope."""

    def begin_watch(self, lock_seconds: float) -> None:
        """Let somebody look at what the session waits for."""

    def end_watch(self) -> None:
        """Let nobody look any longer."""

    def give_up(self, transaction: StepTransaction, error: BaseException) -> None:
        """Roll back, and drop the connection."""


class DataMigration:
    """The data migration of one attempt."""

    def __init__(
        self,
        parts: StepParts,
        step: Step,
        scope: Scope,
        *,
        transactions: AttemptTransactions,
    ) -> None:
        """Begin nothing yet."""
        self._parts, self._step, self._scope = parts, step, scope
        self._transactions = transactions
        self._timeouts = parts.timeouts_of(step)

    def run(self, command: object, workspace: Workspace | None, backfills: Backfills) -> object:
        """Call the author's code; give the command with which it came to its end.

        It is called again, with a fresh command, where a batch of a loop of its own met a passing trouble.

        Raises:
            Interrupted: it was told to stop before it was done.
        """
        while True:
            context = self._context(workspace, backfills)
            migrate = cast("SlowInstanceCommand", command).run_data_migration
            try:
                call_author(migrate, context, skips=workspace is not None)
            except Exception as error:
                if not _is_to_be_repeated(backfills, error):
                    raise
                command = self._parts.commands.create(self._step.name)
                continue
            except BaseException:
                backfills.close()
                raise
            _end(backfills, stop_was_seen=context.stop_was_seen)
            return command

    def _context(self, workspace: Workspace | None, backfills: Backfills) -> RunDataMigrationContext:
        return RunDataMigrationContext(
            dry_run=False,
            verbose=self._parts.verbose,
            log=author_log(self._parts.emit, self._scope, self._step.name),
            workspace=workspace,
            _stop=self._parts.stop,
            _open=self._own_transaction,
            _workspaces=self._list_workspaces,
            _backfills=backfills,
        )

    def _own_transaction(self) -> AbstractContextManager[Connection]:
        return self._transaction(
            self._timeouts.migration, self._timeouts.migration_lock_seconds, lambda: None
        )

    def batch_transaction(self, final: Callable[[], str]) -> AbstractContextManager[Connection]:
        """Open the transaction of a batch: unlike the author's own ones it always has a lock timeout."""
        return self._transaction(self._timeouts.transactional, self._timeouts.lock_seconds, final)

    @contextmanager
    def _transaction(
        self, settings: Mapping[str, str], lock_seconds: float, final: Callable[[], str | None]
    ) -> Iterator[Connection]:
        if self._parts.session.connection.in_transaction():
            raise StepError(
                "ctx.transaction() was opened inside another one",
                hint="end the first block before the next; one transaction at a time: ctx.backfill() takes its own,"
                " and a loop over ctx.batches() is inside one",
            )
        self._parts.check_lock()  # a backfill that takes hours is not to outlive the run for as long
        transaction = self._transactions.begin(settings)
        self._transactions.begin_watch(lock_seconds)
        try:
            yield transaction.connection
            check, last = self._parts.store.check(transaction.token, self._scope), final()
            transaction.commit(f"{check}; {last}" if last else check)
        except BaseException as error:
            self._transactions.give_up(transaction, error)
            raise guarded(error) from error
        finally:
            self._transactions.end_watch()

    def _list_workspaces(self) -> Iterator[Workspace]:
        if self._parts.session.connection.in_transaction():
            raise StepError(
                "ctx.workspaces() was called inside ctx.transaction()", hint="list them before the block"
            )
        yield from self._parts.source.listing(self._parts.session).in_scope


@contextmanager
def finishing(backfills: Backfills) -> Iterator[None]:
    """Call the author's code in the block, outside a transaction; see to it that its backfills come to an end.

    Raises:
        Interrupted: it was told to stop before it was done.
        StepError: a loop over batches was left early.
    """
    try:
        yield
    except Exception as error:
        stopped = backfills.stopped
        backfills.close(error)
        if stopped is not None:
            raise Interrupted(stopped.reason) from error
        raise
    except BaseException:
        backfills.close()
        raise
    _end(backfills)


def _is_to_be_repeated(backfills: Backfills, error: Exception) -> bool:
    try:
        if backfills.stopped is None:
            return backfills.give_up(error)
    except BackfillStopped as stopped:
        raise Interrupted(stopped.reason) from error
    raise Interrupted(backfills.stopped.reason) from error


def _end(backfills: Backfills, *, stop_was_seen: bool = False) -> None:
    stopped = backfills.stopped
    if stopped is not None or stop_was_seen:
        backfills.close()
        raise Interrupted(stopped.reason if stopped is not None else None)
    backfills.end()
