"""Indexes built and dropped while the application works, repeatably."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, text

from upgrader.database.connect import identifier
from upgrader.database.guard import EARLIER_ATTEMPTS, FOREIGN_INDEXES
from upgrader.database.index_progress import invalid_indexes
from upgrader.database.recording import is_recording
from upgrader.errors import StepError

_SHAPE = "upgrader_shape"
_LONGEST_NAME = 63  # bytes; PostgreSQL cuts longer names in silence

_FIND = """
select i.indexrelid::regclass::text, i.indisvalid and i.indisready, pg_get_indexdef(i.indexrelid),
    i.indrelid = to_regclass(:table), i.indexrelid::bigint
from pg_class c
join pg_index i on i.indexrelid = c.oid
where c.relnamespace = (select relnamespace from pg_class where oid = to_regclass(:table)) and c.relname = :name
"""
# Where this role may not see another role's progress, the lock that a build holds on its table tells.
_BUILDERS = """
select l.pid from pg_locks l join pg_stat_activity a using (pid)
where l.locktype = 'relation' and l.mode = 'ShareUpdateExclusiveLock' and l.granted
  and l.relation = to_regclass(:table) and l.database = (select oid from pg_database where datname = current_database())
  and l.pid <> pg_backend_pid() and a.backend_type is distinct from 'autovacuum worker'
order by l.pid
"""


class _Found(NamedTuple):
    """An index of the wanted name in the schema of the table."""

    qualified: str
    is_valid: bool
    definition: str
    is_on_table: bool
    oid: int


def create_index_concurrently(
    connection: Connection,
    name: str,
    *,
    table: str,
    columns: str | Sequence[str],
    unique: bool = False,
    where: str | None = None,
    method: str | None = None,
    include: str | Sequence[str] | None = None,
    nulls_not_distinct: bool = False,
    parameters: str | None = None,
    tablespace: str | None = None,
) -> None:
    """Build an index without blocking writers; for commands with `transactional=False`.

    Repeatable: a valid index of that name and definition counts as done. An invalid one that an unfinished
    attempt of this step left, and that nobody is building, is dropped and built again; any other invalid one
    is reported and left alone.

    Args:
        name: the index's name, without schema: it stands in its table's schema.
        table: the table as SQL, `core.invoice`; unqualified names are looked up in `search_path`.
        columns: columns or expressions as SQL, in order, each with what belongs to it: `name text_pattern_ops`.
        unique: whether values have to be unique.
        where: the predicate of a partial index, as SQL.
        method: the index method; `btree` if not given.
        include: columns that are carried along.
        nulls_not_distinct: whether a unique index takes two NULLs for the same (PostgreSQL 15 and later).
        parameters: storage parameters as SQL: `fillfactor = 70`.
        tablespace: where the index is stored.

    Raises:
        StepError: the connection is in a transaction, the table is not there, or an index of that name is
            in the way.
    """
    _require_autocommit(connection, "create_index_concurrently")
    if len(name.encode()) > _LONGEST_NAME:
        raise StepError(
            f"the index name {name} is longer than {_LONGEST_NAME} bytes", hint="choose a shorter name"
        )
    _require_table(connection, table)
    parts = (f"using {identifier(method)}" if method else "", f"({_joined(columns)})", _included(include))
    head = " ".join(part for part in parts if part)
    head += " nulls not distinct" if nulls_not_distinct else ""
    head += f" with ({parameters})" if parameters else ""
    place, where = (
        f" tablespace {identifier(tablespace)}" if tablespace else "",
        f" where {where}" if where else "",
    )
    create = f"create {'unique ' if unique else ''}index"
    # Where it is stored is not part of what it is: an index that was moved since counts as built.
    if _is_there(connection, name, table, f"{create} on pg_temp.{_SHAPE} {head}{where}"):
        return
    _execute(connection, f"{create} concurrently {identifier(name)} on {table} {head}{place}{where}")
    if is_recording(connection):
        return
    found = _find(connection, name, table)
    if found is None or not found.is_valid:
        raise StepError(
            f"the index {name} was built but is not valid", hint="run the upgrade again: it is built anew"
        )


def drop_index_concurrently(connection: Connection, name: str, *, table: str | None = None) -> None:
    """Drop an index without blocking anybody; for commands with `transactional=False`. Repeatable.

    Args:
        name: the index as SQL, `core.invoice_number_idx`; one that is not there counts as dropped.
        table: its table as SQL; `name` is then bare, as in `create_index_concurrently`, and an index of that
            name elsewhere in the `search_path` is left alone.

    Raises:
        StepError: the connection is in a transaction.
    """
    _require_autocommit(connection, "drop_index_concurrently")
    if table is None:
        found = connection.execute(text("select to_regclass(:name)::text"), {"name": name}).scalar()
    else:
        there = _find(connection, name, table)
        found = there.qualified if there is not None and there.is_on_table else None
    if found is not None:
        _execute(connection, f"drop index concurrently if exists {found}")


def _is_there(connection: Connection, name: str, table: str, statement: str) -> bool:
    """Tell whether the index is there and as wanted; remove what an unfinished attempt left.

    Args:
        statement: makes the wanted index on the empty copy of the table.
    """
    found = _find(connection, name, table)
    if found is not None and not found.is_valid:
        found = _settled(connection, found, name, table)
    if found is None:
        return False
    qualified, is_valid, definition, is_on_table, oid = found
    if not is_on_table:
        raise StepError(
            f"there is an index {qualified} of another table: {definition}", hint="choose another name"
        )
    if is_valid:
        wanted = _canonical_definition(connection, table, statement)
        if _tail(definition) != _tail(wanted):
            raise StepError(
                f"there is an index {qualified} of another definition: {definition}",
                hint="choose another name, or drop it in a command before this one",
            )
        return True
    if not connection.info.get(EARLIER_ATTEMPTS) or oid in connection.info.get(FOREIGN_INDEXES, ()):
        raise StepError(
            f"there is an invalid index {qualified}, and not by an unfinished attempt of this step",
            hint=f"look at it, then remove it: DROP INDEX CONCURRENTLY {qualified};",
        )
    _execute(connection, f"drop index concurrently if exists {qualified}")
    return False


def _find(connection: Connection, name: str, table: str) -> _Found | None:
    row = connection.execute(text(_FIND), {"table": table, "name": name}).one_or_none()
    return None if row is None else _Found(*row)


def _settled(connection: Connection, found: _Found, name: str, table: str) -> _Found | None:
    """Give what has become of an invalid index, once nobody works on it.

    Raises:
        StepError: somebody may be building it.
    """
    builders = connection.execute(text(_BUILDERS), {"table": table}).scalars().all()
    driver = connection.connection.driver_connection
    assert driver is not None
    if not builders and found.oid in invalid_indexes(driver):
        return found
    now = _find(connection, name, table)
    if now is None or now.is_valid:
        return now
    who = f"pid {', '.join(str(pid) for pid in builders)}" if builders else "another session"
    raise StepError(
        f"the index {found.qualified} is invalid, and {who} may be building it",
        hint="wait until that session has finished, then run the upgrade again",
    )


def _canonical_definition(connection: Connection, table: str, statement: str) -> str:
    """Have PostgreSQL write the definition its own way: make the index on an empty copy of the table."""
    driver = connection.connection.driver_connection
    assert driver is not None
    with driver.transaction(force_rollback=True):
        driver.execute(f"create temp table {_SHAPE} (like {table}) on commit drop".encode())
        driver.execute(statement.encode())
        row = driver.execute(
            f"select pg_get_indexdef(indexrelid) from pg_index where indrelid = 'pg_temp.{_SHAPE}'::regclass".encode()
        ).fetchone()
    return str(row[0])


def _tail(definition: str) -> tuple[bool, str]:
    """Give what matters of a definition: whether it is unique, and all from the method on."""
    head, _, tail = definition.partition(" USING ")
    return head.upper().startswith("CREATE UNIQUE"), tail


def _included(columns: str | Sequence[str] | None) -> str:
    return f"include ({_joined(columns)})" if columns else ""


def _execute(connection: Connection, statement: str) -> None:
    # Without parameters the driver takes a % for what it is: `where name like 'a%'`.
    connection.exec_driver_sql(statement, execution_options={"no_parameters": True})


def _joined(columns: str | Sequence[str]) -> str:
    return columns if isinstance(columns, str) else ", ".join(columns)


def _require_table(connection: Connection, table: str) -> None:
    found = connection.execute(text("select to_regclass(:table)::text"), {"table": table}).scalar()
    if found is None:
        raise StepError(f"there is no table {table}", hint="name it with its schema: core.invoice")


def _require_autocommit(connection: Connection, what: str) -> None:
    if is_recording(connection):
        return
    driver = connection.connection.driver_connection
    if driver is None or not driver.autocommit or driver.info.transaction_status != 0:
        raise StepError(
            f"{what} cannot run inside a transaction",
            hint="decorate the command with transactional=False, with nothing else in it",
        )
