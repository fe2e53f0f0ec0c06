"""The PostgreSQL server that the tests run on, and the databases and roles they are given."""

from __future__ import annotations

import fcntl
import itertools
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import NullPool, create_engine

from upgrader.database.embedded import embedded_server
from upgrader.demo.before import prepare

SERVER_VARIABLE = "UPGRADER_TEST_DATABASE_URL"
"""Run the tests on this server instead of the wheel's: the URL of a superuser."""

PREFIX = "upgrader_test"
PATIENCE_SECONDS = 60.0
# Who looks opens a connection each time, as a rule: 5 ms of processor time, which what is waited for needs itself.
_LONGEST_PAUSE_SECONDS = 0.06

# The tests kill clients, never the machine: what is not flushed is not lost. The third is off by default.
_SETTINGS = {"fsync": "off", "full_page_writes": "off", "max_prepared_transactions": "20"}
_SETUP_LOCK = 7_316_820_515


@dataclass(frozen=True)
class Role:
    """A role with limited rights, made for one test."""

    name: str
    password: str

    def url(self, database_url: str, *, password: str | None = None) -> str:
        """Give the URL of a database for this role."""
        return with_parameters(database_url, user=self.name, password=password or self.password)


@dataclass(frozen=True)
class PostgresServer:
    """A running server.

    Attributes:
        url: a superuser's.
        version: the major version.
        is_wheel: whether it is the embedded one, started for this test run.
        run: a name for the test run: everything made on the server begins with it.
        worker: the pytest-xdist worker, or `main`.
    """

    url: str
    version: int
    is_wheel: bool
    run: str
    worker: str
    _numbers: Iterator[int] = field(default_factory=itertools.count, repr=False)

    @contextmanager
    def database(self, *, template: str | None = None, encoding: str = "UTF8") -> Iterator[str]:
        """Make a database and drop it afterwards, whoever is still connected.

        Args:
            template: the name of the database to copy; an empty one if not given.
            encoding: of an empty one.
        """
        name = self._new_name("db")
        self._create_database(name, template=template, encoding=encoding)
        try:
            yield self.url_of(name)
        finally:
            self._execute(f'drop database if exists "{name}" with (force)')

    def demo_template(self) -> str:
        """Give the name of the database with the demo's state before the upgrade, built once for all workers."""
        name = f"{PREFIX}_{self.run}_demo"
        with self._set_up():
            if not self._exists(name):
                unfinished = f"{name}_unfinished"
                self._execute(f'drop database if exists "{unfinished}" with (force)')
                self._create_database(unfinished)
                _fill(self.url_of(unfinished))
                self._execute(f'alter database "{unfinished}" rename to "{name}"')
        return name

    def make_role(self, attributes: str = "") -> Role:
        """Make a role that may log in and nothing else; it is dropped at the end of the test run.

        Args:
            attributes: of CREATE ROLE, `CREATEDB` for example.
        """
        role = Role(self._new_name("role"), secrets.token_hex(8))
        self._execute(f"create role \"{role.name}\" login password '{role.password}' {attributes}")
        return role

    def url_of(self, database: str) -> str:
        """Give the superuser's URL of a database."""
        return with_parameters(self.url, dbname=database)

    def drop_leftovers(self) -> None:
        """Drop all databases and roles of the test run."""
        mine = f"{PREFIX}\\_{self.run}\\_%"
        with psycopg.connect(self.url, autocommit=True) as admin:
            for (name,) in admin.execute(
                "select datname from pg_database where datname like %s", [mine]
            ).fetchall():
                admin.execute(f'drop database if exists "{name}" with (force)'.encode())
            for (name,) in admin.execute(
                "select rolname from pg_roles where rolname like %s", [mine]
            ).fetchall():
                admin.execute(f'drop role if exists "{name}"'.encode())

    def _new_name(self, kind: str) -> str:
        return f"{PREFIX}_{self.run}_{self.worker}_{kind}{next(self._numbers)}"

    def _create_database(self, name: str, *, template: str | None = None, encoding: str = "UTF8") -> None:
        # Copying files is the faster way without fsync; with it, only where there are many of them.
        copies_files = self.version >= 15 and (self.is_wheel or template is not None)
        strategy = " strategy file_copy" if copies_files else ""
        wanted = "" if template else f" encoding '{encoding}'"
        if encoding != "UTF8":
            wanted += " lc_collate 'C' lc_ctype 'C'" + (" locale_provider libc" if self.version >= 15 else "")
        self._execute(f'create database "{name}" template "{template or "template0"}"{wanted}{strategy}')

    def _exists(self, name: str) -> bool:
        with psycopg.connect(self.url, autocommit=True) as admin:
            return admin.execute("select from pg_database where datname = %s", [name]).fetchone() is not None

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as admin:
            admin.execute(statement.encode())

    @contextmanager
    def _set_up(self) -> Iterator[psycopg.Connection]:
        """One worker at a time."""
        with psycopg.connect(self.url, autocommit=True) as admin:
            admin.execute("select pg_advisory_lock(%s)", [_SETUP_LOCK])
            yield admin


@contextmanager
def running_server(given_url: str | None, folder: Path, *, run: str, worker: str) -> Iterator[PostgresServer]:
    """Give the server at `given_url`, or else one from the wheel with its data in `folder`."""
    with ExitStack() as stack:
        if given_url is None:
            _prepare(folder)
        url = with_parameters(given_url or stack.enter_context(embedded_server(folder / "data")))
        with psycopg.connect(url, autocommit=True) as admin:
            version = admin.info.server_version // 10_000
        yield PostgresServer(url, version, is_wheel=given_url is None, run=run, worker=worker)


def _prepare(folder: Path) -> None:
    """Configure a server of our own, once for all workers: it is not at work for any of them yet."""
    done = folder / "configured"
    with (folder / "configuring").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if done.exists():
            return
        with (
            embedded_server(folder / "data") as url,
            psycopg.connect(with_parameters(url), autocommit=True) as admin,
        ):
            for name, value in _SETTINGS.items():
                admin.execute(f"alter system set {name} = {value}".encode())
        done.touch()


def with_parameters(url: str, **changes: str) -> str:
    """Write anything libpq takes as a URI, with other parameters."""
    parameters = {key: str(value) for key, value in conninfo_to_dict(url).items() if value is not None}
    parameters.update(changes)
    user, password = parameters.pop("user", ""), parameters.pop("password", "")
    who = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    database = quote(parameters.pop("dbname", "postgres"), safe="")
    return f"postgresql://{who}@/{database}?{urlencode(parameters, quote_via=quote)}"


@contextmanager
def nobody_let_in(url: str) -> Iterator[None]:
    """Let a database be away for the time of a block: its connections are ended, and no new one is made."""
    name = str(conninfo_to_dict(url)["dbname"])
    with psycopg.connect(url, dbname="postgres", autocommit=True) as admin:
        admin.execute(f'alter database "{name}" allow_connections false'.encode())
        try:
            admin.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = %s", [name]
            )
            yield
        finally:
            admin.execute(f'alter database "{name}" allow_connections true'.encode())


def wait_until(is_so: Callable[[], bool], *, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait for something that has to come.

    Raises:
        AssertionError: it did not come in time.
    """
    give_up, pause = time.monotonic() + seconds, 0.005
    while not is_so():
        assert time.monotonic() < give_up, f"not within {seconds} seconds"
        time.sleep(pause)
        pause = min(1.3 * pause, _LONGEST_PAUSE_SECONDS)


def _fill(url: str) -> None:
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=NullPool)
    with engine.begin() as connection:
        prepare(connection)


__all__ = ["PATIENCE_SECONDS", "SERVER_VARIABLE", "PostgresServer", "Role", "running_server", "wait_until"]
