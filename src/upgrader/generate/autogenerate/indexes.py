"""Indexes of tables that are there already."""

from __future__ import annotations

from alembic.operations.ops import CreateIndexOp, DropIndexOp
from sqlalchemy import Table
from sqlalchemy.schema import DropIndex

from upgrader.generate.autogenerate.change import Change, IndexChange, Stage
from upgrader.generate.autogenerate.ground import Ground
from upgrader.generate.autogenerate.index_definition import IndexDefinition
from upgrader.generate.autogenerate.tables import plain_index


def add_index(operation: CreateIndexOp, ground: Ground) -> None:
    """Build an index in a command of its own; a partitioned table's in the main one, where it blocks."""
    table = ground.metadata_table(operation.schema, operation.table_name)
    index = next(one for one in table.indexes if one.name == operation.index_name)
    statement, drop = ground.writer.index(index), ground.writer.ddl(DropIndex(index))
    target = ground.writer.table(table)
    if ground.catalog.partition_key(target):
        ground.warn(f"{target} is partitioned: the index {index.name} is built while nobody can write")
        ground.changes.main.append(Change(Stage.CONSTRAINTS, (statement,), (drop,)))
        return
    qualified = drop.removeprefix("DROP INDEX ")
    definition = IndexDefinition.parse(statement)
    ground.changes.new_indexes.append(IndexChange(str(index.name), target, qualified, definition))


def drop_index(operation: DropIndexOp, ground: Ground) -> None:
    """Drop an index in a command of its own; the way back is what the database has now."""
    table: Table = ground.metadata_table(operation.schema, str(operation.table_name))
    target, name = ground.writer.table(table), ground.writer.quote(str(operation.index_name))
    live = next(one for one in ground.catalog.indexes(target) if one.name == name)
    schema, dot, _ = target.rpartition(".")
    qualified = f"{schema}{dot}{name}"
    if ground.catalog.partition_key(target):
        again = plain_index(name, target, live.definition)
        ground.changes.main.append(Change(Stage.DROP_CONSTRAINTS, (f"DROP INDEX {qualified}",), (again,)))
        return
    definition = IndexDefinition.parse(live.definition)
    ground.changes.dropped_indexes.append(
        IndexChange(str(operation.index_name), target, qualified, definition)
    )
