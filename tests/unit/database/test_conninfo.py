"""What people are shown of a database's URL."""

from __future__ import annotations

import pytest

from upgrader.database.conninfo import describe_database, parse_conninfo

VARIABLES = ("PGHOST", "PGHOSTADDR", "PGPORT", "PGUSER", "PGDATABASE", "PGSERVICE")


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is said outside the URL."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_a_url_is_told_without_its_password():
    """User, host, port and database."""
    assert describe_database(parse_conninfo("postgresql://app:secret@db:5433/shop")) == "app@db:5433/shop"
    assert describe_database(parse_conninfo("postgresql://db/shop")) == "db/shop"


def test_what_the_environment_says_is_told(monkeypatch: pytest.MonkeyPatch):
    """An operator sees which database is meant, also where the URL leaves it to libpq."""
    monkeypatch.setenv("PGHOST", "/run/pg")
    monkeypatch.setenv("PGPORT", "5433")
    monkeypatch.setenv("PGDATABASE", "shop")
    assert describe_database(parse_conninfo("postgresql://")) == "/run/pg:5433/shop"
    assert describe_database(parse_conninfo("postgresql://app@db:5432/other")) == "app@db:5432/other"


def test_the_usual_port_is_not_told():
    """Unless the URL says it."""
    assert ":5432" not in describe_database(parse_conninfo("postgresql://db/shop"))
    assert describe_database(parse_conninfo("postgresql://db:5432/shop")) == "db:5432/shop"


def test_a_service_is_named(monkeypatch: pytest.MonkeyPatch):
    """What it stands for is read by libpq alone."""
    monkeypatch.setenv("PGDATABASE", "shop")
    assert describe_database(parse_conninfo("service=production")) == "service production/its database"
    assert describe_database(parse_conninfo("service=production dbname=shop")) == "service production/shop"
