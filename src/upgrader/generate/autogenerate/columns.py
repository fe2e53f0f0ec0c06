"""Columns that are added, changed and dropped."""

from __future__ import annotations

import re
from typing import Any

from alembic.operations.ops import AlterColumnOp, DropColumnOp
from sqlalchemy import Column, Table

from upgrader.generate.autogenerate.catalog import LiveColumn
from upgrader.generate.autogenerate.change import Change, RequiredColumn, Stage
from upgrader.generate.autogenerate.ground import Ground
from upgrader.generate.autogenerate.identity import identity_change
from upgrader.generate.autogenerate.tables import plain_index

_VARYING = re.compile(
    r"(?:character varying|VARCHAR)(?:\((?P<length>\d+)\))?$|(?P<text>text)$", re.IGNORECASE
)


def add_column(table: Table, column: Column[Any], ground: Ground) -> None:
    """Add a column; a required one without a default comes empty and is made NOT NULL later."""
    name, quoted = ground.writer.table(table), ground.writer.quote(column.name)
    specification = ground.writer.column(column)
    if _needs_values(column) and specification.endswith(" NOT NULL"):
        specification = specification.removesuffix(" NOT NULL")
        _require(table, column, ground)
    up = [f"ALTER TABLE {name} ADD COLUMN {specification}"]
    if column.comment:
        up.append(f"COMMENT ON COLUMN {name}.{quoted} IS {ground.writer.literal(column.comment)}")
    down = f"ALTER TABLE {name} DROP COLUMN {quoted}"
    ground.changes.main.append(Change(Stage.COLUMNS, tuple(up), (down,)))
    kind = "identity" if column.identity else "generated" if specification.endswith(" STORED") else ""
    if not kind and _is_rewritten(name, specification, ground):
        ground.warn(
            f"the default of {name}.{quoted} is another one for each row: adding the column rewrites the table while"
            " nobody can use it; on a large table add it without one, set the default, and fill it in a slow command"
        )
    if kind:
        ground.warn(f"adding the {kind} column {name}.{quoted} rewrites the table while nobody can use it")
    if column.primary_key:
        ground.warn(f"{name}.{quoted} belongs to the primary key: write the change of the key by hand")


def _is_rewritten(table: str, specification: str, ground: Ground) -> bool:
    """Ask the server; of what cannot be tried yet only a new sequence is known."""
    found = ground.probe.rewrites(table, f"ADD COLUMN {specification}")
    return "nextval(" in specification if found is None else found


def _needs_values(column: Column[Any]) -> bool:
    return not column.nullable and column.server_default is None and column.identity is None


def _require(table: Table, column: Column[Any], ground: Ground) -> None:
    writer = ground.writer
    ground.changes.required.append(
        RequiredColumn(writer.table(table), writer.quote(column.name), str(column.name))
    )


def drop_column(operation: DropColumnOp, ground: Ground) -> None:
    """Drop a column; the way back gives it no values."""
    table = ground.writer.table(ground.metadata_table(operation.schema, operation.table_name))
    live = ground.catalog.column(table, operation.column_name)
    quoted = ground.writer.quote(live.name)
    ground.warn(f"{table}.{quoted} is not in the metadata: the command drops it with its values")
    ground.changes.main.append(
        Change(
            Stage.DROP_COLUMNS,
            (f"ALTER TABLE {table} DROP COLUMN {quoted}",),
            tuple(_column_again(table, live, ground, ("p", "x"))),
            lost=f"The values of {table}.{quoted} are gone.",
            note="The metadata does not know this column. Its values cannot be brought back.",
        )
    )


def alter_column(operation: AlterColumnOp, ground: Ground) -> None:
    """Change a column, attribute by attribute."""
    table = ground.metadata_table(operation.schema, operation.table_name)
    column = table.columns[operation.column_name]
    name, quoted = ground.writer.table(table), ground.writer.quote(column.name)
    live = ground.catalog.column(name, column.name)
    target = f"ALTER TABLE {name} ALTER COLUMN {quoted}"
    default_is_done = False
    if operation.modify_type is not None:
        default_is_done = _change_type(name, column, live, ground)
    if operation.modify_server_default is not False and not default_is_done:
        change = identity_change(operation, table, ground)
        ground.changes.main.append(change or _default_change(target, column, live, ground))
    if operation.modify_nullable is True:
        change = Change(Stage.COLUMNS, (f"{target} DROP NOT NULL",), (f"{target} SET NOT NULL",))
        ground.changes.main.append(change)
    elif operation.modify_nullable is False:
        _require(table, column, ground)
    if operation.modify_comment is not False:
        on = f"COMMENT ON COLUMN {name}.{quoted} IS "
        ground.changes.main.append(
            Change(
                Stage.COMMENTS,
                (on + _comment(column.comment, ground),),
                (on + _comment(live.comment, ground),),
            )
        )


def _comment(text: str | None, ground: Ground) -> str:
    return ground.writer.literal(text) if text else "NULL"


def _default_change(target: str, column: Column[Any], live: LiveColumn, ground: Ground) -> Change:
    return Change(
        Stage.COLUMNS,
        (_set_default(target, ground.writer.default(column)),),
        (_set_default(target, live.expression or ""),),
    )


def _set_default(target: str, expression: str) -> str:
    return f"{target} SET DEFAULT {expression}" if expression else f"{target} DROP DEFAULT"


def _change_type(table: str, column: Column[Any], live: LiveColumn, ground: Ground) -> bool:
    """Change a column's type, with the default where the server cannot cast it; tell whether that was done."""
    quoted, new = ground.writer.quote(column.name), ground.writer.type(column.type)
    target = f"ALTER TABLE {table} ALTER COLUMN {quoted}"
    bare = new.partition(" COLLATE ")[0]
    up = [f"{target} TYPE {new}" + _using(quoted, live.type, bare, ground)]
    collation = f" COLLATE {live.collation}" if live.collation else ""
    down = [f"{target} TYPE {live.type}{collation}" + _using(quoted, bare, live.type, ground)]
    has_default = live.expression is not None and not live.generated and not live.identity
    redefine = has_default and (" USING " in up[0] or " USING " in down[0])
    if redefine:
        up = [f"{target} DROP DEFAULT", *up]
        if ground.writer.default(column):
            up.append(_set_default(target, ground.writer.default(column)))
        down = [f"{target} DROP DEFAULT", *down, _set_default(target, live.expression or "")]
    up, down = _around_generated(table, column.name, up, down, ground)
    ground.changes.main.append(Change(Stage.COLUMNS, tuple(up), tuple(down)))
    _warn_of_type_change(table, column.name, live.type, new, ground)
    return redefine


def _using(column: str, old: str, new: str, ground: Ground) -> str:
    """Cast where the server does not by itself; a cast that is not needed could cut values off in silence."""
    if new.lower() == "text" or ground.catalog.is_assignable(old, new):
        return ""
    # A type that this command makes: everything becomes it by way of text.
    way = "" if ground.catalog.has_type(old) and ground.catalog.has_type(new) else "::text"
    return f" USING {column}{way}::{new}"


def _around_generated(
    table: str, column: str, up: list[str], down: list[str], ground: Ground
) -> tuple[list[str], list[str]]:
    """Drop the columns that are generated from this one, and make them again behind the change."""
    for name in ground.catalog.generated_from(table, column):
        live = ground.catalog.column(table, name)
        quoted = ground.writer.quote(name)
        again = _column_again(table, live, ground, ("p", "u", "c", "x", "f"), with_indexes=True)
        up = [f"ALTER TABLE {table} DROP COLUMN {quoted}", *up, *again]
        down = [f"ALTER TABLE {table} DROP COLUMN {quoted}", *down, *again]
        ground.warn(
            f"{table}.{quoted} is generated from {column} and made again: it becomes the table's last column"
        )
    return up, down


def _column_again(
    table: str, live: LiveColumn, ground: Ground, types: tuple[str, ...], *, with_indexes: bool = False
) -> list[str]:
    quoted = ground.writer.quote(live.name)
    found = [f"ALTER TABLE {table} ADD COLUMN {quoted} {live.specification}"]
    if live.comment:
        found.append(f"COMMENT ON COLUMN {table}.{quoted} IS {ground.writer.literal(live.comment)}")
    found += [
        f"ALTER TABLE {table} ADD CONSTRAINT {one.name} {one.definition}"
        for one in ground.catalog.constraints(table)
        if live.name in one.columns and one.type in types
    ]
    if with_indexes:
        indexes = [one for one in ground.catalog.indexes(table) if live.name in one.columns]
        found += [plain_index(one.name, table, one.definition) for one in indexes]
    return found


def _warn_of_type_change(table: str, column: str, old: str, new: str, ground: Ground) -> None:
    views = ground.catalog.views_on(table, column)
    if views:
        ground.warn(
            f"PostgreSQL changes no type that a view uses: drop and make {', '.join(views)} in the command, too"
        )
    if not _is_widening(old, new):
        ground.warn(
            f"{table}.{column} becomes {new}: the table may be rewritten while nobody can use it; "
            "on a large table add a column instead, fill it, and drop the old one a release later"
        )


def _is_widening(old: str, new: str) -> bool:
    before, after = _VARYING.match(old), _VARYING.match(new)
    if not before or not after:
        return False
    if after["text"] or not after["length"]:
        return True
    return bool(before["length"]) and int(before["length"]) <= int(after["length"])
