"""The queue's schema: Procrastinate's tables and our own, brought up to date.

Only `bring_up_to_date` needs Procrastinate installed; it is what a worker does as it starts.
"""

from __future__ import annotations

import hashlib
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg

from upgrader.database.connect import identifier
from upgrader.errors import LayoutError
from upgrader.worker.queue.layout_sql import DEPENDENTS, FUNCTIONS_KNOW_THEIR_SCHEMA, OBJECTS, TABLES, TAKING

LAYOUT_VERSION = 2
_POST = "_post_"
_LOCK_SECONDS, _REST_SECONDS, _TRIES = 1.0, 4.0, 12
"""Whoever adds a job waits for a second at the most, and then has four in which nobody stands in the way."""
_WRITTEN = ("procrastinate_jobs", "procrastinate_events", "procrastinate_workers", "job_error")


@dataclass(frozen=True, slots=True)
class QueueLayout:
    """What the schema of a queue is up to.

    Attributes:
        migration: the newest of Procrastinate's that was applied.
        layout: the version of what is ours.
    """

    migration: str
    layout: int


def read_layout(driver: psycopg.Connection, schema: str) -> QueueLayout | None:
    """Give what the queue is up to; None where there is none yet. Writes nothing.

    Raises:
        LayoutError: the role may not read it, or it is newer than this program.
    """
    # to_regclass() fails where the role may not use the schema; the catalog tells everybody.
    found = driver.execute(
        "select from pg_class where relname = 'queue_layout'"
        " and relnamespace = (select oid from pg_namespace where nspname = %s)",
        [schema],
    ).fetchone()
    if found is None:
        return None
    table = identifier(schema, "queue_layout")
    try:
        row = driver.execute(f"select migration, layout from {table}".encode()).fetchone()
    except psycopg.errors.InsufficientPrivilege as error:
        raise no_rights(driver, schema) from error
    if row is None:
        return None
    layout = QueueLayout(*row)
    if layout.layout > LAYOUT_VERSION:
        raise LayoutError(
            f"the queue in schema {schema} has layout {layout.layout}; this program knows up to {LAYOUT_VERSION}",
            hint="a newer version of upgrader was used on this database: install that version or a later one",
        )
    return layout


def bring_up_to_date(driver: psycopg.Connection, schema: str) -> None:
    """Make the schema of the queue, or do what is missing in it; nothing where it is up to date.

    Takes a transaction of its own and a lock within it: several workers may start at once.

    Raises:
        LayoutError: the role may not, or a newer Procrastinate was here.
    """
    packaged = packaged_migrations()
    wanted = QueueLayout(packaged[-1].stem, LAYOUT_VERSION)
    if read_layout(driver, schema) != wanted:
        _bring_up_to_date(driver, schema, packaged)
    _require_write(driver, schema)


def packaged_migrations() -> list[Path]:
    """Give the migrations that the installed Procrastinate brings along, in their order."""
    from procrastinate.schema import migrations_path

    return sorted(path for path in migrations_path.iterdir() if path.suffix == ".sql")


def no_rights(driver: psycopg.Connection, schema: str) -> LayoutError:
    """Say that the role may not use the queue."""
    return no_rights_of(driver.info.user, schema)


def no_rights_of(user: str, schema: str) -> LayoutError:
    """Say that this role may not use the queue."""
    role, name = identifier(user), identifier(schema)
    return LayoutError(
        f"role {user} may not use the queue in the schema {schema}",
        hint=f"let its owner run: GRANT USAGE ON SCHEMA {name} TO {role};"
        f" GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {name} TO {role};"
        f" GRANT USAGE ON ALL SEQUENCES IN SCHEMA {name} TO {role};",
    )


def no_queue(schema: str, *, database: str = "") -> LayoutError:
    """Say that there is no queue yet."""
    where = f" of the database {database}" if database else ""
    return LayoutError(
        f"there is no queue in the schema {schema}{where}",
        hint="start `upgrader worker` once, which makes it; check that this is the database of the queue",
    )


def _bring_up_to_date(driver: psycopg.Connection, schema: str, packaged: list[Path]) -> None:
    try:
        for left in reversed(range(_TRIES)):
            try:
                with driver.transaction():
                    _bring_up_within(driver, schema, packaged)
            except psycopg.errors.LockNotAvailable as error:
                if not left:
                    raise _in_use(schema) from error
                time.sleep(_REST_SECONDS)
            else:
                return
    except psycopg.errors.InsufficientPrivilege as error:
        raise _may_not_make(driver, schema, str(error.diag.message_primary)) from error
    except psycopg.errors.ReadOnlySqlTransaction as error:
        raise LayoutError(
            "the connection is read-only, so that no worker can run",
            hint="give the URL of the primary server; see to default_transaction_read_only of role and database",
        ) from error


def _bring_up_within(driver: psycopg.Connection, schema: str, packaged: list[Path]) -> None:
    driver.execute("select pg_advisory_xact_lock(%s)", [_lock_key(schema)])
    # Another worker may have done it meanwhile.
    layout = read_layout(driver, schema)
    if layout is None:
        _create_schema(driver, schema)
    driver.execute("select set_config('search_path', %s, true)", [identifier(schema)])
    _migrate(driver, layout, packaged, schema)


def _create_schema(driver: psycopg.Connection, schema: str) -> None:
    # CREATE SCHEMA IF NOT EXISTS asks for the right to create one even where it is there.
    row = driver.execute("select to_regnamespace(%s) is not null", [identifier(schema)]).fetchone()
    if row != (True,):
        driver.execute(f"create schema {identifier(schema)}".encode())


def _migrate(
    driver: psycopg.Connection, layout: QueueLayout | None, packaged: list[Path], schema: str
) -> None:
    """Apply what is missing, in the transaction and `search_path` at hand."""
    newest = packaged[-1].stem
    if layout is None:
        from procrastinate.schema import SchemaManager

        driver.execute(_sendable(SchemaManager.get_schema(), driver))
    elif layout.migration > newest:
        raise LayoutError(
            f"the queue in schema {schema} was made by a newer Procrastinate than the one that is installed",
            hint="install the version that the other workers have, or a later one",
        )
    else:
        pending = [path for path in packaged if path.stem > layout.migration]
        due = _before_the_last_posts(pending) if _has_workers(driver) else pending
        if not due and layout.layout == LAYOUT_VERSION:
            return
        _lock_tables(driver)
        driver.execute(DEPENDENTS.encode())
        for path in due:
            driver.execute(_sendable(path.read_text(encoding="utf-8"), driver))
        newest = due[-1].stem if due else layout.migration
    driver.execute((TABLES + DEPENDENTS + OBJECTS + TAKING + FUNCTIONS_KNOW_THEIR_SCHEMA).encode())
    driver.execute(
        "insert into queue_layout (migration, layout) values (%s, %s)"
        " on conflict (only_row) do update set migration = excluded.migration, layout = excluded.layout",
        [newest, LAYOUT_VERSION],
    )


def _lock_tables(driver: psycopg.Connection) -> None:
    """Have all tables in hand before anything is changed, or none.

    Who adds a job in a long transaction has a lock on them, and whoever comes after a waiting ALTER TABLE waits with
    it: the application would stand still until that transaction ends.
    """
    driver.execute("select set_config('lock_timeout', %s, true)", [f"{_LOCK_SECONDS * 1000:.0f}ms"])
    driver.execute(f"lock table {', '.join(_WRITTEN)} in access exclusive mode".encode())
    driver.execute("set local lock_timeout = 0")


def _in_use(schema: str) -> LayoutError:
    return LayoutError(
        f"the queue in the schema {schema} could not be brought up to date: a transaction that lasts has added jobs",
        hint="nothing was changed; end that transaction (pg_stat_activity shows it by its xact_start), and start the"
        " worker again",
    )


def _sendable(script: str, driver: psycopg.Connection) -> bytes:
    """Give a script of Procrastinate's as the database can hold it: comments in it have dashes that LATIN1 lacks."""
    encoding = driver.info.parameter_status("server_encoding")
    return script.encode() if encoding == "UTF8" else script.encode("ascii", errors="replace")


def _has_workers(driver: psycopg.Connection) -> bool:
    row = driver.execute(
        "select exists (select from procrastinate_workers where last_heartbeat > now() - interval '1 minute')"
    ).fetchone()
    return row == (True,)


def _before_the_last_posts(pending: list[Path]) -> list[Path]:
    """Leave out those that take away what workers of the release before still use; a later start does them."""
    kept = list(pending)
    while kept and _POST in kept[-1].stem:
        kept.pop()
    return kept


def _may_not_make(driver: psycopg.Connection, schema: str, reason: str) -> LayoutError:
    user, name = driver.info.user, identifier(schema)
    layout = None
    with suppress(LayoutError):
        layout = read_layout(driver, schema)
    if layout is not None:
        return LayoutError(
            f"role {user} may not bring the queue in the schema {schema} up to date: {reason}",
            hint="start a worker once with the role that owns it",
        )
    return LayoutError(
        f"role {user} may not make the schema {schema} of the queue: {reason}",
        hint=f"let an administrator run: CREATE SCHEMA {name} AUTHORIZATION {identifier(user)};",
    )


def _require_write(driver: psycopg.Connection, schema: str) -> None:
    row = driver.execute(
        "select bool_and(has_table_privilege(c.oid, 'SELECT') and has_table_privilege(c.oid, 'INSERT')"
        " and has_table_privilege(c.oid, 'UPDATE') and has_table_privilege(c.oid, 'DELETE'))"
        " and bool_and(has_schema_privilege(c.relnamespace, 'USAGE')) from pg_class c"
        " where relnamespace = (select oid from pg_namespace where nspname = %s) and relname = any(%s)",
        [schema, list(_WRITTEN)],
    ).fetchone()
    if row != (True,):
        raise no_rights(driver, schema)


def _lock_key(schema: str) -> int:
    digest = hashlib.sha256(f"upgrader:queue-layout:{schema}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
