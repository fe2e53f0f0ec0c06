"""Rows that a backfill has left behind, counted before a constraint finds them."""

from __future__ import annotations

from sqlalchemy import Connection

from upgrader.errors import StepError

COUNTED_AT_MOST = 100_000


def ensure_backfilled(connection: Connection, table: str, where: str) -> None:
    """Fail the step where rows are left to backfill, and say how many; for `up` of a slow command.

    Reads only, and holds up nobody: call it before the statements that lock the table. The statement timeout of the
    step holds for it; with an index that fits `where` it takes no time where nothing is left.

    Args:
        table: the table as SQL, `core.invoice`.
        where: the condition of a row that is not done yet, as SQL: `workspace_id IS NULL`.

    Raises:
        StepError: there are such rows; they are counted up to 100,000.
    """
    count = count_rows(connection, table, where)
    if count:
        raise StepError(
            f"{told(count)} of {table} {'is' if count == 1 else 'are'} left to backfill ({where})",
            hint="if they came while the backfill was at work, let the application write them whole first; then begin"
            " it again, for one that is through is not done again by itself, and its where= passes over the rows that"
            " are done: `upgrader upgrade --include-slow --restart-backfill`",
        )


def count_rows(connection: Connection, table: str, where: str) -> int:
    """Count the rows of a table that meet a condition, up to one more than 100,000. Takes no lock that blocks."""
    query = f"select count(*) from (select from {table} where ({where}) limit {COUNTED_AT_MOST + 1}) counted"
    # Without parameters the driver takes a % for what it is: `where name like 'a%'`.
    found = connection.exec_driver_sql(query, execution_options={"no_parameters": True}).scalar_one()
    return int(found)


def told(count: int) -> str:
    """Tell a count for people: `1 row`, `100,000 rows or more`."""
    if count > COUNTED_AT_MOST:
        return f"{COUNTED_AT_MOST:,} rows or more"
    return "1 row" if count == 1 else f"{count:,} rows"
