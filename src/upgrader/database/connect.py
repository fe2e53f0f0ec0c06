"""Connections: how the program opens them, and what it sets on each."""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import psycopg
from psycopg import sql

from upgrader.database.conninfo import describe_database, join_conninfo, parse_conninfo
from upgrader.errors import DatabaseUnavailableError

# Both report what they could not clean up through logging's last resort, which writes to stderr.
for _name in ("psycopg", "sqlalchemy"):
    logging.getLogger(_name).addHandler(logging.NullHandler())

_KEEPALIVES = {
    "keepalives": "1",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
}
# Sent in the start-up packet, so that `RESET ALL` comes back to them. The server looks every second
# whether the client is still there, so that the statement of a killed run ends too (PostgreSQL 14+).
_SESSION_SETTINGS = {
    "client_connection_check_interval": "1000",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "idle_session_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "lock_timeout": "0",
    "statement_timeout": "0",
    "standard_conforming_strings": "on",
}
# A server whose platform cannot watch a socket refuses this one setting (invalid value).
_OLDEST_SERVER = 14
_TRANSACTION_TIMEOUT_SERVER = 170_000
# libpq's own hint, once for each host that was tried; the hint below it says the same.
_QUESTION = re.compile(r"\s*Is the server running (?:on|locally)[^?]*\?")
_OPTIONAL_SETTING = "client_connection_check_interval"


@dataclass(frozen=True)
class Connector:
    """Opens connections to one database, all in autocommit and without server-side prepared statements.

    `prepare_threshold` is off because a prepared statement outlives a change of the tables behind it: the
    sixth workspace whose columns differ would fail with "cached plan must not change result type".

    Attributes:
        url: anything that libpq takes.
        application_name: what `pg_stat_activity` shows.
        connect_timeout_seconds: used where the URL sets none.
        settings: more settings of the sessions, sent in the start-up packet: RESET ALL comes back to them.
        label: what people call the database; made of the URL where none is given.
        libpq: more parameters of the connection itself; the URL's win.
        is_plain: sends no settings, for single statements that mean the same in anybody's session: a pooler that
            refuses them, or that gives each transaction to another session, may be in between.
        keeps_date_style: for sessions in which authors' SQL runs: how dates are written there is theirs. In the
            others they are ISO, which is all that psycopg reads.
    """

    url: str
    application_name: str = "upgrader"
    connect_timeout_seconds: int = 10
    label: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    libpq: Mapping[str, str] = field(default_factory=dict)
    is_plain: bool = False
    keeps_date_style: bool = False

    @cached_property
    def parameters(self) -> dict[str, str]:
        """The URL as libpq parameters."""
        return parse_conninfo(self.url)

    @property
    def description(self) -> str:
        """The database for people, without a password."""
        return self.label or describe_database(self.parameters)

    def connect(self) -> psycopg.Connection:
        """Open a connection.

        Raises:
            DatabaseUnavailableError: it cannot be opened.
        """
        settings = self._settings
        try:
            return _supported(self._open({})) if self.is_plain else self._open_supported(settings)
        except psycopg.OperationalError as error:
            if self.is_plain or _OPTIONAL_SETTING not in str(error):
                raise _unavailable(error, self.description) from error
        del settings[_OPTIONAL_SETTING]
        try:
            return self._open_supported(settings)
        except psycopg.OperationalError as error:
            raise _unavailable(error, self.description) from error

    def _open_supported(self, settings: dict[str, str]) -> psycopg.Connection:
        """Open a connection that works whatever role, database and server have set for their sessions."""
        driver = _supported(self._open(settings))
        needed = _needed(driver)
        if self.keeps_date_style:
            needed.pop("datestyle", None)
        if not needed:
            return driver
        driver.close()
        return self._open({**settings, **needed})

    @property
    def conninfo(self) -> str:
        """What libpq is given, for pools that open connections themselves; it may hold a password."""
        return self._conninfo(self._settings)

    @property
    def _settings(self) -> dict[str, str]:
        return {} if self.is_plain else {**_SESSION_SETTINGS, **self.settings}

    def _open(self, settings: dict[str, str]) -> psycopg.Connection:
        return psycopg.connect(self._conninfo(settings), autocommit=True, prepare_threshold=None)

    def _conninfo(self, settings: dict[str, str]) -> str:
        given = self.parameters
        # The URL's own options come last and win.
        options = " ".join(
            [*(f"-c {key}={_escaped(value)}" for key, value in settings.items()), given.get("options", "")]
        )
        parameters = {
            "connect_timeout": str(self.connect_timeout_seconds),
            **_KEEPALIVES,
            **self.libpq,
            **given,
            **({"options": options.strip()} if options.strip() else {}),
            "application_name": self.application_name,
            # Whatever role, database, PGCLIENTENCODING and URL say: messages are written in it.
            "client_encoding": "UTF8",
        }
        return join_conninfo(parameters)


def _escaped(value: str) -> str:
    """Write a value for the start-up packet, where a space ends it."""
    return value.replace("\\", "\\\\").replace(" ", "\\ ")


def _needed(driver: psycopg.Connection) -> dict[str, str]:
    """Give settings that a session has to have, and that are not sent to every server: this one lacks them."""
    needed = {}
    style, order = (driver.info.parameter_status("DateStyle") or "ISO, MDY").split(", ")
    if style != "ISO":  # the order in which dates are read stays
        needed["datestyle"] = f"ISO,{order}"
    # Older servers do not know it. It cuts off sessions whose transactions take long.
    if driver.info.server_version >= _TRANSACTION_TIMEOUT_SERVER and driver.execute(
        "show transaction_timeout"
    ).fetchone() != ("0",):
        needed["transaction_timeout"] = "0"
    return needed


def _supported(driver: psycopg.Connection) -> psycopg.Connection:
    version = driver.info.server_version
    if version < _OLDEST_SERVER * 10_000:
        driver.close()
        raise DatabaseUnavailableError(
            f"the server is PostgreSQL {version // 10_000}",
            hint=f"upgrade the server: PostgreSQL {_OLDEST_SERVER} or newer is needed",
        )
    return driver


def client_name() -> str:
    """Name this process for people on other machines: `host, pid 4711`."""
    return f"{socket.gethostname()}, pid {os.getpid()}"


def literal(value: object) -> str:
    """Write a value as an SQL literal, for the runner's own multi-statement messages."""
    # Nearly all text is its own literal between apostrophes: psycopg takes ten times as long.
    if type(value) is str and "'" not in value and "\\" not in value and "\0" not in value:
        return f"'{value}'"
    if value is None or type(value) is bool or type(value) is int:
        return "NULL" if value is None else str(value)
    return sql.Literal(value).as_string(None)


def identifier(*parts: str) -> str:
    """Write a possibly qualified name as an SQL identifier."""
    if len(parts) == 1 and parts[0].isidentifier() and parts[0].isascii():  # one for each workspace
        return f'"{parts[0]}"'
    return _quoted(parts)


@lru_cache(maxsize=1024)
def _quoted(parts: tuple[str, ...]) -> str:
    return sql.Identifier(*parts).as_string(None)


DIRECT_URL = (
    "give a direct URL: host and port of the PostgreSQL server itself (5432 as a rule), not the pooler's; "
    "a run needs sessions of its own, for its lock and its settings"
)
_HINTS = (
    ("password authentication failed", "check user and password; a .pgpass file or PGPASSWORD works too"),
    ("no password supplied", "give a password in the URL, in a .pgpass file or in PGPASSWORD"),
    ("does not exist", "create it, or correct the name in the database URL"),
    ("no pg_hba.conf entry", "the server does not let this user in from here: ask its administrator"),
    ("starting up", "the server is starting: wait a moment and run the same command again"),
    ("too many connections", "free a connection on the server, then run the same command again"),
    ("remaining connection slots", "free a connection on the server, then run the same command again"),
    ("unsupported startup parameter", f"a connection pooler is in between; {DIRECT_URL}"),
    ("Servname not supported", "check the port in the database URL: it is a number"),
    ("could not translate host name", "check the host name in the database URL"),
    ("resolve", "check the host name in the database URL"),
    ("SSL", "check sslmode and the certificates that the database URL names"),
)


def _unavailable(error: psycopg.OperationalError, description: str) -> DatabaseUnavailableError:
    text = " ".join(_QUESTION.sub("", str(error)).split())
    hint = next((hint for part, hint in _HINTS if part in text), None)
    return DatabaseUnavailableError(
        f"cannot connect to {description}: {text}",
        hint=hint or "check that the server runs and that host and port in the database URL are right",
    )
