"""The audit table: each event a row, written in the transaction of what it tells of.

So it holds what was committed and nothing else, in whatever process it happened, and needs no worker: what a job
wrote later could be looked for before it is there. The price is one INSERT per batch, several for a very large one,
and that a transaction fails where the table cannot be written: an audit with gaps is none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import psycopg
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from upgrader.database.connect import Connector, identifier
from upgrader.database.failures import database_error
from upgrader.errors import LayoutError
from upgrader.worker.layout import bring_up_to_date
from upgrader.worker.workspace_events.batch import RecordEvent, WorkspaceEventBatch
from upgrader.worker.workspace_events.encoding import record_id_to_text, to_plain
from upgrader.worker.workspace_events.portions import portions
from upgrader.worker.workspace_events.subscriber import Delivery, Subscription, subscription

TABLE = "workspace_event"
_MOST_ROWS = 10_000
_MOST_CHARACTERS = 16_000_000
"""With so many of each a statement is written; PostgreSQL's jsonb ends at 256 MB."""


class AuditTable:
    """Writes events into `workspace_event`. Subscribe it to an emitter."""

    def __init__(
        self,
        *,
        schema: str = "upgrader_worker",
        patterns: Iterable[str] = ("**",),
        actor: Callable[[], object | None] = lambda: None,
    ) -> None:
        """Touch nothing yet.

        Args:
            schema: of the table, `upgrader_worker` where the history's is `upgrader`.
            patterns: of the events that are written.
            actor: gives who does it, from a context variable of the application for example; None: nobody knows.
        """
        self._schema = schema
        self._patterns = tuple(patterns)
        self._actor = actor
        name = identifier(schema, TABLE).replace(":", "\\:")
        self._statement = text(
            f"insert into {name} (name, workspace_id, object_name, batch_id, actor, record_id, before, after,"
            " updated_fields, event) select :name, :workspace_id, :object_name, cast(:batch_id as uuid), :actor,"
            " told.record_id, told.before, told.after,"
            " array(select jsonb_array_elements_text(told.updated_fields)), told.event"
            " from jsonb_to_recordset(cast(:rows as jsonb)) as"
            " told (record_id text, before jsonb, after jsonb, updated_fields jsonb, event jsonb)"
        )

    def create(self, database_url: str) -> None:
        """Make the table, or nothing where it is there; a worker that starts does so by itself.

        Raises:
            DatabaseUnavailableError: there is no connection to be had.
            LayoutError: the role may not make it.
        """
        with Connector(database_url, "upgrader/audit").connect() as driver:
            bring_up_to_date(driver, self._schema)

    def event_subscriptions(self) -> tuple[Subscription, ...]:
        """Give the one subscription, in the transaction."""
        return (
            subscription(self.write, *self._patterns, delivery=Delivery.IN_TRANSACTION, name="audit table"),
        )

    def write(self, batch: WorkspaceEventBatch[Any], connection: Connection) -> None:
        """Write a batch in the transaction that is open on a connection, by one statement or, if it is large, a few.

        Raises:
            LayoutError: the table is not there, or the role may not write it.
        """
        actor = self._actor()
        values = {
            "name": batch.name,
            "workspace_id": batch.workspace_id,
            "object_name": batch.object_metadata and batch.object_metadata.name_singular,
            "batch_id": batch.id,
            "actor": None if actor is None else str(actor),
        }
        try:
            for events in portions(batch.events, most=_MOST_ROWS, largest=_MOST_CHARACTERS):
                rows = json.dumps([_row(event) for event in events], ensure_ascii=False)
                connection.execute(self._statement, {**values, "rows": rows})
        except DBAPIError as error:
            found = database_error(error)
            if isinstance(found, psycopg.errors.UndefinedTable | psycopg.errors.InvalidSchemaName):
                raise LayoutError(
                    f"there is no audit table in the schema {self._schema}",
                    hint="make it once: AuditTable(…).create(DATABASE_URL), or start `upgrader worker`",
                ) from error
            if isinstance(found, psycopg.errors.InsufficientPrivilege):
                name = identifier(self._schema)
                raise LayoutError(
                    f"the role may not write the audit table in the schema {self._schema}",
                    hint=f"let its owner run: GRANT USAGE ON SCHEMA {name} TO …;"
                    f" GRANT INSERT ON {identifier(self._schema, TABLE)} TO …;",
                ) from error
            raise


def _row(event: object) -> dict[str, Any]:
    if not isinstance(event, RecordEvent):
        return {"updated_fields": [], "event": to_plain(event)}
    return {
        "record_id": record_id_to_text(event.record_id),
        "before": to_plain(event.before),
        "after": to_plain(event.after),
        "updated_fields": list(event.updated_fields),
    }
