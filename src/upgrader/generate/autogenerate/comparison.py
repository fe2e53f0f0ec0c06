"""The comparison itself, which is Alembic's: what the metadata asks for and the database has not."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, MutableMapping, Sequence
from functools import cache
from typing import Any, Literal

from alembic.autogenerate import produce_migrations
from alembic.migration import MigrationContext
from alembic.operations.ops import MigrateOperation, OpContainer
from sqlalchemy import Column, Connection, Table

from upgrader.generate.autogenerate.catalog import LiveColumn
from upgrader.generate.autogenerate.ground import Ground

# Said of each expression index and generated column, whether or not anything is wrong.
_NOISE = ("autogenerate skipping metadata-specified expression-based index",)

_Kind = Literal["schema", "table", "column", "index", "unique_constraint", "foreign_key_constraint"]


def compare(connection: Connection, ground: Ground) -> list[MigrateOperation]:
    """Give what is different as a flat list of Alembic's operations; what Alembic warns of goes to `ground`."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        context = MigrationContext.configure(connection=connection, opts=_options(ground))
        _compare_by_server(context.impl, ground)
        several: Any = list(ground.scope.metadata)  # a list is fine, though the annotation does not say so
        script = produce_migrations(context, several)
    for warning in caught:
        text = " ".join(str(warning.message).split())
        if not issubclass(warning.category, DeprecationWarning) and not text.startswith(_NOISE):
            ground.warn(text)
    assert script.upgrade_ops is not None
    return list(_flat(script.upgrade_ops.ops))


def _compare_by_server(impl: Any, ground: Ground) -> None:
    """Let the server compare types and defaults.

    Alembic takes FLOAT(20) and real for two types, sees no collations, and ends with an error where a default
    has an apostrophe. (As an option of its own a comparison would be asked of generated columns too, and fail.)
    """
    compare_type: Any = impl.compare_type

    @cache
    def columns(table: Table) -> tuple[dict[str, LiveColumn], dict[str, LiveColumn]]:
        live = ground.catalog.columns(ground.writer.table(table))
        return ground.probe.columns(table), {column.name: column for column in live}

    def is_type_different(reflected: Column[Any], column: Column[Any]) -> bool:
        wanted, live = (found.get(column.name) for found in columns(column.table))
        if wanted is None or live is None:  # of a type that is not there yet, for example
            return bool(compare_type(reflected, column))
        return (wanted.type, wanted.collation) != (live.type, live.collation)

    def is_default_different(reflected: Column[Any], column: Column[Any], *_: object) -> bool:
        del reflected
        wanted, live = (found.get(column.name) for found in columns(column.table))
        if wanted is None or live is None:
            return ground.writer.default(column) != (live.expression if live else None)
        if wanted.expression is None and (live.expression or "").startswith("nextval("):
            return column.table.autoincrement_column is not column  # a serial's default, which nobody wrote
        return wanted.expression != live.expression

    impl.compare_type, impl.compare_server_default = is_type_different, is_default_different


def _options(ground: Ground) -> dict[str, Any]:
    scope = ground.scope

    def include_name(name: str | None, type_: _Kind, parents: MutableMapping[str, str | None]) -> bool:
        if type_ == "schema":
            return (name or scope.default_schema) in scope.schemas
        if type_ == "table":
            return name is None or scope.has(parents["schema_name"], name)
        return True

    def include_object(thing: Any, name: str | None, type_: str, reflected: bool, other: Any) -> bool:
        del reflected, other
        return type_ != "table" or name is None or scope.has(thing.schema, name)

    return {
        "target_metadata": list(scope.metadata),
        "include_schemas": True,
        "include_name": include_name,
        "include_object": include_object,
        "compare_type": True,
        "compare_server_default": True,
    }


def _flat(operations: Sequence[MigrateOperation]) -> Iterator[MigrateOperation]:
    for operation in operations:
        if isinstance(operation, OpContainer):
            yield from _flat(operation.ops)
        else:
            yield operation
