"""One attempt at a step: its transactions and their retries, up to the record that it is completed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property

from sqlalchemy import Connection

from upgrader.backfill.backfills import Backfills
from upgrader.backfill.outside import offering
from upgrader.database.failures import LOCK_TIMEOUT, is_connection_lost, repeatable_reason
from upgrader.database.guard import EARLIER_ATTEMPTS, FOREIGN_INDEXES
from upgrader.database.index_progress import invalid_indexes
from upgrader.database.leftovers import Traces, check_left_behind, guarded, noting
from upgrader.database.not_null import ProofNeeded
from upgrader.database.step_transaction import StepTransaction
from upgrader.errors import ConnectionLostError, StepError
from upgrader.events import StepRetried
from upgrader.history.sql_store import is_forgotten
from upgrader.model import Attempt, AttemptStatus, Direction
from upgrader.runner.author import call_author, method_of
from upgrader.runner.backfilling import OutsideTransactions, OwnTransactions, run_backfills
from upgrader.runner.contexts import RunWorkspaceContext, author_log
from upgrader.runner.data_migration import DataMigration, finishing
from upgrader.runner.explanation import explain, translate_time_error
from upgrader.runner.index_check import IndexCheck, foreign_indexes
from upgrader.runner.lock_watch import WatchedStep
from upgrader.runner.not_null_proofs import NotNullProofs
from upgrader.runner.scope_transactions import ScopeTransactions
from upgrader.runner.step_parts import StepParts
from upgrader.runner.step_task import DoneElsewhere, LeftOut, StepTask
from upgrader.runner.stop import HardStop, Interrupted


class Execution:
    """One attempt on its way."""

    def __init__(self, parts: StepParts, task: StepTask, attempt: int) -> None:
        """Begin nothing yet.

        Args:
            attempt: its number, from 1.
        """
        self._parts = parts
        self._task = task
        self._number = attempt
        self._session = parts.session
        self._store = parts.store
        self._settings = parts.settings
        self._command: object = None
        self._transactions, task.prepared = task.prepared or ScopeTransactions(parts, task), None
        self._has_running_row = False
        may_be_done = task.workspace is not None and (parts.rereads_state or task.is_resumed)
        self._rereads_state = may_be_done and not parts.repeats
        self._started_at = datetime.now(UTC)
        self._timeouts = parts.timeouts_of(task.step)
        self.watched = WatchedStep(
            task.step,
            task.scope,
            self._timeouts.lock_seconds,
            concurrent_wait_seconds=self._timeouts.concurrent_wait_seconds,
            is_transactional=task.step.transactional,
        )
        self.tries = 1
        self.paused_seconds = 0.0

    @cached_property
    def _attempt(self) -> Attempt:
        task, step = self._task, self._task.step
        return Attempt(
            name=step.name,
            kind=step.kind.value,
            version=step.version.text,
            scope=task.scope,
            status=AttemptStatus.RUNNING,
            attempt=self._number,
            executed_by_version=self._settings.app_version.text,
            checksum=step.checksum,
            direction=task.direction,
            life=task.life,
        )

    @cached_property
    def _migration(self) -> DataMigration:
        return DataMigration(self._parts, self._task.step, self._task.scope, transactions=self)

    @cached_property
    def _backfills(self) -> Backfills:
        task, migration = self._task, self._migration
        ground = OwnTransactions(self._session, migration.batch_transaction)
        return run_backfills(
            self._parts, task.step, task.scope, task.direction, ground=ground, tell_retry=self._tell_retry
        )

    def run(self) -> None:
        """Run the step, or take it back; returning means that this is done and recorded."""
        try:
            with self._parts.logging_of(self._task.step, self._task.scope):
                self._run()
        except Exception as error:
            translated = translate_time_error(error, self.watched, self._timeouts)
            if translated is not None:
                raise translated from error
            raise

    def explain(self, error: BaseException) -> None:
        """Add to a failure what the attempt knows of its waits."""
        explain(error, self.watched, self._timeouts, tries=self.tries, paused_seconds=self.paused_seconds)

    def _run(self) -> None:
        step = self._task.step
        self._command = self._parts.commands.create(step.name)  # an author's constructor may fail
        if step.transactional and not self._task.migrates_data:
            self._in_transaction()
            return
        with self._transactions.lock.held():
            self._transactions.look_again()
            self._look_whether_done()
            self._backfills.check(self._parts.backfill.resumption)
            if not self._store.start(self._attempt):
                raise LeftOut
            self._has_running_row = True
            if self._task.migrates_data:
                self._command = self._migration.run(
                    self._command, self._transactions.workspace, self._backfills
                )
                self.tries, self.paused_seconds = 1, 0.0
            if step.transactional:
                self._in_transaction()
            else:
                self._in_autocommit()

    def _look_whether_done(self, transaction: StepTransaction | None = None) -> None:
        """Read the step's state again, under the lock of the workspace.

        It is not read in the transaction: that may see the database as it was before it had the lock.

        Raises:
            DoneElsewhere: nothing is left to do.
        """
        if not self._rereads_state or self._has_running_row:
            return
        task = self._task
        try:
            if self._store.latest_status(task.step.name, task.scope) is task.direction.done:
                raise DoneElsewhere
        except BaseException:
            if transaction is not None:
                transaction.rollback()
            raise

    def record(self, status: AttemptStatus, text: str | None) -> None:
        """Commit an outcome; on the way down one that left nothing behind leaves the step as it was.

        Raises:
            ConnectionLostError: it cannot be written; the next run finds the attempt unfinished.
        """
        attempt = replace(
            self._attempt,
            status=status,
            error_message=text,
            started_at=self._started_at,
            changes_state=self._has_running_row or self._task.direction is Direction.UP,
        )
        self._store.finish(attempt, is_running=self._has_running_row)

    def record_interruption(self) -> None:
        """Write down that a second signal ended the attempt, if that is still possible."""
        # The program is leaving; if this fails, a later run turns a running row into interrupted.
        with suppress(Exception):
            self.record(AttemptStatus.INTERRUPTED, "ended by a second signal")

    def record_loss(self) -> None:
        """Write down that an attempt that shows already came to nothing: there is no connection for it."""
        if self._has_running_row:
            with suppress(Exception):  # a later run does it else
                self.record(AttemptStatus.INTERRUPTED, "its connection could not be opened again")

    def _in_transaction(self) -> None:
        """Run the step's transaction; what has to be proven of a table before it is, and it is begun anew."""
        proofs = NotNullProofs(self._repeat, self._short_transaction)
        try:
            while True:
                try:
                    self._repeat(self._one_transaction)
                    return
                except ProofNeeded as needed:
                    proofs.give(needed)
                self._command = self._parts.commands.create(self._task.step.name)
        except Exception as error:
            proofs.withdraw_after(error)
            raise

    def _repeat(self, transaction: Callable[[], None]) -> None:
        """Call what is one transaction, and again after a lock timeout, deadlock or serialization failure."""
        policy, watched = self._settings.retry, self.watched
        while True:
            self.begin_watch(self._timeouts.lock_seconds)
            try:
                transaction()
                return
            except Exception as error:
                reason = repeatable_reason(error)
                if reason == LOCK_TIMEOUT:
                    watched.note_timeout()
                if (
                    reason is None
                    or self.tries >= self._timeouts.tries
                    or isinstance(error, ConnectionLostError)
                ):
                    raise
                pause = policy.pause_seconds(self.tries)
            finally:
                self.end_watch()
            self._emit_retry(self.tries, reason, pause)
            if self._parts.stop.wait(pause):
                raise Interrupted
            self.paused_seconds += pause
            self.tries += 1
            self._command = self._parts.commands.create(self._task.step.name)

    def _one_transaction(self) -> None:
        transaction = self.begin(self._timeouts.transactional)
        traces = Traces()
        self._look_whether_done(transaction)
        try:
            transaction.connection.info[EARLIER_ATTEMPTS] = self._number - 1
            with noting(transaction.connection, traces):
                self._call(transaction.connection)
            completion = self._completion(transaction.token, traces)
            transaction.commit(completion, following=self._following())
        except BaseException as error:
            self.give_up(transaction, error)
            if is_forgotten(error):
                raise LeftOut from error
            raise guarded(self._transactions.translated(error)) from error

    def _completion(self, token: str, traces: Traces) -> str:
        task = self._task
        completion = self._store.completion(
            task.step,
            task.scope,
            token,
            attempt=self._number,
            executed_by=self._settings.app_version.text,
            direction=task.direction,
            life=task.life,
            is_running=self._has_running_row,
            traces=traces,
        )
        return completion if traces.names_schemas else completion + self._transactions.schema_check

    def _following(self) -> str:
        """Give how the next step on this session begins, where it does so with a transaction; else nothing."""
        upcoming = self._task.then() if self._task.then is not None else None
        if upcoming is None or not upcoming.step.transactional or upcoming.migrates_data:
            return ""
        if upcoming.prepared is None:
            upcoming.prepared = ScopeTransactions(self._parts, upcoming)
        try:
            return upcoming.prepared.prepare(self._parts.timeouts_of(upcoming.step).transactional)
        except StepError:  # it is told when it is that step's turn
            return ""

    def _short_transaction(self, work: Callable[[Connection], None]) -> None:
        """Do something for the step in a transaction of its own."""
        transaction = self.begin(self._timeouts.transactional)
        try:
            work(transaction.connection)
            transaction.commit(self._check(transaction.token))
        except BaseException as error:
            self.give_up(transaction, error)
            raise guarded(error) from error

    def _check(self, token: str) -> str:
        return self._store.check(token, self._task.scope)

    def begin_watch(self, lock_seconds: float) -> None:
        """Let somebody look at what this session waits for, until the watch of it is ended."""
        self.watched.lock_seconds = lock_seconds
        self.watched.is_told = not lock_seconds or not self._task.step.transactional
        self._session.open()
        self._parts.watch.begin(self.watched, self._session.backend_pid)

    def end_watch(self) -> None:
        """Let nobody look any longer."""
        self._parts.watch.end(self.watched)

    def _tell_retry(self, tries: int, reason: str, pause_seconds: float) -> None:
        """Tell of a batch that is to be tried again."""
        if reason == LOCK_TIMEOUT:
            self.watched.note_timeout()
        self.tries, self.paused_seconds = tries + 1, self.paused_seconds + pause_seconds
        self._emit_retry(tries, reason, pause_seconds)

    def _emit_retry(self, tries: int, reason: str, pause_seconds: float) -> None:
        watched = self.watched
        self._parts.emit(
            StepRetried(
                self._task.step,
                self._task.scope,
                tries,
                reason,
                pause_seconds,
                watched.blockers,
                watched.waited_seconds,
            )
        )

    def begin(self, settings: Mapping[str, str]) -> StepTransaction:
        """Begin a transaction in the step's scope, under the workspace's lock; the first one looks at it again.

        Raises:
            WorkspaceBusy: somebody else has the lock.
        """
        return self._transactions.begin(settings)

    def _call(self, connection: Connection) -> None:
        task, parts = self._task, self._parts
        method = method_of(self._command, task.step, task.direction)
        workspace = self._transactions.workspace
        if workspace is None:
            call_author(method, connection)
            return
        context = RunWorkspaceContext(
            workspace=workspace,
            connection=connection,
            dry_run=False,
            verbose=parts.verbose,
            index=task.index,
            total=task.total,
            _stop=parts.stop,
            _make_log=lambda: author_log(parts.emit, task.scope, task.step.name),
        )
        call_author(method, context, skips=task.direction is Direction.UP)

    def _in_autocommit(self) -> None:
        session = self._session
        indexes = IndexCheck(
            session, invalid_indexes(session.driver), self._transactions.workspace, self._parts.source
        )
        connection = session.begin_autocommit(
            settings={**self._transactions.search_path(), **self._timeouts.autocommit},
            observer=self._parts.observer_of(self._task.step, self._task.scope, self._task.direction),
        )
        connection.info[EARLIER_ATTEMPTS] = self._number - 1
        connection.info[FOREIGN_INDEXES] = foreign_indexes(self._store, self._attempt, indexes.before)
        driver = session.driver
        self.begin_watch(self._timeouts.lock_seconds)
        self._backfills.work_on(self._outside(connection))
        try:
            with offering(connection, self._backfills), finishing(self._backfills):
                self._call(connection)
            self._parts.watch.end(self.watched)
            session.end_autocommit()
            check_left_behind(session, own_locks=2 if self._transactions.lock.is_held else 1)
            indexes.check()
        except BaseException as error:
            self._parts.watch.end(self.watched)
            lost = is_connection_lost(driver)
            session.replace()
            if lost and not isinstance(error, HardStop):
                raise ConnectionLostError(f"the connection was lost: {error}") from error
            if isinstance(error, Exception):
                indexes.note(error)
            raise
        self.record(self._task.direction.done, None)

    def _outside(self, connection: Connection) -> OutsideTransactions:
        """Give where batches run beside statements in autocommit: under a lock timeout, unlike those."""

        @contextmanager
        def watching() -> Iterator[None]:
            self._parts.check_lock()
            self.watched.is_transactional = True
            try:
                yield
            finally:
                self.watched.is_transactional = False

        return OutsideTransactions(
            connection, self._timeouts.transactional, check=self._check, watching=watching
        )

    def give_up(self, transaction: StepTransaction, error: BaseException) -> None:
        """Roll back and drop the connection, so that nothing of a failed step is inherited."""
        driver = self._session.driver
        lost = is_connection_lost(driver)
        transaction.rollback()
        self._session.replace()
        if lost and not isinstance(error, (HardStop, ConnectionLostError)):
            raise ConnectionLostError(
                f"the server ended the connection while {self._task.step.name} ran"
            ) from error
