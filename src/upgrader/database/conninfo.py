"""Database URLs: what libpq is given, and what people are shown."""

from __future__ import annotations

import re

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from upgrader.errors import SettingsError

# `postgresql+psycopg://` is SQLAlchemy's spelling; libpq knows only the part before the plus sign.
_USUAL_PORT = "5432"
_DRIVER = re.compile(r"^(postgres(?:ql)?)\+\w+://")


def parse_conninfo(url: str) -> dict[str, str]:
    """Read anything that libpq takes (URI or keyword string) into its parameters.

    Raises:
        SettingsError: libpq cannot read it. The message never repeats the URL, which may hold a password.
    """
    try:
        parameters = conninfo_to_dict(_DRIVER.sub(r"\1://", url))
    except psycopg.Error as error:
        raise SettingsError(
            "the database URL cannot be read: it is neither a PostgreSQL URI nor a libpq keyword string",
            hint='write it like "postgresql://user@host:5432/database", special characters percent-encoded',
        ) from error
    return {key: str(value) for key, value in parameters.items() if value is not None}


def join_conninfo(parameters: dict[str, str]) -> str:
    """Write parameters as one libpq string."""
    return make_conninfo("", **parameters)


def describe_database(parameters: dict[str, str]) -> str:
    """Name the database for people: `app@db:5432/app`, without any password.

    What the URL leaves to libpq (`PGHOST`, `PGDATABASE`, a service) is told as libpq will take it.
    """
    if "service" in parameters:  # read from its file by libpq alone, when it connects
        parameters = {"host": f"service {parameters['service']}", "dbname": "its database", **parameters}
    defaults = _libpq_defaults()
    host = parameters.get("host") or parameters.get("hostaddr") or defaults.get("host") or "local socket"
    port = parameters.get("port") or ("" if defaults.get("port") == _USUAL_PORT else defaults.get("port", ""))
    user = parameters.get("user")
    name = parameters.get("dbname") or defaults.get("dbname") or user or defaults.get("user", "default")
    where = f"{host}:{port}" if port else host
    return f"{user}@{where}/{name}" if user else f"{where}/{name}"


def _libpq_defaults() -> dict[str, str]:
    """Give what libpq takes where nothing is said: its environment's variables, then what it was built with."""
    options = psycopg.pq.Conninfo.get_defaults()
    return {option.keyword.decode(): option.val.decode() for option in options if option.val}
