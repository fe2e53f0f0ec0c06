"""Tables that are made, and tables that are dropped."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Table

from upgrader.generate.autogenerate.change import Change, Stage
from upgrader.generate.autogenerate.ground import Ground
from upgrader.generate.autogenerate.index_definition import IndexDefinition


def create_tables(tables: Sequence[Table], ground: Ground) -> None:
    """Add new tables with all that belongs to them, exactly as `create_all` makes them."""
    for metadata in ground.scope.metadata:
        own = [table for table in tables if table.metadata is metadata]
        if own:
            up = ground.writer.create_tables(metadata, own)
            down = ground.writer.drop_tables(metadata, own)
            ground.changes.main.append(Change(Stage.TABLES, tuple(up), tuple(down)))


def drop_tables(names: Sequence[tuple[str | None, str]], ground: Ground) -> None:
    """Drop tables that the metadata does not know."""
    tables = sorted(ground.live_name(schema, name) for schema, name in names)
    for name in tables:
        ground.warn(f"{name} is not in the metadata: the command drops it with its rows")
        down = _definition(name, ground)
        foreign = [one for one in ground.catalog.constraints(name) if one.type == "f"]
        adds = tuple(f"ALTER TABLE {name} ADD CONSTRAINT {one.name} {one.definition}" for one in foreign)
        if len(tables) > 1 and foreign:  # they may refer to one another, in circles too
            drops = tuple(f"ALTER TABLE {name} DROP CONSTRAINT {one.name}" for one in foreign)
            ground.changes.main.append(Change(Stage.DROP_FOREIGN_KEYS, drops, adds))
        else:
            down += adds
        ground.changes.main.append(
            Change(
                Stage.DROP_TABLES,
                (f"DROP TABLE {name}",),
                tuple(down),
                lost=f"The rows of {name} are gone.",
                note="The metadata does not know this table. Its rows cannot be brought back.",
            )
        )


def _definition(table: str, ground: Ground) -> list[str]:
    """Write a table of the database as statements that make it again, but for its foreign keys."""
    catalog, quote, literal = ground.catalog, ground.writer.quote, ground.writer.literal
    columns = catalog.columns(table)
    lines = [f"{quote(one.name)} {one.specification}" for one in columns]
    constraints = [one for one in catalog.constraints(table) if one.type != "f"]
    lines += [f"CONSTRAINT {one.name} {one.definition}" for one in constraints]
    partition = catalog.partition_key(table)
    body = ",\n    ".join(lines)
    sequences = catalog.sequences(table)
    owned = [one for one in sequences if _is_default_of(one[0], [column.expression for column in columns])]
    found = [f"CREATE SEQUENCE {name}" for name, _ in owned]
    found.append(
        f"CREATE TABLE {table} (\n    {body}\n)" + (f" PARTITION BY {partition}" if partition else "")
    )
    found += [f"ALTER SEQUENCE {name} OWNED BY {table}.{column}" for name, column in owned]
    found += [plain_index(one.name, table, one.definition) for one in catalog.indexes(table)]
    comment = catalog.comment(table)
    if comment:
        found.append(f"COMMENT ON TABLE {table} IS {literal(comment)}")
    found += [
        f"COMMENT ON COLUMN {table}.{quote(one.name)} IS {literal(one.comment)}"
        for one in columns
        if one.comment
    ]
    if partition:
        ground.warn(
            f"{table} is partitioned: its partitions are dropped with it, and `down` makes none again"
        )
    return found


def plain_index(name: str, table: str, definition: str) -> str:
    """Write CREATE INDEX for a table under the name that the command gives it."""
    unique = "UNIQUE " if IndexDefinition.parse(definition).is_unique else ""
    return f"CREATE {unique}INDEX {name} ON {table} USING {definition.partition(' USING ')[2]}"


def _is_default_of(sequence: str, expressions: Sequence[str | None]) -> bool:
    return any(expression and f"nextval('{sequence}'" in expression for expression in expressions)
