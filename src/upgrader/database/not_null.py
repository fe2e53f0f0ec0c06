"""Making a column NOT NULL while the application works.

    ADD CONSTRAINT … CHECK (column IS NOT NULL) NOT VALID     short, ACCESS EXCLUSIVE
    VALIDATE CONSTRAINT                                       scans the table; readers and writers go on
    SET NOT NULL                                              short: the check proves that no scan is needed
    DROP CONSTRAINT                                           short

The lock of the first would last to the end of its transaction and the scan with it: the first two have transactions
of their own. Inside a step's transaction a large table is therefore reported as one that has to be proven; the
runner rolls back, proves it, and tries the step again.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from sqlalchemy import Connection, text

from upgrader.database.connect import identifier
from upgrader.database.failures import database_error, repeatable_reason
from upgrader.database.recording import recording
from upgrader.database.retry import RetryPolicy
from upgrader.database.rows_left import count_rows, told
from upgrader.errors import StepError

SMALL_TABLE_BYTES = 8 * 2**20
"""A table up to this size is scanned under the lock: that takes milliseconds, no longer than what it saves."""
PROVER = "upgrader_prover"
"""Key of `Connection.info`: where a step is only tried, a function that is told of what a run would prove."""
LOCK_TIMEOUT_SECONDS = 2.0
"""How long a statement outside a transaction waits for its lock, and others behind it, before it is tried again."""
_RETRIES = RetryPolicy()
_LONGEST_NAME = 63  # bytes; PostgreSQL cuts longer names in silence

_FIND = """
select c.oid::bigint, format('%I.%I', n.nspname, c.relname), c.relkind::text, a.attnum, quote_ident(a.attname),
    a.attnotnull, (
        with recursive tree (id) as (
            select c.oid union select i.inhrelid from pg_inherits i join tree on tree.id = i.inhparent
        ) select coalesce(sum(pg_relation_size(id)), 0)::bigint from tree
    ),
    n.oid = pg_my_temp_schema() or exists (
        -- Made by this transaction: nothing ever changes the row of a system column.
        select from pg_attribute s, pg_locks l
        where s.attrelid = c.oid and s.attnum = -1 and age(s.xmin) <= 0 and l.locktype = 'relation'
          and l.relation = c.oid and l.pid = pg_backend_pid() and l.mode = 'AccessExclusiveLock' and l.granted
    )
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
left join pg_attribute a on a.attrelid = c.oid and a.attname = :column and a.attnum > 0 and not a.attisdropped
where c.oid = to_regclass(:table)
"""
# One that a partition has from its parent is not its own to drop.
_CONSTRAINTS = """
select conname, contype::text, convalidated, pg_get_constraintdef(oid), coninhcount = 0 from pg_constraint
where conrelid = cast(:oid as bigint)::oid
  and (conkey = array[:number]::smallint[] and contype in ('c', 'n') or conname = :name)
"""
_CHECK_VIOLATION = "23514"
_NOT_A_TABLE = {"v": "a view", "m": "a materialized view", "S": "a sequence", "i": "an index", "c": "a type"}


class ProofNeeded(StepError):  # noqa: N818 - an error only where nobody can give the proof
    """A table is too large to be scanned under an exclusive lock, and nothing proves that no scan is needed.

    Attributes:
        relation: the table, qualified, as SQL.
        column: by its bare name.
    """

    def __init__(self, relation: str, column: str, size_bytes: int) -> None:
        self.relation = relation
        self.column = column
        super().__init__(
            f"{relation} has {size_bytes / 2**20:,.0f} MB: set_not_null() would scan it in this transaction and block"
            " everybody meanwhile",
            hint="call it in up() or run_on_workspace(), where the run validates a check before the transaction, or in"
            " a command with transactional=False",
        )


@dataclass(frozen=True, slots=True)
class Nullable:
    """A column, and what the catalog says of its NULLs.

    Attributes:
        relation: the table, qualified, as SQL.
        column: as SQL.
        is_done: it is NOT NULL, for all rows.
        unproven_mark: the NOT NULL constraint that is there and not validated (PostgreSQL 18); None without one.
        is_proven: some validated check says that there is no NULL.
        own_check: the name of our check, as SQL; None where there is none.
        is_unseen: nobody else sees the table: it is temporary, or made in this transaction.
    """

    relation: str
    column: str
    name: str
    size_bytes: int
    is_done: bool
    unproven_mark: str | None
    is_proven: bool
    own_check: str | None
    is_unseen: bool = False

    @property
    def is_small(self) -> bool:
        """Whether a scan under the lock takes no more than a moment."""
        return self.size_bytes <= SMALL_TABLE_BYTES or self.is_unseen

    @property
    def needs_proof(self) -> bool:
        """Whether there is something to do for which the table would be scanned for long under a lock."""
        return not (self.is_done or self.is_proven or self.is_small)


def set_not_null(connection: Connection, table: str, column: str) -> None:
    """Make a column NOT NULL without blocking readers or writers for longer than a moment.

    Repeatable; a column that is NOT NULL is left as it is. In `up` and `run_on_workspace` of a large table the run
    rolls back what the method did so far, validates a check constraint in transactions of its own, and calls the
    method again: call it first. In a command with `transactional=False` the same happens at once. A check that a
    killed run has left behind is found by its name and used.

    Args:
        table: the table as SQL, `core.invoice`; unqualified names are looked up in `search_path`. A partitioned
            table or a parent means all that is below it, too.
        column: its bare name.

    Raises:
        StepError: there are NULLs (it says how many), there is no such table or column, or the method is called in
            a transaction of a data migration and the table is large.
    """
    found = look_at(connection, table, column)
    if _is_autocommit(connection):
        _outside_a_transaction(connection, table, found)
        return
    if not found.needs_proof:
        if not (found.is_done or found.is_proven):
            refuse_nulls(connection, found)
        _execute_all(connection, finish(found))
        return
    prover: Callable[[Connection, Nullable], None] | None = connection.info.get(PROVER)
    if prover is None:
        raise ProofNeeded(found.relation, column, found.size_bytes)
    prover(connection, found)
    with recording(connection, lambda _: True):
        _execute_all(connection, finish(replace(found, own_check=identifier(check_name(column)))))


def look_at(connection: Connection, table: str, column: str) -> Nullable:
    """Read what the catalog says of a column.

    Raises:
        StepError: there is no such table or column, or our check's name is taken.
    """
    row = connection.execute(text(_FIND), {"table": table, "column": column}).one_or_none()
    if row is None:
        raise StepError(f"there is no table {table}", hint="name it with its schema: core.invoice")
    oid, relation, kind, number, quoted, is_marked, size_bytes, is_unseen = row
    if kind in _NOT_A_TABLE:
        raise StepError(f"{relation} is {_NOT_A_TABLE[kind]}, not a table", hint="name the table below it")
    if number is None:
        hint = (
            "give the bare name, without quotes" if '"' in column else "add it in a command before this one"
        )
        raise StepError(f"{relation} has no column {column}", hint=hint)
    name, wanted = check_name(column), f"CHECK (({quoted} IS NOT NULL))"
    own, unproven, is_proven = False, None, False
    given = {"oid": oid, "number": number, "name": name}
    for constraint, constraint_kind, is_valid, definition, is_own in connection.execute(
        text(_CONSTRAINTS), given
    ):
        is_alike = definition.removesuffix(" NOT VALID") == wanted
        if constraint == name and not is_alike:
            raise StepError(
                f"{relation} has a constraint {name} of another definition: {definition}",
                hint="that name is kept for set_not_null(); rename or drop the constraint in a command before this one",
            )
        own = own or (constraint == name and is_own)
        is_proven = is_proven or (is_alike and is_valid)
        if constraint_kind == "n" and not is_valid:
            unproven = identifier(constraint)
    return Nullable(
        relation,
        quoted,
        column,
        size_bytes,
        is_done=is_marked and unproven is None,
        unproven_mark=unproven,
        is_proven=is_proven,
        own_check=identifier(name) if own else None,
        is_unseen=is_unseen,
    )


def proof(found: Nullable) -> Iterator[str]:
    """Give what proves that there is no NULL, each statement for a transaction of its own; nothing if nothing is due.

    The application can write no NULL from the first statement on.
    """
    if not found.needs_proof:
        return
    target = f"ALTER TABLE {found.relation}"
    if found.unproven_mark is not None:
        yield f"{target} VALIDATE CONSTRAINT {found.unproven_mark}"
        return
    check = identifier(check_name(found.name))
    if found.own_check is None:
        yield f"{target} ADD CONSTRAINT {check} CHECK ({found.column} IS NOT NULL) NOT VALID"
    yield f"{target} VALIDATE CONSTRAINT {check}"


def finish(found: Nullable) -> Iterator[str]:
    """Give what makes the column NOT NULL once that is proven, or takes no time; nothing if it is done."""
    target = f"ALTER TABLE {found.relation}"
    if not found.is_done:
        yield f"{target} ALTER COLUMN {found.column} SET NOT NULL"
    if found.own_check is not None:  # not in one statement: it would be gone before it is used
        yield f"{target} DROP CONSTRAINT {found.own_check}"


def withdrawal(found: Nullable) -> Iterator[str]:
    """Give what takes an unfinished proof back: the application may write NULL again."""
    if found.own_check is not None:
        yield f"ALTER TABLE {found.relation} DROP CONSTRAINT IF EXISTS {found.own_check}"


def refuse_nulls(connection: Connection, found: Nullable) -> None:
    """Make sure that there is no NULL, while readers and writers go on.

    Raises:
        StepError: there are; it says how many.
    """
    count = count_rows(connection, found.relation, f"{found.column} IS NULL")
    if count:
        raise StepError(
            f"{found.relation}.{found.column} is NULL in {told(count)}",
            hint="give them a value first: in run_data_migration() of a slow command, with ctx.backfill();"
            " one that is through begins again with --restart-backfill",
        )


def is_broken_by_null(error: BaseException) -> bool:
    """Tell whether a check could not be validated: a NULL was written while nobody looked."""
    found = database_error(error)
    return found is not None and found.sqlstate == _CHECK_VIOLATION


def check_name(column: str) -> str:
    """Name the check that stands for a column's NOT NULL while that is being proven."""
    name = f"upgrader_{column}_not_null"
    if len(name.encode()) <= _LONGEST_NAME:
        return name
    return f"upgrader_{hashlib.sha256(column.encode()).hexdigest()[:16]}_not_null"


def _outside_a_transaction(connection: Connection, table: str, found: Nullable) -> None:
    if found.is_done or found.is_proven:
        pass
    elif found.own_check is None or found.is_small:
        refuse_nulls(connection, found)
    with _short_waits(connection):
        try:
            for statement in proof(found):
                _persist(connection, statement)
        except Exception as error:
            if not is_broken_by_null(error):
                raise
            for statement in withdrawal(look_at(connection, table, found.name)):
                _persist(connection, statement)
            refuse_nulls(connection, found)
            raise
        for statement in finish(look_at(connection, table, found.name)):
            _persist(connection, statement)


@contextmanager
def _short_waits(connection: Connection) -> Iterator[None]:
    """Let statements in the block wait for a lock only so long as others may have to queue up behind them."""
    before = connection.exec_driver_sql("show lock_timeout").scalar_one()
    connection.exec_driver_sql(f"set lock_timeout = '{LOCK_TIMEOUT_SECONDS:g}s'")
    try:
        yield
    finally:
        if not connection.closed and not connection.invalidated:
            connection.exec_driver_sql(f"set lock_timeout = '{before}'")


def _persist(connection: Connection, statement: str) -> None:
    """Execute a statement in autocommit, and again after a lock timeout or deadlock."""
    tries = 1
    while True:
        try:
            _execute(connection, statement)
            return
        except Exception as error:
            if repeatable_reason(error) is None or tries >= _RETRIES.tries:
                raise
        time.sleep(_RETRIES.pause_seconds(tries))
        tries += 1


def _execute_all(connection: Connection, statements: Iterator[str]) -> None:
    for statement in statements:
        _execute(connection, statement)


def _execute(connection: Connection, statement: str) -> None:
    connection.exec_driver_sql(statement, execution_options={"no_parameters": True})


def _is_autocommit(connection: Connection) -> bool:
    driver = connection.connection.driver_connection
    return driver is not None and driver.autocommit and driver.info.transaction_status == 0
