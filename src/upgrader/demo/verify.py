"""The proof that an upgrade lost nothing: what the workspaces hold, against the files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from sqlalchemy import text

from upgrader.demo.cities import City, read_cities
from upgrader.demo.tenants import Tenant

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class Figures:
    """What a workspace's cities come to.

    Attributes:
        cities: how many there are.
        population: the sum of their populations.
        coordinates: the sum of all latitudes and longitudes, in degrees: no place to look for, but it
            changes when any of them does.
    """

    cities: int
    population: int
    coordinates: Decimal


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """A workspace whose cities are not those of the files; `found` is None where it has no city table."""

    country_iso: str
    expected: Figures
    found: Figures | None

    def __str__(self) -> str:
        if self.found is None:
            return f"{self.country_iso}: {self.expected.cities} cities expected, there is no city table"
        return f"{self.country_iso}: expected {self.expected}, found {self.found}"


_PRESENT = text("""
    SELECT namespace.nspname FROM pg_class AS class JOIN pg_namespace AS namespace
    ON namespace.oid = class.relnamespace
    WHERE class.relname = 'city' AND class.relkind = 'r' AND namespace.nspname LIKE 'workspace~___' ESCAPE '~'
""")

_FIGURES = """
    SELECT '{schema}' AS schema, count(*) AS cities, coalesce(sum(population), 0)::bigint AS population,
           coalesce(sum(latitude + longitude), 0) AS coordinates
    FROM {schema}.city
"""


def verify(connection: Connection) -> list[Discrepancy]:
    """Compare every workspace with the files; give what differs, by ISO code, nothing if all is there.

    Reads only. Takes no note of tables and workspaces that the files do not know.
    """
    expected = expected_figures()
    schemas = {country_iso: Tenant(country_iso, "").schema for country_iso in expected}
    present = set(connection.scalars(_PRESENT)) & set(schemas.values())
    found = _read_figures(connection, sorted(present))
    return [
        Discrepancy(country_iso, figures, found.get(schemas[country_iso]))
        for country_iso, figures in sorted(expected.items())
        if found.get(schemas[country_iso]) != figures
    ]


def expected_figures(cities: Iterable[City] | None = None) -> dict[str, Figures]:
    """Add up the cities of the files, or those given, by ISO code."""
    figures: dict[str, Figures] = {}
    for city in read_cities() if cities is None else cities:
        before = figures.get(city.country_iso, Figures(0, 0, Decimal(0)))
        figures[city.country_iso] = Figures(
            cities=before.cities + 1,
            population=before.population + city.population,
            coordinates=before.coordinates + city.latitude + city.longitude,
        )
    return figures


def _read_figures(connection: Connection, schemas: list[str]) -> dict[str, Figures]:
    """Read all workspaces in one statement; the names are ours, so they need no quoting."""
    if not schemas:
        return {}
    statement = " UNION ALL ".join(_FIGURES.format(schema=schema) for schema in schemas)
    return {
        row.schema: Figures(row.cities, row.population, row.coordinates)
        for row in connection.execute(text(statement))
    }
