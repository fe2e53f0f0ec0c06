"""Indexes of tables that are there already."""

from __future__ import annotations

from sqlalchemy import Index, Table
from sqlalchemy.schema import DropIndex

from upgrader.generate.autogenerate.catalog import LiveIndex
from upgrader.generate.autogenerate.change import Change, IndexChange, Stage
from upgrader.generate.autogenerate.ground import Ground
from upgrader.generate.autogenerate.index_definition import IndexDefinition
from upgrader.generate.autogenerate.sql_writer import bare
from upgrader.generate.autogenerate.tables import plain_index


def compare_indexes(table: Table, ground: Ground) -> None:
    """Compare the indexes of a table by name, then as the server writes them: Alembic sees less of them."""
    target = ground.writer.table(table)
    live = {bare(one.name): one for one in ground.catalog.indexes(target)}
    kept: set[str] = set()
    wanted = {str(index.name): index for index in sorted(table.indexes, key=lambda index: str(index.name))}
    for name, found in live.items():
        if name in wanted and not _is_different(target, name, wanted[name], found, ground):
            kept.add(name)
        else:
            _drop(target, found, ground)
    for name, index in wanted.items():
        if name not in kept:
            _add(target, index, ground)


def _is_different(target: str, name: str, index: Index, live: LiveIndex, ground: Ground) -> bool:
    """Compare two definitions; one that cannot be made before the other changes is a different one."""
    definition = ground.probe.index(target, ground.writer.index(index), name)
    return definition is None or _shape(definition) != _shape(live.definition)


def _shape(definition: str) -> tuple[bool, str]:
    head, _, tail = definition.partition(" USING ")
    return head.startswith("CREATE UNIQUE"), tail


def _add(target: str, index: Index, ground: Ground) -> None:
    """Build an index in a command of its own; a partitioned table's in the main one, where it blocks."""
    statement, drop = ground.writer.index(index), ground.writer.ddl(DropIndex(index))
    if ground.catalog.partition_key(target):
        ground.warn(f"{target} is partitioned: the index {index.name} is built while nobody can write")
        ground.changes.main.append(Change(Stage.CONSTRAINTS, (statement,), (drop,)))
        return
    qualified = drop.removeprefix("DROP INDEX ")
    definition = IndexDefinition.parse(statement)
    ground.changes.new_indexes.append(IndexChange(str(index.name), target, qualified, definition))


def _drop(target: str, live: LiveIndex, ground: Ground) -> None:
    """Drop an index in a command of its own; the way back is what the database has now."""
    schema, dot, _ = target.rpartition(".")
    qualified = f"{schema}{dot}{live.name}"
    if ground.catalog.partition_key(target):
        again = plain_index(live.name, target, live.definition)
        ground.changes.main.append(Change(Stage.DROP_CONSTRAINTS, (f"DROP INDEX {qualified}",), (again,)))
        return
    definition = IndexDefinition.parse(live.definition)
    ground.changes.dropped_indexes.append(IndexChange(bare(live.name), target, qualified, definition))
