"""The comparison itself, which is Alembic's: what the metadata asks for and the database has not."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, MutableMapping, Sequence
from typing import Any, Literal

from alembic.autogenerate import produce_migrations
from alembic.migration import MigrationContext
from alembic.operations.ops import MigrateOperation, OpContainer
from sqlalchemy import Connection

from upgrader.generate.autogenerate.ground import Ground
from upgrader.generate.autogenerate.server_default import default_comparison

# Said of each expression index and generated column, whether or not anything is wrong.
_NOISE = ("autogenerate skipping metadata-specified expression-based index",)

_Kind = Literal["schema", "table", "column", "index", "unique_constraint", "foreign_key_constraint"]


def compare(connection: Connection, ground: Ground) -> list[MigrateOperation]:
    """Give what is different as a flat list of Alembic's operations; what Alembic warns of goes to `ground`."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        context = MigrationContext.configure(connection=connection, opts=_options(connection, ground))
        several: Any = list(ground.scope.metadata)  # a list is fine, though the annotation does not say so
        script = produce_migrations(context, several)
    for warning in caught:
        text = " ".join(str(warning.message).split())
        if not issubclass(warning.category, DeprecationWarning) and not text.startswith(_NOISE):
            ground.warn(text)
    assert script.upgrade_ops is not None
    return list(_flat(script.upgrade_ops.ops))


def _options(connection: Connection, ground: Ground) -> dict[str, Any]:
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
        "compare_server_default": default_comparison(connection, ground.writer),
    }


def _flat(operations: Sequence[MigrateOperation]) -> Iterator[MigrateOperation]:
    for operation in operations:
        if isinstance(operation, OpContainer):
            yield from _flat(operation.ops)
        else:
            yield operation
