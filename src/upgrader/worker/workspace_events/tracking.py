"""`track_events`: what sessions of SQLAlchemy's ORM do to records, told as workspace events.

Batches are collected per flush and per bulk statement. Jobs of durable handlers are enqueued right then, on the
session's connection, so that a rollback of the transaction or of a savepoint takes them along; the other handlers
are called after the commit.

What it cannot see: statements of Core and raw SQL, the legacy `Session.bulk_…` methods, what triggers and foreign
keys with ON DELETE do, savepoints that are rolled back by raw SQL, and a DELETE of an alias that SQLAlchemy
synchronises the session with.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.engine import Result
from sqlalchemy.orm import ORMExecuteState, Session, SessionTransaction, UOWTransaction

from upgrader.worker.workspace_events.batch import WorkspaceEventBatch
from upgrader.worker.workspace_events.bulk import BulkStatement
from upgrader.worker.workspace_events.emitter import WorkspaceEventEmitter
from upgrader.worker.workspace_events.flush import BeforeFlush, flushed_batches, look_before_flush
from upgrader.worker.workspace_events.tracked import Tracked, WorkspaceIdSource
from upgrader.worker.workspace_events.unit_of_work import UnitOfWork


def track_events(
    sessions: Any,
    *,
    workspace_id: WorkspaceIdSource,
    emitter: WorkspaceEventEmitter,
    soft_delete_field: str | None = None,
    only: Collection[type] | None = None,
    object_name: Callable[[type], str] | None = None,
    excluded_fields: Iterable[str] = (),
) -> EventTracking:
    """Let an emitter tell of what sessions insert, update and delete.

    Args:
        sessions: `Session` or a subclass, a `sessionmaker`, `scoped_session` or `async_sessionmaker`, or one session.
        workspace_id: whose records they are: a text, `field("workspace_id")` of the records, or a function that is
            given the session.
        emitter: nothing is collected for events that none of its handlers wants.
        soft_delete_field: of the mapped classes that have it: set, the record is `deleted`, and `restored` when it
            is NULL again; a row that is gone is `destroyed` then.
        only: these mapped classes and their subclasses; all by default.
        object_name: gives the first part of the events' names; by default the class's name in snake_case, or its
            attribute `__event_object_name__`.
        excluded_fields: never told, of whatever class: password hashes, for example.

    Returns:
        the tracking; `stop()` ends it.
    """
    tracked = Tracked(
        workspace_id=workspace_id,
        soft_delete_field=soft_delete_field,
        only=tuple(only) if only is not None else None,
        object_name=object_name,
        excluded_fields=frozenset(excluded_fields),
    )
    return EventTracking(_sync_sessions(sessions), emitter, tracked)


class EventTracking:
    """Listens to sessions, from when it is made until `stop`."""

    def __init__(self, sessions: Any, emitter: WorkspaceEventEmitter, tracked: Tracked) -> None:
        """Begin to listen."""
        self._sessions = sessions
        self._emitter = emitter
        self._tracked = tracked
        self._listeners: dict[str, Callable[..., Any]] = {
            "after_begin": self._after_begin,
            "do_orm_execute": self._do_orm_execute,
            "before_flush": self._before_flush,
            "after_flush": self._after_flush,
            "after_flush_postexec": self._after_flush_postexec,
            "after_transaction_end": self._after_transaction_end,
        }
        for name, listener in self._listeners.items():
            event.listen(sessions, name, listener)

    def stop(self) -> None:
        """Listen no more; what transactions that are open have done is not told."""
        for name, listener in self._listeners.items():
            event.remove(self._sessions, name, listener)

    def _unit_of_work(self, session: Session) -> UnitOfWork:
        unit: UnitOfWork | None = session.info.get(self)
        if unit is None:
            unit = session.info[self] = UnitOfWork(self._emitter.deliver)
        return unit

    def _after_begin(
        self, session: Session, _transaction: SessionTransaction, connection: Connection
    ) -> None:
        unit = self._unit_of_work(session)
        unit.connection = unit.connection or connection

    def _before_flush(self, session: Session, _context: UOWTransaction, _instances: object) -> None:
        self._unit_of_work(session).before_flush = look_before_flush(
            session, self._tracked, wants=self._emitter.wants
        )

    def _after_flush(self, session: Session, context: UOWTransaction) -> None:
        unit = self._unit_of_work(session)
        before, unit.before_flush = unit.before_flush, BeforeFlush()
        unit.flushed = flushed_batches(
            session, context, self._tracked, wants=self._emitter.wants, before=before
        )

    def _after_flush_postexec(self, session: Session, _context: UOWTransaction) -> None:
        unit = self._unit_of_work(session)
        flushed, unit.flushed = unit.flushed, []
        for cls, batch in flushed:
            self._record(session, batch, {"mapper": cls.mapper})

    def _do_orm_execute(self, state: ORMExecuteState) -> Result[Any] | None:
        statement = BulkStatement.of(state, self._tracked, wants=self._emitter.wants)
        if statement is None:
            return None
        result, tell = statement.execute()
        try:
            for batch in tell():
                self._record(state.session, batch, state.bind_arguments)
        except BaseException:
            _deactivate(state.session)
            raise
        return result

    def _record(
        self, session: Session, batch: WorkspaceEventBatch[Any], bind_arguments: Mapping[str, Any]
    ) -> None:
        unit = self._unit_of_work(session)
        needs_transaction = self._emitter.needs_transaction(batch.name)
        connection = unit.connection
        # Which of several databases a record is in a session over shards knows of the record alone.
        if needs_transaction or connection is None or session.connection_callable is None:
            connection = session.connection(bind_arguments=dict(bind_arguments))
        if needs_transaction:
            self._emitter.enqueue([batch], connection)
        unit.hold(batch, connection)

    def _after_transaction_end(self, session: Session, transaction: SessionTransaction) -> None:
        if transaction.parent is not None:
            return
        # Only now the connection is back in its pool, and handlers may use the session again.
        unit: UnitOfWork | None = session.info.pop(self, None)
        if unit is not None:
            unit.end(session)


def _deactivate(session: Session) -> None:
    """Roll a statement back that cannot be told, as a flush that fails is rolled back.

    That is: to the innermost savepoint, and the session does nothing more before its owner has rolled back, too. So
    whoever catches the error neither commits the statement untold nor loses unknowingly what was done before it.
    """
    session._autobegin_t()._begin().rollback(_capture_exception=True)


def _sync_sessions(sessions: Any) -> Any:
    """Give what SQLAlchemy sends events of sessions to: behind each asynchronous session is a plain one."""
    asynchronous = sys.modules.get("sqlalchemy.ext.asyncio")  # not loaded: none of its sessions can be meant
    if asynchronous is None:
        return sessions
    if isinstance(sessions, asynchronous.AsyncSession):
        return sessions.sync_session
    if not isinstance(sessions, asynchronous.async_sessionmaker):
        return sessions
    base: type[Session] = sessions.kw.get("sync_session_class") or sessions.class_.sync_session_class
    tracked = type("TrackedSession", (base,), {})  # this maker's own, so that no other is listened to
    sessions.configure(sync_session_class=tracked)
    return tracked
