"""A comparison from end to end: from a connection to the commands that should be written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, MetaData, text

from upgrader.errors import OperatorError
from upgrader.generate.autogenerate.catalog import Catalog
from upgrader.generate.autogenerate.collect import collect_changes
from upgrader.generate.autogenerate.draft import Draft, drafts_of
from upgrader.generate.autogenerate.ground import Ground
from upgrader.generate.autogenerate.scope import Scope, instance_scope, workspace_scope
from upgrader.generate.autogenerate.sql_writer import SqlWriter


@dataclass(frozen=True)
class Proposal:
    """What should be written.

    Attributes:
        drafts: commands in their order; none where nothing is different.
        warnings: what the author has to know, each once.
    """

    drafts: tuple[Draft, ...]
    warnings: tuple[str, ...]


def propose_for_instance(
    connection: Connection,
    metadata: Sequence[MetaData],
    *,
    workspace_metadata: Sequence[MetaData] = (),
    left_out_schemas: Iterable[str] = (),
    exclude: Sequence[str] = (),
) -> Proposal:
    """Compare the shared schemas; works in the connection's transaction and leaves nothing behind in it.

    Args:
        left_out_schemas: those of history and workspaces.
        exclude: patterns of `schema.table`.
    """
    catalog = Catalog(connection)
    # One schema alone, so that what stands in another one is always written with its schema.
    default = catalog.default_schema or "public"
    _search(connection, default)
    scope = instance_scope(
        metadata,
        workspace_metadata=workspace_metadata,
        default_schema=default,
        left_out_schemas=left_out_schemas,
        exclude=exclude,
        left_out=catalog.not_compared,
    )
    return _propose(connection, scope, catalog, of_workspace=False)


def propose_for_workspace(
    connection: Connection,
    metadata: Sequence[MetaData],
    *,
    instance_metadata: Sequence[MetaData] = (),
    schema: str,
    search_path_extra: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> Proposal:
    """Compare one workspace's schema, as its commands see it: unqualified names are its own.

    Raises:
        OperatorError: there is no such schema.
    """
    catalog = Catalog(connection)
    if not catalog.has_schema(schema):
        raise OperatorError(
            f"there is no schema {schema} in the database",
            hint="name the schema of a workspace: `upgrader workspace list` shows them",
        )
    _search(connection, schema, *search_path_extra)
    scope = workspace_scope(
        metadata,
        instance_metadata=instance_metadata,
        schema=schema,
        exclude=exclude,
        left_out=catalog.not_compared,
    )
    return _propose(connection, scope, catalog, of_workspace=True)


def _propose(connection: Connection, scope: Scope, catalog: Catalog, *, of_workspace: bool) -> Proposal:
    ground = Ground(scope, catalog, SqlWriter(connection))
    connection.dialect.default_schema_name = scope.default_schema
    changes = collect_changes(connection, ground)
    drafts = drafts_of(changes, of_workspace=of_workspace)
    return Proposal(drafts, tuple(dict.fromkeys(changes.warnings)))


def _search(connection: Connection, *schemas: str) -> None:
    quote = connection.dialect.identifier_preparer.quote
    connection.execute(
        text("select set_config('search_path', :path, true)"), {"path": ", ".join(map(quote, schemas))}
    )
