"""Reads the catalogs of chosen schemas."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import psycopg

from upgrader.check.catalog.objects import Catalog, CatalogObject, ObjectKind
from upgrader.check.catalog.queries import catalog_queries

_SCHEMAS = """
select n.nspname from pg_namespace n
where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    and not exists (select from pg_depend e where e.classid = 'pg_namespace'::regclass
        and e.objid = n.oid and e.deptype = 'e')
order by n.nspname
"""
_FIXED_COLUMNS = 4  # kind, schema, owner, name


def list_schemas(driver: psycopg.Connection) -> tuple[str, ...]:
    """Give the schemas that are neither PostgreSQL's own nor an extension's."""
    return tuple(str(name) for (name,) in driver.execute(_SCHEMAS.encode()).fetchall())


def read_catalog(driver: psycopg.Connection, schemas: Iterable[str]) -> Catalog:
    """Read everything that lies in some schemas, in one query per catalog.

    Inside a transaction it sees what that one has done so far, and leaves its settings as they were; outside of
    one it opens its own.

    Args:
        schemas: names; one that is not there has nothing in it.
    """
    wanted = {"schemas": list(schemas)}
    found: list[CatalogObject] = []
    with driver.transaction(force_rollback=True):
        driver.execute("set local search_path = ''")
        for query in catalog_queries(driver.info.server_version):
            found.extend(_objects(driver, query, wanted))
    return Catalog({one.key: one for one in found})


def _objects(driver: psycopg.Connection, query: str, wanted: dict[str, list[str]]) -> Iterator[CatalogObject]:
    cursor = driver.execute(query.encode(), wanted)
    assert cursor.description is not None
    labels = [column.name for column in cursor.description][_FIXED_COLUMNS:]
    for kind, schema, owner, name, *values in cursor:
        facets = {
            label: None if value is None else str(value) for label, value in zip(labels, values, strict=True)
        }
        yield CatalogObject(
            ObjectKind(kind), str(schema), None if owner is None else str(owner), str(name), facets
        )
