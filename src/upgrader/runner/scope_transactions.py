"""The transactions of one attempt: each begins in the step's scope, under its workspace's lock, after a look at it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

import psycopg

from upgrader.database.connect import identifier, literal
from upgrader.database.failures import is_terminated
from upgrader.database.step_transaction import StepTransaction
from upgrader.errors import ConnectionLostError, RunSupersededError, StepError
from upgrader.events import Waiting
from upgrader.runner.step_parts import StepParts
from upgrader.runner.step_task import LeftOut, StepTask
from upgrader.runner.stop import Interrupted
from upgrader.runner.workspace_lock import WorkspaceBusy, WorkspaceLock

if TYPE_CHECKING:
    from upgrader.model import Workspace

_NO_LOCK_TIMEOUT = {"lock_timeout": "0"}
_POLL_SECONDS, _EVENT_SECONDS = 0.05, 1.0
_Row = tuple[object, ...] | None


class ScopeTransactions:
    """Begins transactions in the scope of one attempt.

    Attributes:
        workspace: as it was seen last; None for the instance.
        lock: the lock of the workspace.
    """

    def __init__(self, parts: StepParts, task: StepTask) -> None:
        """Begin nothing yet."""
        self._parts = parts
        self._task = task
        self._probe_is_due = task.is_first and task.workspace is not None
        self.workspace = task.workspace
        key = None if task.workspace is None else parts.keys.workspace(task.workspace.id)
        self.lock = WorkspaceLock(parts.session, key)
        self._prepared: tuple[Mapping[str, str], str] | None = None

    def begin(self, settings: Mapping[str, str]) -> StepTransaction:
        """Begin a transaction; the first one of a workspace looks at it again.

        Raises:
            WorkspaceBusy: somebody else has the lock.
            LeftOut: the workspace went away.
            RunSupersededError: this session may begin nothing more.
        """
        while True:
            workspace = self.workspace
            self._renew_lock()
            transaction = self._open(self.beginning(settings))
            row = self._admitted(transaction)
            row, is_granted = self.lock.split(row)
            if not is_granted:
                transaction.rollback()
                raise WorkspaceBusy
            if not self._probe_is_due or workspace is None:
                self._check_search_path(workspace, transaction, row)
                return transaction
            if self._accept(workspace, transaction, row):
                return transaction

    def beginning(self, settings: Mapping[str, str]) -> str:
        """Give what `begin` sends, as things stand."""
        prepared, self._prepared = self._prepared, None
        if prepared is not None and prepared[0] is settings:
            return prepared[1]
        return self._parts.session.beginning(
            settings={**self.search_path(), **settings}, probe=self._probe(self.workspace)
        )

    def prepare(self, settings: Mapping[str, str]) -> str:
        """Give what `begin` is going to send with these settings; it is not put together again for it."""
        text = self.beginning(settings)
        self._prepared = (settings, text)
        return text

    def look_again(self) -> None:
        """Look at the workspace again, and keep nothing open."""
        if self.workspace is not None:
            self.begin(_NO_LOCK_TIMEOUT).rollback()

    def search_path(self) -> dict[str, str]:
        """Give the setting of the workspace's schema and what comes after it; nothing where it has none."""
        if self.workspace is None or self.workspace.schema is None:
            return {}
        if not self.workspace.schema:
            raise _schema_missing("''")
        if (
            self.workspace.schema == "$user"
        ):  # in search_path that is the role's own schema, however it is quoted
            raise _schema_missing("$user")
        after = _further(self._parts.settings.search_path_extra)
        return {"search_path": identifier(self.workspace.schema) + after}

    @property
    def schema_check(self) -> str:
        """A further column of a SELECT, which fails where the schema is not there any more.

        What was dropped or renamed after the look at it leaves a search_path in which DDL falls into the next schema.
        """
        if self.workspace is None or self.workspace.schema is None:
            return ""
        return f", {literal(identifier(self.workspace.schema))}::regnamespace"

    def translated(self, error: BaseException) -> BaseException:
        """Say what it means that a statement of the runner's own has not found the schema."""
        if self.workspace is None or not isinstance(error, psycopg.errors.InvalidSchemaName):
            return error
        return StepError(
            f"the schema {self.workspace.schema} of this workspace went away while the step ran; nothing of it is kept",
            hint="restore the schema, or correct the workspace's row; then run the same command again",
        )

    def _open(self, beginning: str) -> StepTransaction:
        task = self._task
        try:
            return self._parts.session.begin_with(
                beginning, observer=self._parts.observer_of(task.step, task.scope, task.direction)
            )
        except psycopg.OperationalError as error:
            if error.sqlstate is not None and not is_terminated(error):
                raise  # a lock timeout on the workspace table, for example
            raise ConnectionLostError(f"the connection was lost: {error}") from error

    def _renew_lock(self) -> None:
        """Hold the workspace's lock on a new connection, too; what has begun waits for it where it stands."""
        started, told = time.monotonic(), 0.0
        while not self.lock.renew():
            seconds = time.monotonic() - started
            if seconds - told >= _EVENT_SECONDS:
                told = seconds
                text = f"waiting for whoever has taken the lock of {self._task.scope} meanwhile"
                self._parts.emit(Waiting("workspace-lock", text, seconds))
            if self._parts.stop.wait(_POLL_SECONDS):
                raise Interrupted

    def _probe(self, workspace: Workspace | None) -> str:
        """Give what travels with BEGIN: the whole look before the first step, then that of the schema alone."""
        if workspace is not None and self._probe_is_due:
            return self._parts.source.probe(workspace, self._columns)
        if workspace is not None and workspace.schema is not None:
            schema = literal(workspace.schema)
            return f"select (current_schema() = {schema}::name)::text, {self._columns}"
        return f"select {self._columns}"

    @property
    def _columns(self) -> str:
        # The lock first: whoever has it and may go on then is waited for by everybody who comes later.
        return ", ".join(column for column in (self.lock.column, self._parts.admission) if column)

    def _admitted(self, transaction: StepTransaction) -> _Row:
        """Give the row of the probe without what it says of the session's admission."""
        row = transaction.probe
        if not self._parts.admission or row is None:
            return row
        if row[-1] != "t":
            transaction.rollback()
            raise RunSupersededError(
                "the run is over, or has given this worker up: nothing more is begun",
                hint="whoever is at work on the database now goes on with it",
            )
        return row[:-1]

    def _check_search_path(
        self, workspace: Workspace | None, transaction: StepTransaction, row: _Row
    ) -> None:
        """Refuse to run where the schema went away since the first step: DDL would fall into the next one."""
        if workspace is None or workspace.schema is None or row == ("true",):
            return
        transaction.rollback()
        raise _schema_missing(workspace.schema)

    def _accept(self, workspace: Workspace, transaction: StepTransaction, row: _Row) -> bool:
        """Compare what the probe saw with what was listed; False begins again with what is there now."""
        seen = self._parts.source.read_probe(workspace, row)
        if seen.workspace is None:
            transaction.rollback()
            raise LeftOut
        if seen.workspace.schema != workspace.schema:
            transaction.rollback()
            self.workspace = seen.workspace
            return False
        if not seen.is_schema_usable:
            transaction.rollback()
            raise _schema_missing(seen.workspace.schema)
        self.workspace = seen.workspace
        self._probe_is_due = False
        return True


@lru_cache
def _further(schemas: tuple[str, ...]) -> str:
    return "".join(f", {identifier(schema)}" for schema in schemas)


def _schema_missing(schema: str | None) -> StepError:
    return StepError(
        f"the schema {schema} of this workspace does not exist, or this role may not use it; nothing ran on it",
        hint="restore the schema, correct the workspace's row, or GRANT USAGE ON SCHEMA to the role",
    )
