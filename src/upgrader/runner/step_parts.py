"""What steps are run with."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from upgrader.backfill.options import BackfillOptions
from upgrader.database.guard import ObservedStatement, StatementObserver
from upgrader.database.session import CommandSession
from upgrader.events import EventSink, StatementExecuted
from upgrader.history.keys import LockKeys
from upgrader.history.sql_store import SqlHistoryStore
from upgrader.log_fields import log_fields
from upgrader.model import Direction, Scope, Step
from upgrader.runner.backfill_control import BackfillControl
from upgrader.runner.lock_watch import LockWatch
from upgrader.runner.options import RunSettings
from upgrader.runner.stop import StopToken
from upgrader.runner.timeouts import Timeouts, timeouts_of
from upgrader.workspaces import WorkspaceSource


class CommandFactory(Protocol):
    """Makes fresh instances of commands; the registry is one."""

    def create(self, step_name: str) -> object:
        """Make the command of a step."""


@dataclass(frozen=True)
class StepParts:
    """What steps are run with.

    Attributes:
        rereads_state: whether a second runner may have been at work since the survey: under the lock of its
            workspace a step's state is read again.
        repeats: completed steps are run again.
        check_lock: raises RunSupersededError where the run lock is gone; asked before each transaction of a step
            that has several.
        admission: an SQL expression that is false where this session may begin nothing more; looked at in the
            transaction of each step, under the workspace's lock. Empty: it always may.
    """

    session: CommandSession
    store: SqlHistoryStore
    commands: CommandFactory
    source: WorkspaceSource
    settings: RunSettings
    emit: EventSink
    stop: StopToken
    redact: Callable[[str], str]
    verbose: bool = False
    is_watched: bool = False
    run_id: str = ""
    backfill: BackfillOptions = field(default_factory=BackfillOptions)
    rereads_state: bool = False
    repeats: bool = False
    check_lock: Callable[[], None] = lambda: None
    admission: str = ""
    backfill_control: BackfillControl | None = None
    watch: LockWatch = field(default_factory=LockWatch)
    _timeouts: dict[str, Timeouts] = field(default_factory=dict)

    @cached_property
    def keys(self) -> LockKeys:
        """The keys of the locks."""
        return LockKeys.of(self.settings.schema)

    def timeouts_of(self, step: Step) -> Timeouts:
        """Give the timeouts of a step, put together once for all of its workspaces."""
        found = self._timeouts.get(step.name)
        if found is None:
            found = self._timeouts[step.name] = timeouts_of(step, self.settings)
        return found

    def logging_of(self, step: Step, scope: Scope) -> AbstractContextManager[None]:
        """Let what is logged in a block, by whatever logger, say which run, workspace and step it is about."""
        return log_fields(run_id=self.run_id, workspace_id=scope.workspace_id, step=step.name)

    def observer_of(
        self, step: Step, scope: Scope, direction: Direction = Direction.UP
    ) -> StatementObserver | None:
        """Give what is told of each statement of a run that is verbose or watched."""
        if not (self.verbose or self.is_watched):
            return None

        def observe(statement: ObservedStatement) -> None:
            origin = statement.origin
            self.emit(
                StatementExecuted(
                    scope,
                    step.name,
                    statement.text,
                    statement.parameters,
                    statement.seconds,
                    statement.row_count,
                    file=origin.file if origin else None,
                    line=origin.line if origin else None,
                    in_transaction=statement.in_transaction,
                    escapes_percent=statement.escapes_percent,
                    is_helped=origin is not None and origin.is_helped,
                    transaction=statement.transaction,
                    has_failed=statement.has_failed,
                    direction=direction,
                )
            )

        return observe
