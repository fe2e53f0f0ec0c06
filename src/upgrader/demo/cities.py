"""The cities and countries that the demo is made of, read from the GeoNames files in the package."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from importlib.resources import files

_CITIES = "geonames-cities15000.csv.gz"
_COUNTRIES = "geonames-countries.csv.gz"


@dataclass(frozen=True, slots=True)
class City:
    """One city of the gazetteer.

    Attributes:
        id: the GeoNames id.
        admin1_code: the first-level division within the country; "" where there is none.
        latitude: degrees, north is positive.
        longitude: degrees, east is positive.
        timezone: name in the IANA time zone database.
    """

    id: int
    name: str
    country_iso: str
    admin1_code: str
    latitude: Decimal
    longitude: Decimal
    population: int
    timezone: str


@dataclass(frozen=True, slots=True)
class Country:
    """One country or territory.

    Attributes:
        id: the GeoNames id.
        iso: two letters, ISO 3166-1.
        iso3: three letters, ISO 3166-1.
        capital: None where there is none.
        currency_code: ISO 4217; None where there is none.
        area_km2: in square kilometres.
        tld: the top-level domain with its dot; None where there is none.
    """

    id: int
    iso: str
    iso3: str
    name: str
    capital: str | None
    continent_code: str
    currency_code: str | None
    population: int
    area_km2: Decimal
    tld: str | None


def read_cities() -> Iterator[City]:
    """Give the cities one by one, in the order of the file."""
    for row in _rows(_CITIES):
        yield City(
            id=int(row["geonameid"]),
            name=row["name"],
            country_iso=row["countrycode"],
            admin1_code=row["admin1code"],
            latitude=Decimal(row["latitude"]),
            longitude=Decimal(row["longitude"]),
            population=int(row["population"]),
            timezone=row["timezone"],
        )


def read_countries() -> Iterator[Country]:
    """Give the countries one by one, in the order of the file."""
    for row in _rows(_COUNTRIES):
        yield Country(
            id=int(row["geonameid"]),
            iso=row["iso"],
            iso3=row["iso3"],
            name=row["name"].strip(),
            capital=row["capital"].strip() or None,
            continent_code=row["continentcode"],
            currency_code=row["currencycode"] or None,
            population=int(row["population"]),
            area_km2=Decimal(row["areakm2"]),
            tld=row["tld"] or None,
        )


def _rows(name: str) -> Iterator[dict[str, str]]:
    resource = files("upgrader.demo").joinpath("data", name)
    with resource.open("rb") as packed, gzip.open(packed, "rt", encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines)
