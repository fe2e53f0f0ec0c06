"""Adding jobs to the queue, from the application or a worker. Needs no Procrastinate."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psycopg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from upgrader.database.connect import Connector, identifier
from upgrader.database.failures import database_error, translate_run_error
from upgrader.settings import Settings
from upgrader.worker.names import worker_schema
from upgrader.worker.options import Backoff, QueueJobOptions, Seconds, seconds_of
from upgrader.worker.queue.arguments import (
    JobArguments,
    QueueJobError,
    check_id,
    check_name,
    check_numbers,
    check_queue,
    check_schedule,
    check_time,
)
from upgrader.worker.queue.connection import QueueConnection, queue_connector
from upgrader.worker.queue.layout import no_queue, no_rights_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

_MISSING = (
    psycopg.errors.UndefinedFunction,
    psycopg.errors.InvalidSchemaName,
    psycopg.errors.UndefinedTable,
)
_ADD_RECURRING = (
    "insert into {table} (key, queue, name, args, priority, cron, timezone) values"
    " ({key}, {queue}, {name}, cast({args} as jsonb), {priority}, {cron}, {timezone}) on conflict (key) do update"
    " set queue = excluded.queue, name = excluded.name, args = excluded.args, priority = excluded.priority,"
    " cron = excluded.cron, timezone = excluded.timezone, added_at = excluded.added_at"
)
_REMOVE_RECURRING = "delete from {table} where key = {key}"
_ARGUMENTS = {
    "queue": "text",
    "name": "text",
    "args": "jsonb",
    "id": "text",
    "priority": "integer",
    "delay": "double precision",
    "scheduled_at": "timestamptz",
}


class JobQueue:
    """Adds jobs; may be used from several threads.

    A job that is given a connection is added in its transaction: it is there once that is committed, or not at all.
    Else it is added on a connection of the queue's own, and there when the call returns.
    """

    def __init__(
        self,
        connector: Connector | None = None,
        *,
        schema: str = "upgrader_worker",
        default_queue: str = "worker-default",
    ) -> None:
        """Connect to nothing yet.

        Args:
            connector: the way to the queue's database; None: jobs are only added on connections of the caller.
            schema: of the queue, `upgrader_worker` where the history's is `upgrader`.
            default_queue: of jobs that name none.
        """
        self.schema = schema
        self.default_queue = default_queue
        self._connection = None if connector is None else QueueConnection(connector)
        self._statement = text(_call(identifier(schema).replace(":", "\\:"), ":{}"))
        self._driver_statement = _call(identifier(schema).replace("%", "%%"), "%({})s").encode()

    @classmethod
    def at(
        cls, database_url: str, *, schema: str = "upgrader_worker", default_queue: str = "worker-default"
    ) -> Self:
        """Give the queue in this database; for an application that has no settings of upgrader's.

        The URL may be that of a pooler: each job is added by one statement.
        """
        connector = Connector(database_url, "upgrader/queue", is_plain=True)
        return cls(connector, schema=schema, default_queue=default_queue)

    @classmethod
    @contextmanager
    def of_settings(
        cls, settings: Settings, *, database_url: str | None = None, directory: Path | None = None
    ) -> Iterator[Self]:
        """Give the queue that the settings name, for the time of a block.

        Args:
            database_url: goes before what the settings say.
            directory: what an embedded server's directory is relative to; the working directory by default.
        """
        with ExitStack() as stack:
            connector = stack.enter_context(
                queue_connector(settings, explicit=database_url, directory=directory)
            )
            queue = cls(
                replace(connector, is_plain=True),
                schema=worker_schema(settings.history_schema),
                default_queue=settings.worker.default_queue,
            )
            stack.callback(queue.close)
            yield queue

    def add(
        self,
        queue: str | None,
        name: str,
        payload: object = None,
        *,
        connection: Connection | None = None,
        id: str | None = None,  # noqa: A002 - the name that queues give it
        priority: int = 0,
        delay: Seconds = 0.0,
        scheduled_at: datetime | None = None,
        attempts: int = 1,
        backoff: Backoff = Backoff(),  # noqa: B008 - immutable
    ) -> int | None:
        """Add a job and give its number; None where one waits under that id already.

        Args:
            queue: None: the default one.
            name: by which a handler is found.
            payload: what JSON holds, or pydantic models.
            connection: a SQLAlchemy connection to the queue's database: the job is in its transaction.
            id: only one job of the queue waits under it; the next may be added once that one is being worked on.
            priority: higher goes first.
            delay: it waits for so many seconds (or a timedelta) before its first try,
            scheduled_at: or until then, a time with its time zone.
            attempts: it is tried so often in all: 3 means three tries.
            backoff: the rests between them.

        Raises:
            QueueJobError: it cannot be queued as it stands; nothing was sent to the database.
            LayoutError: there is no queue in that database, or the role may not use it.
        """
        values = self._values(
            self.default_queue if queue is None else queue,
            name,
            JobArguments(payload, attempts, backoff, id),
            priority=priority,
            delay_seconds=seconds_of(delay),
            scheduled_at=scheduled_at,
        )
        return self._add(values) if connection is None else self._add_within(connection, values)

    def add_options(
        self,
        queue: str | None,
        name: str,
        payload: object,
        options: QueueJobOptions,
        *,
        connection: Connection | None = None,
    ) -> int | None:
        """Add a job with options as an object; otherwise as `add`."""
        return self.add(
            queue,
            name,
            payload,
            connection=connection,
            id=options.id,
            priority=options.priority,
            delay=options.delay,
            scheduled_at=options.scheduled_at,
            attempts=options.attempts,
            backoff=options.backoff,
        )

    def add_cron(
        self,
        queue: str | None,
        name: str,
        payload: object = None,
        *,
        cron: str,
        timezone: str | None = None,
        key: str | None = None,
        connection: Connection | None = None,
        id: str | None = None,  # noqa: A002 - the name that queues give it
        priority: int = 0,
        attempts: int = 1,
        backoff: Backoff = Backoff(),  # noqa: B008 - immutable
    ) -> str:
        """Let a job be added at each tick, until `remove_cron`; give the key of it.

        Some worker with a scheduler adds it, once for each tick over all of them. Adding under a key that is there
        changes what stands under it. The other arguments are those of `add`.

        Args:
            cron: six fields, seconds first, or five without them.
            timezone: an IANA name; None: that of the worker.
            key: by default the queue's name and the job's.

        Raises:
            QueueJobError: it is no cron expression, no time zone, or no job that could be queued.
            LayoutError: there are no workers' tables in that database, or the role may not use them.
        """
        check_schedule(cron, timezone)
        check_numbers(priority=priority, attempts=attempts, delay_seconds=0.0, backoff=backoff)
        queue = check_queue(self.default_queue if queue is None else queue)
        key = check_id(key) or f"{queue}/{check_name(name)}"
        values = {
            "key": key,
            "queue": queue,
            "name": check_name(name),
            "args": JobArguments(payload, attempts, backoff, check_id(id)).to_json(),
            "priority": priority,
            "cron": cron,
            "timezone": timezone,
        }
        self._execute(_ADD_RECURRING, values, connection)
        return key

    def remove_cron(self, key: str, *, connection: Connection | None = None) -> bool:
        """Let nothing more be added under a key; jobs that were added stay. False where there is none.

        Raises:
            LayoutError: as `add_cron`.
        """
        return self._execute(_REMOVE_RECURRING, {"key": key}, connection) > 0

    def _execute(self, statement: str, values: dict[str, Any], connection: Connection | None) -> int:
        """Execute a statement on our own tables, in the caller's transaction or at once; give the rows."""
        table = identifier(self.schema, "recurring_job")
        if connection is not None:
            sent = re.sub(r"\{(\w+)\}", r":\1", statement.replace("{table}", table.replace(":", "\\:")))
            try:
                return connection.execute(text(sent), values).rowcount
            except DBAPIError as error:
                found, url = database_error(error), connection.engine.url
                if found is None:
                    raise
                raise self._told(found, url.username or "", url.database or "") from error
        if self._connection is None:
            raise _no_database()
        sent = re.sub(r"\{(\w+)\}", r"%(\1)s", statement.replace("{table}", table.replace("%", "%%")))
        with self._connection.use() as driver:
            try:
                return driver.execute(sent.encode(), values).rowcount
            except psycopg.Error as error:
                raise self._told(error, driver.info.user, driver.info.dbname) from error

    def close(self) -> None:
        """Close the queue's own connection; the next `add` opens another."""
        if self._connection is not None:
            self._connection.close()

    def _values(
        self,
        queue: str,
        name: str,
        arguments: JobArguments,
        *,
        priority: int,
        delay_seconds: float,
        scheduled_at: datetime | None,
    ) -> dict[str, Any]:
        check_numbers(
            priority=priority,
            attempts=arguments.attempts,
            delay_seconds=delay_seconds,
            backoff=arguments.backoff,
        )
        check_time(scheduled_at, delay_seconds=delay_seconds)
        return {
            "queue": check_queue(queue),
            "name": check_name(name),
            "id": check_id(arguments.id),
            "args": arguments.to_json(),
            "priority": priority,
            "delay": delay_seconds,
            "scheduled_at": scheduled_at,
        }

    def _add(self, values: dict[str, Any]) -> int | None:
        if self._connection is None:
            raise _no_database()
        with self._connection.use() as driver:
            try:
                row = driver.execute(self._driver_statement, values).fetchone()
            except psycopg.Error as error:
                raise self._told(error, driver.info.user, driver.info.dbname) from error
        return None if row is None else row[0]

    def _add_within(self, connection: Connection, values: dict[str, Any]) -> int | None:
        try:
            number: int | None = connection.execute(self._statement, values).scalar_one()
        except DBAPIError as error:
            found = database_error(error)
            if found is None:  # another driver than psycopg: what it says is as good as anything
                raise
            url = connection.engine.url
            raise self._told(found, url.username or "", url.database or "") from error
        return number

    def _told(self, error: psycopg.Error, user: str, database: str) -> Exception:
        if isinstance(error, _MISSING):
            return no_queue(self.schema, database=database)
        if isinstance(error, psycopg.errors.InsufficientPrivilege):
            return no_rights_of(user, self.schema)
        if isinstance(error, psycopg.errors.UntranslatableCharacter):
            return QueueJobError(
                f"the job holds characters that the encoding of the database {database} has not",
                hint="write them in another way (ASCII escapes of your own), or put the queue into a database in UTF-8:"
                " worker.queue_database_url",
            )
        return translate_run_error(error)


def _no_database() -> QueueJobError:
    return QueueJobError(
        "the queue was given no database of its own",
        hint="give `connection=`, or make it with JobQueue.at(URL)",
    )


def _call(schema: str, placeholder: str) -> str:
    arguments = (f"cast({placeholder.format(name)} as {kind})" for name, kind in _ARGUMENTS.items())
    return f"select {schema}.add_job({', '.join(arguments)})"
