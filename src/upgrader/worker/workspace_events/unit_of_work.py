"""The batches of one session's transaction, by the savepoints that they may go down with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.orm import SessionTransaction

from upgrader.worker.workspace_events.batch import WorkspaceEventBatch
from upgrader.worker.workspace_events.flush import Expressions
from upgrader.worker.workspace_events.held import after_commit_of

_Batches = list[WorkspaceEventBatch[Any]]


class UnitOfWork:
    """Collects batches until the outermost transaction ends.

    Attributes:
        expressions: what the flush in progress sets by SQL expressions.
        flushed: what it has done.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self.expressions: Expressions = {}
        self.flushed: _Batches = []
        self._buffers: dict[SessionTransaction, _Batches] = {}
        self._connections: list[Connection] = []
        self._committed: _Batches = []

    def note_connection(self, connection: Connection) -> None:
        """Remember a connection that the session works on."""
        if connection not in self._connections:
            self._connections.append(connection)

    def add(self, transaction: SessionTransaction, batches: _Batches) -> None:
        """Keep what was done in a transaction or savepoint."""
        self._buffers.setdefault(transaction, []).extend(batches)

    def committed(self, transaction: SessionTransaction) -> None:
        """Hand what a savepoint has done to what it stands in; keep what the outermost has done for the end."""
        batches = self._buffers.pop(transaction, [])
        enclosing = _enclosing(transaction)
        if enclosing is None:
            self._committed = batches
        elif batches:
            self.add(enclosing, batches)

    def rolled_back(self, transaction: SessionTransaction) -> None:
        """Forget what a transaction or savepoint has done, and all that stands in it."""
        for one in [one for one in self._buffers if transaction in _with_parents(one)]:
            del self._buffers[one]

    def end(self, deliver: Callable[[_Batches], None]) -> None:
        """Deliver what was committed: now, or with the transaction of a connection that the session had joined."""
        batches = self._committed
        if not batches:
            return
        for connection in self._connections:
            if not connection.closed and connection.in_transaction():
                after_commit_of(connection, lambda: deliver(batches))
                return
        deliver(batches)


def _with_parents(transaction: SessionTransaction) -> Iterator[SessionTransaction]:
    one: SessionTransaction | None = transaction
    while one is not None:
        yield one
        one = one.parent


def _enclosing(transaction: SessionTransaction) -> SessionTransaction | None:
    """Give the savepoint or transaction that one stands in, past the ones that flushes make for themselves."""
    parent = transaction.parent
    while parent is not None and not parent.nested and parent.parent is not None:
        parent = parent.parent
    return parent
