"""What several commands share. A leading underscore keeps a file from being scanned for commands.

A command's checksum covers the class alone, not what it imports. So what stands here must stay as it is once
a released command uses it: a change of mind gets a new function.
"""

from typing import Any

from sqlalchemy import CursorResult, text

from upgrader import DataMigrationContext

BATCH_ROWS = 1000


def update_in_batches(ctx: DataMigrationContext, statement: str) -> bool:
    """Run an UPDATE batch by batch, each in a transaction of its own; tell whether it came to the end.

    Short transactions hold few row locks for a short time, and what is committed stays when a later batch
    fails. The walk goes up the primary key, so that no batch reads again what earlier ones have dealt with.

    Args:
        statement: an UPDATE of at most `:batch_rows` rows above the id `:after`, which RETURNs their ids.
            It must pass over the rows that are done: after a crash the walk begins again at the bottom.
    """
    after, updated = 0, 0
    while not ctx.stop_requested:
        with ctx.transaction() as connection:
            ids = connection.scalars(text(statement), {"after": after, "batch_rows": BATCH_ROWS}).all()
        if not ids:
            ctx.log.info("%s rows updated", f"{updated:,}")
            return True
        after, updated = max(ids), updated + len(ids)
    return False


def expect_one_row(result: CursorResult[Any]) -> None:
    """Fail if an UPDATE that must hit one row hit none: SQL itself takes no offence."""
    if result.rowcount != 1:
        raise LookupError(
            f"{result.rowcount} rows of core.workspace_statistics were updated, not 1; "
            "the step count-cities of 1.21.0 writes it, as does the application for a workspace that it makes"
        )
