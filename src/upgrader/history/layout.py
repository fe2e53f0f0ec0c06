"""The history schema: its tables and functions, and bringing it up to date."""

from __future__ import annotations

import psycopg

from upgrader.database.connect import identifier, literal
from upgrader.database.leftovers import ENDED, LOCK_LEFT, TEMPORARY_LEFT
from upgrader.errors import LayoutError
from upgrader.history.backfill_layout import BACKFILL_FUNCTIONS, BACKFILL_TABLES, CHECKPOINT_MOVED
from upgrader.history.keys import LockKeys
from upgrader.history.layout_sql import CHECK_BODY, FUNCTIONS, TABLES
from upgrader.history.workspace_functions import ENROLLED_ALREADY, NOT_ENROLLED, WORKSPACE_FUNCTIONS

LAYOUT_VERSION = 1


def read_layout_version(driver: psycopg.Connection, schema: str) -> int | None:
    """Give the layout version of the history schema; None where there is no history yet.

    Raises:
        LayoutError: it is newer than this program, or the schema holds something else.
    """
    # to_regclass() fails where the role may not use the schema; the catalog tells everybody.
    found = driver.execute(
        "select relname from pg_class where relname in ('meta', 'history')"
        " and relnamespace = (select oid from pg_namespace where nspname = %s)",
        [schema],
    ).fetchall()
    if not found:
        return None
    if ("meta",) not in found:
        raise LayoutError(
            f"the schema {schema} has a table history that is not this program's",
            hint='set another schema, for example schema = "upgrader_history"',
        )
    return _checked_version(driver, schema)


def _checked_version(driver: psycopg.Connection, schema: str) -> int:
    try:
        row = driver.execute(
            f"select value::text from {identifier(schema, 'meta')} where key::text = 'layout'".encode()
        ).fetchone()
    except psycopg.errors.UndefinedColumn:
        row = None
    except psycopg.errors.InsufficientPrivilege as error:
        raise not_readable(driver, schema) from error
    if row is None or not str(row[0]).isdigit():
        raise LayoutError(
            f"the schema {schema} has a table meta that is not this program's",
            hint='set another schema, for example schema = "upgrader_history"',
        )
    version = int(row[0])
    if version > LAYOUT_VERSION:
        raise LayoutError(
            f"the history in schema {schema} has layout {version}; this program knows up to {LAYOUT_VERSION}",
            hint="a newer version of upgrader was used on this database: install that version or a later one",
        )
    return version


def not_readable(driver: psycopg.Connection, schema: str) -> LayoutError:
    """Say that the role may not read the history."""
    user, name = driver.info.user, identifier(schema)
    return LayoutError(
        f"role {user} may not read the history in the schema {schema}",
        hint=f"let its owner run: GRANT SELECT ON ALL TABLES IN SCHEMA {name} TO {identifier(user)};",
    )


def bring_up_to_date(driver: psycopg.Connection, schema: str, *, is_trial: bool = False) -> None:
    """Make the history schema, or nothing where it is up to date. Takes a transaction of its own.

    Args:
        is_trial: undo it again: only whether it could be made is of interest.

    Raises:
        LayoutError: the role may not make it, or the database is read-only.
    """
    _refuse_read_only(driver)
    if read_layout_version(driver, schema) is not None:
        require_write(driver, schema)
        return
    try:
        with driver.transaction(force_rollback=is_trial):
            create_layout(driver, schema)
    except psycopg.errors.InsufficientPrivilege as error:
        reason = str(error.diag.message_primary)
        is_there = _is_there(driver, schema)
        raise may_not_create(driver.info.user, schema, is_there=is_there, reason=reason) from error


def may_not_create(user: str, schema: str, *, is_there: bool, reason: str = "") -> LayoutError:
    """Give the error for a role that may not make the history.

    Args:
        is_there: whether the schema itself is there, empty.
        reason: in the server's words.
    """
    name = identifier(schema)
    remedy = f"ALTER SCHEMA {name} OWNER TO" if is_there else f"CREATE SCHEMA {name} AUTHORIZATION"
    return LayoutError(
        f"role {user} may not make the history schema {schema}{f': {reason}' if reason else ''}",
        hint=f"let an administrator run: {remedy} {identifier(user)};",
    )


def require_write(driver: psycopg.Connection, schema: str) -> None:
    """Make sure that the role may write the history that is there.

    Raises:
        LayoutError: it may not.
    """
    tables = [identifier(schema, table) for table in ("history", "scope", "run", "quarantine")]
    emptied = [identifier(schema, table) for table in ("backfill", "backfill_order")]
    row = driver.execute(
        "select bool_and(has_table_privilege(name, 'INSERT') and has_table_privilege(name, 'UPDATE')"
        " and (has_table_privilege(name, 'DELETE') or name <> all(%s::text[]))) from unnest(%s::text[]) name",
        [emptied, [*tables, *emptied]],
    ).fetchone()
    if row != (True,):
        user, name = identifier(driver.info.user), identifier(schema)
        raise LayoutError(
            f"role {user} may not write the history in the schema {schema}",
            hint="use the role that made it, or let its owner run: GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES"
            f" IN SCHEMA {name} TO {user}; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {name} TO {user};",
        )


def _refuse_read_only(driver: psycopg.Connection) -> None:
    if driver.execute("select current_setting('transaction_read_only')").fetchone() == ("on",):
        raise LayoutError(
            "the connection is read-only, so that nothing can run",
            hint="give the URL of the primary server; see to default_transaction_read_only of role and database",
        )


def check_block(schema: str) -> str:
    """Give the check of a step as a statement of its own, for a database without history functions.

    `{token}` in it stands for the marker, `{temporary_allowed}` for whether temporary tables may be there.
    """
    body = CHECK_BODY.format(**_values(schema))
    body = (
        body.replace("p_token", "'{token}'")
        .replace("p_temporary_allowed", "{temporary_allowed}")
        .replace("p_locks_possible", "true")
        .replace("p_lock", "null")
    )
    return f"do $upgrader$ {body} end $upgrader$"


def create_layout(driver: psycopg.Connection, schema: str) -> None:
    """Make the tables and functions, and the schema where it is missing, in the transaction that is open."""
    # CREATE SCHEMA IF NOT EXISTS asks for the right to create one even where it is there.
    if not _is_there(driver, schema):
        driver.execute(f"create schema {identifier(schema)}".encode())
    driver.execute(_layout_sql(schema).encode())


def _is_there(driver: psycopg.Connection, schema: str) -> bool:
    row = driver.execute("select to_regnamespace(%s) is not null", [identifier(schema)]).fetchone()
    return row == (True,)


def _layout_sql(schema: str) -> str:
    values = _values(schema)
    parts = (TABLES, BACKFILL_TABLES, BACKFILL_FUNCTIONS, FUNCTIONS, WORKSPACE_FUNCTIONS)
    return "".join(parts).format(**values, check_body=CHECK_BODY.format(**values))


def _values(schema: str) -> dict[str, object]:
    keys = LockKeys.of(schema)
    unsigned = keys.fence & (2**64 - 1)
    return {
        "schema": identifier(schema),
        "version": LAYOUT_VERSION,
        "ended": ENDED,
        "temporary_left": TEMPORARY_LEFT,
        "lock_left": LOCK_LEFT,
        "enrolled_already": ENROLLED_ALREADY,
        "not_enrolled": NOT_ENROLLED,
        "moved": CHECKPOINT_MOVED,
        "fence_high": unsigned >> 32,
        "fence_low": unsigned & 0xFFFFFFFF,
        "barrier": literal(keys.barrier),
    }
