"""What is compared: the metadata's tables, and where in the database they stand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from sqlalchemy import MetaData, Table

from upgrader.errors import OperatorError, SettingsError


@dataclass(frozen=True)
class Scope:
    """The tables that are looked at.

    Attributes:
        metadata: what the database should hold.
        default_schema: the schema of tables without one; what the comparison's `search_path` begins with.
        schemas: those that the metadata covers, by their real names; tables elsewhere are nobody's business.
        exclude: patterns of `schema.table`.
        left_out: tables that are not compared whatever the metadata says, as schema and name: partitions,
            for example.
    """

    metadata: tuple[MetaData, ...]
    default_schema: str
    schemas: frozenset[str]
    exclude: tuple[str, ...] = ()
    left_out: frozenset[tuple[str, str]] = field(default=frozenset())

    def has(self, schema: str | None, table: str) -> bool:
        """Tell whether a table is compared; no schema means the default one."""
        real = schema or self.default_schema
        name = f"{real}.{table}"
        return (
            real in self.schemas
            and (real, table) not in self.left_out
            and not any(fnmatchcase(name, pattern) for pattern in self.exclude)
        )

    @property
    def tables(self) -> list[Table]:
        """The metadata's tables that are compared, those that others refer to first."""
        return [
            table
            for one in self.metadata
            for table in one.sorted_tables
            if self.has(table.schema, table.name)
        ]


def instance_scope(
    metadata: Sequence[MetaData],
    *,
    workspace_metadata: Sequence[MetaData],
    default_schema: str,
    left_out_schemas: Iterable[str],
    exclude: Sequence[str] = (),
    left_out: frozenset[tuple[str, str]] = frozenset(),
) -> Scope:
    """Give the scope of the instance: all schemas of the metadata but those of history and workspaces.

    Tables without a schema are the workspaces' where one MetaData is named for both.

    Raises:
        SettingsError: two MetaData describe one table.
    """
    _refuse_doubles(metadata, default_schema)
    schemas = {
        table.schema or default_schema
        for one in metadata
        for table in one.tables.values()
        if table.schema is not None or not any(one is other for other in workspace_metadata)
    }
    return Scope(
        tuple(metadata), default_schema, frozenset(schemas) - set(left_out_schemas), tuple(exclude), left_out
    )


def workspace_scope(
    metadata: Sequence[MetaData],
    *,
    instance_metadata: Sequence[MetaData],
    schema: str,
    exclude: Sequence[str] = (),
    left_out: frozenset[tuple[str, str]] = frozenset(),
) -> Scope:
    """Give the scope of one workspace, whose tables are then without a schema in the metadata, too.

    Raises:
        OperatorError: it is not clear which tables are the workspace's.
        SettingsError: two MetaData describe one table.
    """
    placeholder = _placeholder(metadata, instance_metadata)
    moved = tuple(one if placeholder is None else _without_schema(one, placeholder) for one in metadata)
    _refuse_doubles(moved, schema)
    return Scope(moved, schema, frozenset({schema}), tuple(exclude), left_out)


def _placeholder(metadata: Sequence[MetaData], instance_metadata: Sequence[MetaData]) -> str | None:
    """Give the schema that stands for the workspace's in the metadata; None where its tables have none."""
    own = {table.schema for one in metadata for table in one.tables.values()}
    if None in own or not own:
        return None
    named = {schema for schema in own if schema is not None}
    instance = {table.schema for one in instance_metadata for table in one.tables.values()}
    candidates = sorted(named - instance)
    if len(candidates) == 1:
        return candidates[0]
    told = ", ".join(sorted(named))
    raise OperatorError(
        f"it is not clear which tables of workspace_metadata are the workspace's: their schemas are {told}",
        hint="give the tables of a workspace no schema, or one schema that only they have",
    )


def _without_schema(metadata: MetaData, placeholder: str) -> MetaData:
    made = MetaData(naming_convention=metadata.naming_convention)
    nowhere: Any = None  # what the annotation does not say: the schema of the MetaData, which has none
    for table in metadata.sorted_tables:
        own: Any = table.schema
        table.to_metadata(
            made,
            schema=nowhere if table.schema == placeholder else own,
            referred_schema_fn=lambda _table, _to, _constraint, referred: (
                None if referred == placeholder else referred
            ),
        )
    return made


def _refuse_doubles(metadata: Sequence[MetaData], default_schema: str) -> None:
    names = Counter(
        f"{table.schema or default_schema}.{table.name}" for one in metadata for table in one.tables.values()
    )
    doubles = sorted(name for name, count in names.items() if count > 1)
    if doubles:
        raise SettingsError(
            f"the metadata describes a table twice: {', '.join(doubles)}",
            hint="name each MetaData once, and let one of them have the table",
        )
