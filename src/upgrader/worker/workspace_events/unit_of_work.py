"""The batches of one session's transaction: each waits for the commit of the connection that it happened on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from upgrader.worker.workspace_events.batch import WorkspaceEventBatch
from upgrader.worker.workspace_events.flush import BeforeFlush, Flushed
from upgrader.worker.workspace_events.held import after_commit_of

_Batch = WorkspaceEventBatch[Any]


class UnitOfWork:
    """Collects what is committed until the session's transaction ends.

    Attributes:
        before_flush: what was noted before the flush in progress.
        flushed: what it has done.
        connection: the first that the session works on.
    """

    def __init__(self, deliver: Callable[..., None]) -> None:
        """Begin with nothing."""
        self.before_flush = BeforeFlush()
        self.flushed: Flushed = []
        self.connection: Connection | None = None
        self._deliver = deliver
        self._committed: list[_Batch] = []
        self._is_over = False

    def hold(self, batch: _Batch, connection: Connection) -> None:
        """Keep what was done on a connection until that commits; a rollback drops it, a savepoint's included."""
        after_commit_of(connection, lambda: self._note_commit(batch))

    def end(self, session: Session) -> None:
        """Deliver what was committed; what a connection that was joined still holds is delivered by its commit.

        Handlers may use the session. A flush of theirs that fails leaves it to nobody else.
        """
        self._is_over = True
        self._deliver(self._committed, after_failure=lambda: _clear_up(session))

    def _note_commit(self, batch: _Batch) -> None:
        if self._is_over:
            self._deliver([batch])
        else:
            self._committed.append(batch)


def _clear_up(session: Session) -> None:
    if not session.is_active:
        session.rollback()
