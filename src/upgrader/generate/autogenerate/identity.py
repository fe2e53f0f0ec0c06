"""Identity columns that begin, change or end: written by Alembic, which knows the cases."""

from __future__ import annotations

from typing import Any

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.operations.ops import AlterColumnOp
from sqlalchemy import Identity, Table
from sqlalchemy.sql import ClauseElement

from upgrader.generate.autogenerate.change import Change, Stage
from upgrader.generate.autogenerate.ground import Ground


def identity_change(operation: AlterColumnOp, table: Table, ground: Ground) -> Change | None:
    """Give the change of a column's identity; None where neither the old nor the new default is one."""
    new, old = operation.modify_server_default, operation.existing_server_default
    if not isinstance(new, Identity) and not isinstance(old, Identity):
        return None
    return Change(
        Stage.COLUMNS,
        tuple(_written(table, operation.column_name, new, old, ground)),
        tuple(_written(table, operation.column_name, old, new, ground)),
    )


def _written(table: Table, column: str, new: Any, old: Any, ground: Ground) -> list[str]:
    found: list[str] = []

    def record(construct: ClauseElement, *_: object, **__: object) -> None:
        found.append(ground.writer.ddl(construct))

    context = MigrationContext.configure(dialect=ground.writer.dialect, opts={"as_sql": True})
    context.impl._exec = record  # type: ignore[assignment, method-assign] # one statement at a time, not a script
    Operations(context).alter_column(
        table.name,
        column,
        schema=table.schema,
        server_default=new if new is not False else None,
        existing_server_default=old if old is not False else None,
    )
    return found
