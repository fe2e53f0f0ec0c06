"""Runs one step in one scope: its transactions, its record, its retries."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol, cast

import psycopg
from sqlalchemy import Connection

from upgrader.command import SlowInstanceCommand, WorkspaceCommand
from upgrader.database.connect import identifier, literal
from upgrader.database.failures import (
    database_error,
    describe_failure,
    is_connection_lost,
    is_terminated,
    needs_missing_extension,
    repeatable_reason,
)
from upgrader.database.guard import EARLIER_ATTEMPTS, NOTE, StatementObserver
from upgrader.database.session import CommandSession, StepTransaction
from upgrader.errors import ConnectionLostError, GuardError, RunSupersededError, StepError
from upgrader.events import EventSink, StatementExecuted, StepFinished, StepRetried, StepStarted
from upgrader.history.layout import ENDED, LOCK_LEFT, TEMPORARY_LEFT
from upgrader.history.sql_store import SqlHistoryStore
from upgrader.model import Attempt, AttemptStatus, Scope, Step, Workspace
from upgrader.runner.author import call_author
from upgrader.runner.contexts import RunDataMigrationContext, RunWorkspaceContext, author_log
from upgrader.runner.options import RunSettings
from upgrader.runner.result import StepResult
from upgrader.runner.stop import HardStop, StopToken
from upgrader.workspaces import WorkspaceSource

_NO_LOCK_TIMEOUT = "0"
_GUARD_HINTS = {
    ENDED: "let the runner end the transaction; begin_nested() gives a savepoint that may be rolled back",
    TEMPORARY_LEFT: "create it with ON COMMIT DROP, or drop it at the end of the command",
    LOCK_LEFT: "use pg_advisory_xact_lock(): it ends with the transaction",
}


class LeftOut(Exception):  # noqa: N818 - not an error: the workspace went away since it was listed
    """The workspace is gone, or out of scope."""


class _Interrupted(Exception):  # noqa: N818 - not an error: the operator asked
    """The step stopped because the run was asked to."""


class CommandFactory(Protocol):
    """Makes fresh instances of commands; the registry is one."""

    def create(self, step_name: str) -> object:
        """Make the command of a step."""


@dataclass(frozen=True, slots=True)
class StepTask:
    """One step to run in one scope.

    Attributes:
        workspace: None for an instance step.
        tried: whether there is an earlier attempt.
        is_first: whether it is the first step in this workspace in this segment: the workspace is looked at
            again right before it.
    """

    step: Step
    workspace: Workspace | None = None
    index: int = 0
    total: int = 0
    tried: bool = False
    is_first: bool = False

    @property
    def scope(self) -> Scope:
        """Where it runs."""
        return Scope(self.workspace.id if self.workspace else None)


class StepRunner:
    """Runs steps on one session."""

    def __init__(
        self,
        *,
        session: CommandSession,
        store: SqlHistoryStore,
        commands: CommandFactory,
        source: WorkspaceSource,
        settings: RunSettings,
        emit: EventSink,
        stop: StopToken,
        redact: Callable[[str], str],
        verbose: bool = False,
    ) -> None:
        """Take the parts; nothing is opened yet."""
        self.session = session
        self._store = store
        self._commands = commands
        self._source = source
        self._settings = settings
        self._emit = emit
        self._stop = stop
        self._redact = redact
        self._verbose = verbose

    def run(self, task: StepTask) -> StepResult:
        """Run a step to its end and record what became of it.

        Raises:
            LeftOut: the workspace went away; nothing ran.
            ConnectionLostError: the server ended the connection; what was in progress is rolled back, or was
                committed just before: the next run knows.
            HardStop: a second signal came.
        """
        attempt = self._attempt(task)
        self._emit(StepStarted(task.step, task.scope, attempt.attempt))
        execution = _Execution(self, task, attempt)
        started = time.perf_counter()
        status, text = AttemptStatus.COMPLETED, None
        try:
            execution.run()
        except (LeftOut, ConnectionLostError, RunSupersededError):
            raise
        except HardStop:
            execution.record_interruption()
            raise
        except _Interrupted:
            status, text = AttemptStatus.INTERRUPTED, "the run was asked to stop"
        except BaseException as error:
            if self.session.is_lost:
                raise ConnectionLostError(
                    f"the server ended the connection while {task.step.name} ran"
                ) from error
            # An author's command may raise anything, SystemExit too: it is a failed step, not the end of the run.
            status, text = AttemptStatus.FAILED, self.failure_text(error)
        if status is not AttemptStatus.COMPLETED:
            execution.record(status, text)
        seconds = time.perf_counter() - started
        result = StepResult(task.step, task.scope, attempt.attempt, status, seconds, execution.tries, text)
        self._emit(StepFinished(task.step, task.scope, attempt.attempt, status, seconds, text))
        return result

    def _attempt(self, task: StepTask) -> Attempt:
        number = self._store.last_attempt(task.step.name, task.scope) + 1 if task.tried else 1
        return Attempt(
            name=task.step.name,
            kind=task.step.kind.value,
            version=task.step.version.text,
            scope=task.scope,
            status=AttemptStatus.RUNNING,
            attempt=number,
            executed_by_version=self._settings.app_version.text,
            checksum=task.step.checksum,
        )

    def create(self, step_name: str) -> object:
        """Make a fresh command."""
        return self._commands.create(step_name)

    def failure_text(self, error: BaseException) -> str:
        """Tell a failure as the history keeps it: redacted and cut."""
        text = describe_failure(error)
        if isinstance(error, StepError) and error.hint:
            text += f"\nhint: {error.hint}"
        if self._settings.is_embedded and needs_missing_extension(error):
            text += (
                "\nhint: the embedded server has no contrib extensions; use a PostgreSQL server of your own:"
                " --database-url postgresql://user@host/database"
            )
        return self._redact(text)

    def observer_of(self, step: Step, scope: Scope) -> StatementObserver | None:
        """Give what is told of each statement of a verbose run."""
        if not self._verbose:
            return None

        def observe(statement: str, parameters: Any, seconds: float, row_count: int) -> None:
            self._emit(StatementExecuted(scope, step.name, statement, parameters, seconds, row_count))

        return observe


class _Execution:
    """One attempt on its way."""

    def __init__(self, runner: StepRunner, task: StepTask, attempt: Attempt) -> None:
        self._runner = runner
        self._task = task
        self._attempt = attempt
        self._session = runner.session
        self._store = runner._store
        self._settings = runner._settings
        self._command: object = None
        self._workspace = task.workspace
        self._probe_is_due = task.is_first and task.workspace is not None
        self._has_running_row = False
        self._started_at = datetime.now(UTC)
        self.tries = 1

    def run(self) -> None:
        """Run the step; returning means that it is completed and recorded as such."""
        step = self._task.step
        self._command = self._runner.create(step.name)  # an author's constructor may fail
        if not step.transactional or step.has_data_migration:
            self._look_again()
            self._store.start(self._attempt)
            self._has_running_row = True
        if step.has_data_migration:
            self._migrate_data()
        if step.transactional:
            self._in_transaction()
        else:
            self._in_autocommit()

    def record(self, status: AttemptStatus, text: str | None) -> None:
        """Commit an outcome other than completed.

        Raises:
            ConnectionLostError: it cannot be written; the next run finds the attempt unfinished.
        """
        attempt = replace(self._attempt, status=status, error_message=text, started_at=self._started_at)
        self._store.finish(attempt, is_running=self._has_running_row)

    def record_interruption(self) -> None:
        """Write down that a second signal ended the attempt, if that is still possible."""
        # The program is leaving; if this fails, a later run turns a running row into interrupted.
        with suppress(Exception):
            self.record(AttemptStatus.INTERRUPTED, "ended by a second signal")

    def _in_transaction(self) -> None:
        policy = self._settings.retry
        while True:
            try:
                self._one_transaction()
                return
            except Exception as error:
                reason = repeatable_reason(error)
                if reason is None or self.tries >= policy.tries or isinstance(error, ConnectionLostError):
                    raise
                pause = policy.pause_seconds(self.tries)
            self._runner._emit(StepRetried(self._task.step, self._task.scope, self.tries, reason, pause))
            if self._runner._stop.wait(pause):
                raise _Interrupted
            self.tries += 1
            self._command = self._runner.create(self._task.step.name)

    def _one_transaction(self) -> None:
        transaction = self._begin(self._lock_timeout())
        capture = _TemporaryTables()
        try:
            transaction.connection.info[EARLIER_ATTEMPTS] = self._attempt.attempt - 1
            with _noting(transaction.connection, capture):
                self._call(transaction.connection)
            transaction.commit(
                self._store.completion(
                    self._attempt,
                    transaction.token,
                    is_running=self._has_running_row,
                    temporary_allowed=capture.dropped_on_commit,
                )
            )
        except BaseException as error:
            self._give_up(transaction, error)
            raise guarded(error) from error

    def _begin(self, lock_timeout: str) -> StepTransaction:
        """Begin a transaction; the first one of a workspace looks at it again."""
        while True:
            workspace = self._workspace
            probe = self._probe(workspace)
            try:
                transaction = self._session.begin(
                    settings={**self._search_path(), "lock_timeout": lock_timeout},
                    probe=probe,
                    observer=self._runner.observer_of(self._task.step, self._task.scope),
                )
            except psycopg.OperationalError as error:
                if error.sqlstate is not None and not is_terminated(error):
                    raise  # a lock timeout on the workspace table, for example
                raise ConnectionLostError(f"the connection was lost: {error}") from error
            if not self._probe_is_due or workspace is None:
                self._check_search_path(workspace, transaction)
                return transaction
            if self._accept(workspace, transaction):
                return transaction

    def _probe(self, workspace: Workspace | None) -> str:
        """Give what travels with BEGIN: the whole look before the first step, then that of the schema alone."""
        if workspace is not None and self._probe_is_due:
            return self._runner._source.probe(workspace)
        if workspace is not None and workspace.schema is not None:
            return f"select (current_schema() is not distinct from {literal(workspace.schema)}::name)::text"
        return "select"

    def _check_search_path(self, workspace: Workspace | None, transaction: StepTransaction) -> None:
        """Refuse to run where the schema went away since the first step: DDL would fall into the next one."""
        if workspace is None or workspace.schema is None or transaction.probe == ("true",):
            return
        transaction.rollback()
        raise _schema_missing(workspace.schema)

    def _accept(self, workspace: Workspace, transaction: StepTransaction) -> bool:
        """Compare what the probe saw with what was listed; False begins again with what is there now."""
        seen = self._runner._source.read_probe(workspace, transaction.probe)
        if seen.workspace is None:
            transaction.rollback()
            raise LeftOut
        if not seen.is_schema_usable:
            transaction.rollback()
            raise _schema_missing(seen.workspace.schema)
        if seen.workspace.schema != workspace.schema:
            transaction.rollback()
            self._workspace = seen.workspace
            return False
        self._workspace = seen.workspace
        self._probe_is_due = False
        return True

    def _look_again(self) -> None:
        if self._workspace is not None:
            self._begin(_NO_LOCK_TIMEOUT).rollback()

    def _call(self, connection: Connection) -> None:
        if self._workspace is None:
            call_author(cast("SlowInstanceCommand", self._command).up, connection)
            return
        task, runner = self._task, self._runner
        context = RunWorkspaceContext(
            workspace=self._workspace,
            connection=connection,
            dry_run=False,
            verbose=runner._verbose,
            index=task.index,
            total=task.total,
            _stop=runner._stop,
            _make_log=lambda: author_log(runner._emit, task.scope, task.step.name),
        )
        call_author(cast("WorkspaceCommand", self._command).run_on_workspace, context)

    def _in_autocommit(self) -> None:
        session = self._session
        connection = session.begin_autocommit(
            settings={**self._search_path(), "lock_timeout": _NO_LOCK_TIMEOUT},
            observer=self._runner.observer_of(self._task.step, self._task.scope),
        )
        connection.info[EARLIER_ATTEMPTS] = self._attempt.attempt - 1
        driver = session.driver
        try:
            self._call(connection)
            session.end_autocommit()
            _check_left_behind(session)
        except BaseException as error:
            lost = is_connection_lost(driver)
            session.replace()
            if lost and not isinstance(error, HardStop):
                raise ConnectionLostError(f"the connection was lost: {error}") from error
            raise
        self.record(AttemptStatus.COMPLETED, None)

    def _migrate_data(self) -> None:
        context = RunDataMigrationContext(
            dry_run=False,
            verbose=self._runner._verbose,
            log=author_log(self._runner._emit, self._task.scope, self._task.step.name),
            workspace=self._workspace,
            _stop=self._runner._stop,
            _open=self._own_transaction,
            _workspaces=self._list_workspaces,
        )
        call_author(cast("SlowInstanceCommand", self._command).run_data_migration, context)
        if context.stop_was_seen:
            raise _Interrupted

    @contextmanager
    def _own_transaction(self) -> Iterator[Connection]:
        if self._session.connection.in_transaction():
            raise StepError(
                "ctx.transaction() was opened inside another one",
                hint="end the first block before the next; one transaction at a time",
            )
        transaction = self._begin(_NO_LOCK_TIMEOUT)
        try:
            yield transaction.connection
            transaction.commit(self._store.check(transaction.token))
        except BaseException as error:
            self._give_up(transaction, error)
            raise guarded(error) from error

    def _list_workspaces(self) -> Iterator[Workspace]:
        if self._session.connection.in_transaction():
            raise StepError(
                "ctx.workspaces() was called inside ctx.transaction()", hint="list them before the block"
            )
        yield from self._runner._source.listing(self._session).in_scope

    def _give_up(self, transaction: StepTransaction, error: BaseException) -> None:
        """Roll back and drop the connection, so that nothing of a failed step is inherited."""
        driver = self._session.driver
        lost = is_connection_lost(driver)
        transaction.rollback()
        self._session.replace()
        if lost and not isinstance(error, (HardStop, ConnectionLostError)):
            raise ConnectionLostError(
                f"the server ended the connection while {self._task.step.name} ran"
            ) from error

    def _search_path(self) -> dict[str, str]:
        if self._workspace is None or self._workspace.schema is None:
            return {}
        if not self._workspace.schema:
            raise _schema_missing("''")
        schemas = (self._workspace.schema, *self._settings.search_path_extra)
        return {"search_path": ", ".join(identifier(schema) for schema in schemas)}

    def _lock_timeout(self) -> str:
        return str(max(1, round(self._settings.lock_timeout_seconds * 1000)))


class _TemporaryTables:
    """Notes whether a command makes temporary tables that end with its transaction.

    The catalog does not tell ON COMMIT DROP, so the statements have to.
    """

    def __init__(self) -> None:
        self.dropped_on_commit = False

    def note(self, statement: str) -> None:
        words = statement.lower()
        if "commit" in words and "on commit drop" in " ".join(words.split()):
            self.dropped_on_commit = True


@contextmanager
def _noting(connection: Connection, capture: _TemporaryTables) -> Iterator[None]:
    connection.info[NOTE] = capture.note
    try:
        yield
    finally:
        if not connection.closed and not connection.invalidated:
            connection.info.pop(NOTE, None)


def _schema_missing(schema: str | None) -> StepError:
    return StepError(
        f"the schema {schema} of this workspace does not exist, or this role may not use it; nothing ran on it",
        hint="restore the schema, correct the workspace's row, or GRANT USAGE ON SCHEMA to the role",
    )


def guarded(error: BaseException) -> BaseException:
    """Turn what the server's own check found into the error that an author reads."""
    found = database_error(error) if isinstance(error, psycopg.Error) else None
    if found is None or found.sqlstate not in _GUARD_HINTS:
        return error
    return GuardError(found.diag.message_primary, hint=_GUARD_HINTS[found.sqlstate])


def _check_left_behind(session: CommandSession) -> None:
    row = session.execute(
        "select (select string_agg(relname, ', ') from pg_class where relnamespace = pg_my_temp_schema()"
        " and pg_my_temp_schema() <> 0 and relkind in ('r', 'p', 'v', 'S')),"
        " (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()),"
        " (select string_agg(c, ', ') from pg_listening_channels() c)"
    ).fetchone()
    assert row is not None
    if row[0]:
        raise GuardError(f"the command left the temporary table {row[0]}", hint=_GUARD_HINTS[TEMPORARY_LEFT])
    if cast("int", row[1]) > 1:  # the fence is one
        raise GuardError(
            "the command left a session advisory lock", hint="release it before the command ends"
        )
    if row[2]:
        raise GuardError(f"the command left a LISTEN on {row[2]}", hint="UNLISTEN before the command ends")
