"""From differences to changes: each of Alembic's operations goes to the part that knows the safe way."""

from __future__ import annotations

from collections.abc import Sequence

from alembic.operations import ops
from sqlalchemy import Connection

from upgrader.generate.autogenerate.change import Change, Changes, Stage
from upgrader.generate.autogenerate.columns import add_column, alter_column, drop_column
from upgrader.generate.autogenerate.comparison import compare
from upgrader.generate.autogenerate.constraints import (
    add_foreign_key,
    add_unique,
    compare_checks,
    drop_constraint,
    warn_of_primary_key,
)
from upgrader.generate.autogenerate.ground import Ground
from upgrader.generate.autogenerate.indexes import compare_indexes
from upgrader.generate.autogenerate.prerequisites import collect_prerequisites
from upgrader.generate.autogenerate.tables import create_tables, drop_tables

_Place = tuple[str | None, str]


def collect_changes(connection: Connection, ground: Ground) -> Changes:
    """Compare, and give all that has to be done."""
    operations = compare(connection, ground)
    created = [(one.schema, one.table_name) for one in operations if isinstance(one, ops.CreateTableOp)]
    dropped = [(one.schema, one.table_name) for one in operations if isinstance(one, ops.DropTableOp)]
    collect_prerequisites(ground)
    create_tables([ground.metadata_table(*place) for place in created], ground)
    drop_tables(dropped, ground)
    whole = {_real(place, ground) for place in (*created, *dropped)}
    rest = [one for one in operations if _real(_place(one), ground) not in whole]
    # Foreign keys come last: what they refer to may have to become unique first.
    for operation in sorted(rest, key=lambda one: isinstance(one, ops.CreateForeignKeyOp)):
        _collect(operation, ground)
    for table in ground.scope.tables:
        if (table.schema or ground.scope.default_schema, table.name) not in whole:
            warn_of_primary_key(table, ground)
            compare_checks(table, ground)
            compare_indexes(table, ground)
    ground.changes.main.sort(key=lambda change: change.stage)
    return ground.changes


def _collect(operation: ops.MigrateOperation, ground: Ground) -> None:
    match operation:
        case ops.AddColumnOp():
            table = ground.metadata_table(operation.schema, operation.table_name)
            add_column(table, table.columns[operation.column.name], ground)
        case ops.AlterColumnOp():
            alter_column(operation, ground)
        case ops.DropColumnOp():
            drop_column(operation, ground)
        case ops.CreateIndexOp() | ops.DropIndexOp():
            pass  # compared more closely by compare_indexes
        case ops.CreateUniqueConstraintOp():
            add_unique(operation, ground)
        case ops.CreateForeignKeyOp():
            add_foreign_key(operation, ground)
        case ops.DropConstraintOp():
            drop_constraint(operation, ground)
        case ops.CreateTableCommentOp() | ops.DropTableCommentOp():
            _table_comment(operation, ground)
        case _:
            ground.warn(f"{type(operation).__name__} is not written: do it by hand")


def _table_comment(operation: ops.CreateTableCommentOp | ops.DropTableCommentOp, ground: Ground) -> None:
    table = ground.metadata_table(operation.schema, operation.table_name)
    name, literal = ground.writer.table(table), ground.writer.literal
    texts: Sequence[str | None] = (table.comment, ground.catalog.comment(name))
    up, down = (f"COMMENT ON TABLE {name} IS {literal(one) if one else 'NULL'}" for one in texts)
    ground.changes.main.append(Change(Stage.COMMENTS, (up,), (down,)))


def _place(operation: ops.MigrateOperation) -> _Place:
    if isinstance(operation, ops.CreateForeignKeyOp):
        return operation.kw.get("source_schema"), operation.source_table
    return getattr(operation, "schema", None), str(getattr(operation, "table_name", ""))


def _real(place: _Place, ground: Ground) -> tuple[str, str]:
    return place[0] or ground.scope.default_schema, place[1]
