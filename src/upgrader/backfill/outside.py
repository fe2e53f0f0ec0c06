"""Backfills of commands that run outside a transaction: they are given a connection, and find the rest on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection

from upgrader.backfill.backfills import Backfills
from upgrader.backfill.batch_loop import BatchLoop
from upgrader.errors import StepError

_BACKFILLS = "upgrader_backfills"


def backfill_table(
    connection: Connection,
    table: str,
    *,
    set_: Mapping[str, str] | None = None,
    from_: str | None = None,
    where: str | None = None,
    update: str | None = None,
    key: str | Sequence[str] | None = None,
    label: str | None = None,
    batch_size: int | None = None,
) -> None:
    """Change the rows of a table in batches; for commands with `transactional=False`.

    The same as `ctx.backfill` in a data migration (see `DataMigrationContext`).

    Raises:
        StepError: the connection is inside a step's transaction, or it cannot be done as it is asked for.
    """
    backfills_on(connection, "backfill_table").backfill(
        table, set_=set_, from_=from_, where=where, update=update, key=key, label=label, batch_size=batch_size
    )


def table_batches(
    connection: Connection,
    table: str,
    *,
    key: str | Sequence[str] | None = None,
    label: str | None = None,
    batch_size: int | None = None,
) -> BatchLoop:
    """Give the batches of a table; for commands with `transactional=False`.

    The same as `ctx.batches` in a data migration (see `DataMigrationContext`).

    Raises:
        StepError: the connection is inside a step's transaction.
    """
    backfills = backfills_on(connection, "table_batches")
    return backfills.batches(table, key=key, label=label, batch_size=batch_size)


@contextmanager
def offering(connection: Connection, backfills: Backfills) -> Iterator[None]:
    """Let the functions find `backfills` on the connection in the block."""
    connection.info[_BACKFILLS] = backfills
    try:
        yield
    finally:
        if not connection.closed and not connection.invalidated:
            connection.info.pop(_BACKFILLS, None)


def backfills_on(connection: Connection, what: str) -> Backfills:
    """Give what does the backfills of the step that runs on a connection.

    Raises:
        StepError: there is none: the step runs in a transaction.
    """
    found = connection.info.get(_BACKFILLS)
    if not isinstance(found, Backfills):
        raise StepError(
            f"{what} cannot run inside a step's transaction: its batches commit one by one",
            hint="put it into run_data_migration (ctx.backfill) of a slow instance command or of a workspace"
            " command; or decorate the command with transactional=False, with nothing else in it that has to be"
            " undone",
        )
    return found
