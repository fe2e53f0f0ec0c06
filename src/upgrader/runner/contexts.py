"""What commands are handed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Unpack

from sqlalchemy import Connection

from upgrader.backfill.backfills import Backfills
from upgrader.backfill.outside import backfills_on
from upgrader.command import BackfillArguments, Batch, BatchArguments
from upgrader.events import AuthorLog, EventSink
from upgrader.model import Scope, Workspace
from upgrader.runner.stop import StopToken


class _EventHandler(logging.Handler):
    """Turns an author's log lines into events."""

    def __init__(self, emit: EventSink, scope: Scope, step_name: str) -> None:
        super().__init__()
        self._emit_event, self._scope, self._step_name = emit, scope, step_name

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record; one whose arguments do not fit its message is sent as it is, and fails nothing."""
        try:
            text = self.format(record)
        except Exception:
            text = f"{record.msg} {record.args}"
        self._emit_event(AuthorLog(text, record.levelname.lower(), self._scope, self._step_name))


def author_log(emit: EventSink, scope: Scope, step_name: str) -> logging.Logger:
    """Make a logger for one step; it is in no registry and ends with the step."""
    logger = logging.Logger(f"upgrader.command.{step_name}", logging.INFO)
    logger.addHandler(_EventHandler(emit, scope, step_name))
    return logger


@dataclass
class RunWorkspaceContext:
    """What `run_on_workspace` is handed."""

    workspace: Workspace
    connection: Connection
    dry_run: bool
    verbose: bool
    index: int
    total: int
    _stop: StopToken
    _make_log: Callable[[], logging.Logger]
    _log: logging.Logger | None = None

    @property
    def log(self) -> logging.Logger:
        """A logger whose lines go where the run's output goes."""
        if self._log is None:
            self._log = self._make_log()
        return self._log

    @property
    def stop_requested(self) -> bool:
        """Whether the operator asked the run to stop."""
        return self._stop.requested

    def backfill(self, table: str, **given: Unpack[BackfillArguments]) -> None:
        """Change the rows of a table in batches; only with `transactional=False`."""
        backfills_on(self.connection, "ctx.backfill").backfill(table, **given)

    def batches(self, table: str, **given: Unpack[BatchArguments]) -> Iterator[Batch]:
        """Give the batches of a table; only with `transactional=False`."""
        return backfills_on(self.connection, "ctx.batches").batches(table, **given)


@dataclass
class RunDataMigrationContext:
    """What `run_data_migration` is handed.

    Attributes:
        stop_was_seen: whether the command was told to stop, so that its return means "not done yet".
    """

    dry_run: bool
    verbose: bool
    log: logging.Logger
    workspace: Workspace | None
    _stop: StopToken
    _open: Callable[[], AbstractContextManager[Connection]]
    _workspaces: Callable[[], Iterator[Workspace]]
    _backfills: Backfills
    stop_was_seen: bool = field(default=False)

    @property
    def stop_requested(self) -> bool:
        """Whether the operator asked the run to stop: finish the batch at hand and return."""
        self.stop_was_seen = self.stop_was_seen or self._stop.requested
        return self.stop_was_seen

    def transaction(self) -> AbstractContextManager[Connection]:
        """Give a connection in a transaction that commits at the end of the block."""
        return self._open()

    def workspaces(self) -> Iterator[Workspace]:
        """Give the workspaces in scope, in ascending order of their id."""
        return self._workspaces()

    def backfill(self, table: str, **given: Unpack[BackfillArguments]) -> None:
        """Change the rows of a table in batches, each with its checkpoint in a transaction of its own."""
        self._backfills.backfill(table, **given)

    def batches(self, table: str, **given: Unpack[BatchArguments]) -> Iterator[Batch]:
        """Give the batches of a table, each in a transaction of its own."""
        return self._backfills.batches(table, **given)
