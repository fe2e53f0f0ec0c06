"""A database that holds what the models ask for, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass

import psycopg
from sqlalchemy import ARRAY, Connection, MetaData, Sequence
from sqlalchemy.dialects.postgresql import DOMAIN
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.types import Enum

from upgrader.check.base import Base, transaction
from upgrader.check.catalog.objects import ObjectKind
from upgrader.database.connect import Connector, identifier, literal
from upgrader.database.failures import database_error, describe_failure
from upgrader.model import Workspace

_DEFAULT_SCHEMA = "public"
# A function, collation or operator that the models use and cannot make themselves.
_UNDEFINED = ("42883", "42704", "42P01")

_EXTENSIONS = """
select e.extname, n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace
where e.extname <> 'plpgsql' order by e.oid
"""
# By oid: what an object needs was made before it, as a rule.
_HELPERS = """
select format('create collation %I.%I (provider = %s, locale = %L, deterministic = %s)', n.nspname, c.collname,
        case c.collprovider when 'i' then 'icu' when 'b' then 'builtin' else 'libc' end,
        coalesce(to_jsonb(c)->>'colllocale', to_jsonb(c)->>'colliculocale', c.collcollate::text),
        c.collisdeterministic), c.oid
from pg_collation c join pg_namespace n on n.oid = c.collnamespace
where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
union all
select pg_get_functiondef(p.oid), p.oid
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and p.prokind in ('f', 'p', 'w')
    and not exists (select from pg_depend e where e.classid = 'pg_proc'::regclass
        and e.objid = p.oid and e.deptype in ('e', 'i'))
order by 2
"""


@dataclass(frozen=True)
class ModelsDatabase:
    """What came of making the models.

    Attributes:
        schemas: those that the models have something in.
        error: why they could not be made; None if they were.
        copied: kinds of objects that were taken from the commands' database, because the models need them.
        left_out: what is not compared therefore, a sentence each.
    """

    url: str
    schemas: tuple[str, ...]
    error: str | None = None
    copied: frozenset[ObjectKind] = frozenset()
    left_out: tuple[str, ...] = ()


def build_models(
    sequence_url: str,
    *,
    base: Base,
    shared: SequenceOf[MetaData],
    own: SequenceOf[MetaData],
    workspace: Workspace | None,
) -> ModelsDatabase:
    """Make the models with `create_all` in an empty database.

    Extensions are those of the commands' database. Functions are taken from there only where the models do not
    go without them.

    Args:
        sequence_url: the database as the commands left it.
        shared: the metadata of the instance.
        own: that of one workspace; its tables without a schema go into the workspace's.
        workspace: whose name of a schema is used for them.
    """
    url = base.scratch.make_database()
    own_schema = workspace.schema if workspace and workspace.schema else None
    schemas = _schemas(shared, own, own_schema)
    _copy_extensions(sequence_url, url)
    error = _try(url, shared=shared, own=own, schemas=schemas, own_schema=own_schema, helpers=())
    if error is None:
        return ModelsDatabase(url, schemas)
    found = database_error(error)
    if found is None or found.sqlstate not in _UNDEFINED:
        return ModelsDatabase(url, schemas, describe_failure(error))
    helpers = _helpers(sequence_url)
    again = _try(url, shared=shared, own=own, schemas=schemas, own_schema=own_schema, helpers=helpers)
    if again is not None:
        return ModelsDatabase(url, schemas, describe_failure(error))
    told = "functions and collations were not compared: the models need some that only the commands make"
    copied = frozenset({ObjectKind.FUNCTION, ObjectKind.COLLATION})
    return ModelsDatabase(url, schemas, copied=copied, left_out=(told,))


def _schemas(
    shared: SequenceOf[MetaData], own: SequenceOf[MetaData], own_schema: str | None
) -> tuple[str, ...]:
    found = {schema or _DEFAULT_SCHEMA for metadata in shared for schema in _schemas_of(metadata)}
    if own_schema is not None:
        found |= {schema or own_schema for metadata in own for schema in _schemas_of(metadata)}
    return tuple(sorted(found))


def _schemas_of(metadata: MetaData) -> Iterator[str | None]:
    """Give where the tables, types and sequences of metadata lie; None is the schema that comes by itself."""
    for table in metadata.tables.values():
        yield table.schema
        for column in table.columns:
            kind = column.type.item_type if isinstance(column.type, ARRAY) else column.type
            if isinstance(kind, Enum | DOMAIN):
                yield kind.schema
            if isinstance(column.default, Sequence):
                yield column.default.schema
            if isinstance(column.server_default, Sequence):
                yield column.server_default.schema


def _try(
    url: str,
    *,
    shared: SequenceOf[MetaData],
    own: SequenceOf[MetaData],
    schemas: SequenceOf[str],
    own_schema: str | None,
    helpers: SequenceOf[str],
) -> Exception | None:
    try:
        with transaction(url) as connection:
            for schema in schemas:
                connection.exec_driver_sql(f"create schema if not exists {_escaped(identifier(schema))}")
            _run_helpers(connection, helpers)
            for metadata in shared:
                metadata.create_all(connection)
            if own_schema is not None:
                path = f"{identifier(own_schema)}, {identifier(_DEFAULT_SCHEMA)}"
                connection.exec_driver_sql(
                    f"select set_config('search_path', {_escaped(literal(path))}, true)"
                )
                for metadata in own:
                    metadata.create_all(connection)
    except (SQLAlchemyError, psycopg.Error) as error:
        return error
    return None


def _run_helpers(connection: Connection, helpers: SequenceOf[str]) -> None:
    if helpers:
        connection.exec_driver_sql("set local check_function_bodies = off")
    for statement in helpers:
        try:
            with connection.begin_nested():
                connection.exec_driver_sql(_escaped(statement))
        except SQLAlchemyError:
            continue  # one that needs a table: no model can need it to be made


def _escaped(statement: str) -> str:
    return statement.replace("%", "%%")


def _copy_extensions(source_url: str, url: str) -> None:
    with Connector(source_url).connect() as source, Connector(url).connect() as target:
        for name, schema in source.execute(_EXTENSIONS.encode()).fetchall():
            target.execute(
                f"create schema if not exists {identifier(schema)};"
                f" create extension if not exists {identifier(name)} schema {identifier(schema)}".encode()
            )


def _helpers(url: str) -> list[str]:
    with Connector(url).connect() as driver:
        return [str(sql) for sql, _ in driver.execute(_HELPERS.encode()).fetchall()]
