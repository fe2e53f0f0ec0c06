"""The database before the upgrade: release 1.20.0 of an invented product, with real cities in it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from upgrader.demo.cities import Country, read_cities, read_countries
from upgrader.demo.tenants import Tenant
from upgrader.errors import OperatorError

if TYPE_CHECKING:
    from sqlalchemy import Connection

_CORE = """
CREATE SCHEMA core;
CREATE TABLE core.country (
    iso text PRIMARY KEY,
    iso3 text NOT NULL,
    name text NOT NULL,
    capital text,
    continent_code text NOT NULL,
    currency_code text,
    population bigint NOT NULL,
    area_km2 numeric NOT NULL,
    tld text
);
CREATE TABLE core.workspace (
    id uuid PRIMARY KEY,
    country_iso text NOT NULL REFERENCES core.country,
    display_name text NOT NULL,
    activation_status text NOT NULL,
    database_schema text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL
);
CREATE TABLE core.subscription (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workspace_id uuid NOT NULL UNIQUE REFERENCES core.workspace,
    plan text NOT NULL,
    monthly_fee_cents bigint NOT NULL,
    legacy_code text NOT NULL
);
CREATE TABLE core.invoice (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workspace_id uuid NOT NULL REFERENCES core.workspace,
    issued_on date NOT NULL,
    amount_cents bigint NOT NULL,
    status text NOT NULL
);
CREATE TEMPORARY TABLE loaded_city (
    country_iso text NOT NULL,
    id bigint NOT NULL,
    name text NOT NULL,
    admin1_code text NOT NULL,
    latitude numeric(8, 5) NOT NULL,
    longitude numeric(8, 5) NOT NULL,
    population bigint NOT NULL,
    timezone text NOT NULL
);
"""

_COUNTRY_COLUMNS = "iso, iso3, name, capital, continent_code, currency_code, population, area_km2, tld"
_WORKSPACE_COLUMNS = "id, country_iso, display_name, activation_status, database_schema, created_at"
_CITY_COLUMNS = "country_iso, id, name, admin1_code, latitude, longitude, population, timezone"

_WORKSPACE_SCHEMA = """
CREATE SCHEMA {schema};
CREATE TABLE {schema}.city (
    id bigint PRIMARY KEY,
    name text NOT NULL,
    admin1_code text NOT NULL,
    latitude numeric(8, 5) NOT NULL,
    longitude numeric(8, 5) NOT NULL,
    population bigint NOT NULL,
    timezone text NOT NULL
);
INSERT INTO {schema}.city
SELECT id, name, admin1_code, latitude, longitude, population, timezone
FROM pg_temp.loaded_city WHERE country_iso = {country_iso} ORDER BY id;
"""

_INDEX_LOADED = "CREATE INDEX ON pg_temp.loaded_city (country_iso); ANALYZE pg_temp.loaded_city;"

# Two years of invoices for everyone. The spellings of the status are those of three generations of code.
_BILLING = """
INSERT INTO core.subscription (workspace_id, plan, monthly_fee_cents, legacy_code)
SELECT workspace.id, tier.plan, tier.fee + size.cities * 5, 'S-' || workspace.country_iso
FROM core.workspace AS workspace
JOIN (SELECT country_iso, count(*) AS cities FROM pg_temp.loaded_city GROUP BY country_iso) AS size
    USING (country_iso)
JOIN (VALUES ('starter', 1, 9, 1900), ('team', 10, 499, 9900), ('enterprise', 500, 1000000, 99000))
    AS tier (plan, at_least, at_most, fee) ON size.cities BETWEEN tier.at_least AND tier.at_most
ORDER BY workspace.country_iso;

INSERT INTO core.invoice (workspace_id, issued_on, amount_cents, status)
SELECT workspace_id, month::date, monthly_fee_cents,
       CASE WHEN month >= timestamp '2025-12-01' THEN (ARRAY['open', 'Open'])[1 + id % 2]
            ELSE (ARRAY['paid', 'Paid', 'PAID'])[1 + (id + extract(month FROM month)::bigint) % 3] END
FROM core.subscription
CROSS JOIN generate_series(timestamp '2024-01-01', timestamp '2025-12-01', interval '1 month') AS month
ORDER BY month, id;

DROP TABLE pg_temp.loaded_city;
ANALYZE core.country, core.workspace, core.subscription, core.invoice;
"""


def prepare(connection: Connection, *, only: Collection[str] | None = None) -> None:
    """Make the database of release 1.20.0: schema `core`, and a schema with its cities for each workspace.

    All of it happens in the caller's transaction, which the caller commits. It needs no extension.

    Args:
        only: the countries, by ISO code, whose cities are loaded and which have workspaces; None for all.

    Raises:
        OperatorError: the schema `core` is there already, or the database's encoding is not UTF8.
    """
    driver = _driver_connection(connection)
    _refuse_unfit(driver)
    countries = list(read_countries())
    driver.execute(_CORE)
    _copy(driver, f"core.country ({_COUNTRY_COLUMNS})", map(_country_row, countries))
    inhabited = _copy_cities(driver, only)
    tenants = [Tenant(country.iso, country.name) for country in countries if country.iso in inhabited]
    _copy(driver, f"core.workspace ({_WORKSPACE_COLUMNS})", map(_workspace_row, tenants))
    _make_workspace_schemas(driver, tenants)
    driver.execute(_BILLING)


def _driver_connection(connection: Connection) -> psycopg.Connection[Any]:
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    connection.exec_driver_sql("SELECT")  # begins SQLAlchemy's transaction, where it has not begun
    return driver


def _refuse_unfit(driver: psycopg.Connection[Any]) -> None:
    if driver.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'core'").fetchone():
        raise OperatorError(
            "this database has a schema `core` already: the demo's data is made in an empty database only",
            hint="go on with `upgrader plan`, or name a database of its own with --database-url",
        )
    encoding = driver.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise OperatorError(
            f"this database is encoded in {encoding}, which has not all the letters of the demo's cities",
            hint="CREATE DATABASE demo ENCODING 'UTF8' TEMPLATE template0",
        )


def _copy_cities(driver: psycopg.Connection[Any], only: Collection[str] | None) -> set[str]:
    """Load the cities into the temporary table and give the ISO codes that occur."""
    inhabited: set[str] = set()

    def rows() -> Iterator[tuple[object, ...]]:
        for city in read_cities():
            if only is not None and city.country_iso not in only:
                continue
            inhabited.add(city.country_iso)
            yield (
                city.country_iso,
                city.id,
                city.name,
                city.admin1_code,
                city.latitude,
                city.longitude,
                city.population,
                city.timezone,
            )

    _copy(driver, f"pg_temp.loaded_city ({_CITY_COLUMNS})", rows())
    return inhabited


def _make_workspace_schemas(driver: psycopg.Connection[Any], tenants: Iterable[Tenant]) -> None:
    """Send one message for all of them: on a server far away, 244 round trips would be the whole cost."""
    statements = [
        sql.SQL(_WORKSPACE_SCHEMA).format(
            schema=sql.Identifier(tenant.schema), country_iso=sql.Literal(tenant.country_iso)
        )
        for tenant in tenants
    ]
    driver.execute(sql.Composed([sql.SQL(_INDEX_LOADED), *statements]))


def _copy(driver: psycopg.Connection[Any], target: str, rows: Iterable[tuple[object, ...]]) -> None:
    with driver.cursor() as cursor, cursor.copy(f"COPY {target} FROM STDIN".encode()) as copy:
        for row in rows:
            copy.write_row(row)


def _country_row(country: Country) -> tuple[object, ...]:
    return (
        country.iso,
        country.iso3,
        country.name,
        country.capital,
        country.continent_code,
        country.currency_code,
        country.population,
        country.area_km2,
        country.tld,
    )


def _workspace_row(tenant: Tenant) -> tuple[object, ...]:
    return (
        tenant.id,
        tenant.country_iso,
        tenant.display_name,
        tenant.status,
        tenant.schema,
        tenant.created_at,
    )
