"""Servers of a test's own, with settings that a shared one cannot have: an archive, a standby."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.support.server import wait_until, with_parameters
from upgrader.database.embedded.ownership import Account, ensure_account
from upgrader.database.embedded.program import run_program
from upgrader.database.embedded.wheel import available_versions, find_programs

_DEBIAN = "/usr/lib/postgresql/{version}/bin"
# The tests kill nothing here that would lose what is not flushed.
_SETTINGS = {
    "listen_addresses": "''",
    "fsync": "off",
    "wal_level": "replica",
    "max_wal_senders": "5",
    "max_prepared_transactions": "5",
    "autovacuum": "off",
    "shared_buffers": "16MB",
    "wal_receiver_status_interval": "1",
}


@dataclass(frozen=True)
class Cluster:
    """A running server: its data below `folder`, its socket in it.

    Attributes:
        url: a superuser's, of the database `postgres`.
    """

    folder: Path
    programs: Path
    account: Account
    url: str

    def run(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs as the OS user of the server."""
        done = run_program([str(self.programs / program), *arguments], account=self.account, data=self.folder)
        assert done.returncode == 0, done.stdout

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        """Execute one statement; give its rows."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description is not None else []

    def configure(self, **settings: str) -> None:
        """Add settings; those that need it take effect with the next start."""
        lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
        with (self.folder / "data" / "postgresql.conf").open("a") as file:
            file.write(lines)

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.run("pg_ctl", "start", "-w", "-D", "data", "-l", "log", "-o", f"-k {self.folder}")

    def stop(self) -> None:
        """Stop it without waiting for sessions."""
        with suppress(AssertionError):
            self.run("pg_ctl", "stop", "-m", "immediate", "-D", "data")


@contextmanager
def running_cluster(version: int, settings: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    """Make a server of this major version and run it; a test is skipped on a machine without its programs."""
    with _stopped(version) as cluster:
        cluster.run("initdb", "-D", "data", "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8")
        cluster.configure(**{**_SETTINGS, **(settings or {})})
        cluster.start()
        yield cluster


@contextmanager
def running_standby(primary: Cluster, *, name: str) -> Iterator[Cluster]:
    """Make a streaming standby of a server and run it, until the primary sees it stream."""
    with ExitStack() as stack:
        folder = _folder(stack, primary.account)
        standby = Cluster(folder, primary.programs, primary.account, _url(folder))
        source = f"host={primary.folder} user=postgres application_name={name}"
        standby.run("pg_basebackup", "-D", "data", "-R", "-X", "stream", "-c", "fast", "-d", source)
        standby.configure(cluster_name=f"'{name}'")
        stack.callback(standby.stop)
        standby.start()
        wait_until(
            lambda: primary.execute("select 1 from pg_stat_replication where state = 'streaming'") != []
        )
        yield standby


@contextmanager
def _stopped(version: int) -> Iterator[Cluster]:
    with ExitStack() as stack:
        account = ensure_account(notify=print)
        folder = _folder(stack, account)
        cluster = Cluster(folder, _programs(version), account, _url(folder))
        stack.callback(cluster.stop)
        yield cluster


def _folder(stack: ExitStack, account: Account) -> Path:
    # Not below pytest's own folder: that is closed to the OS user that runs the server for root.
    folder = Path(tempfile.mkdtemp(prefix="upgrader-cluster-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    shutil.chown(folder, account.uid, account.gid)
    return folder


def _url(folder: Path) -> str:
    return with_parameters("postgresql:///postgres", host=str(folder), user="postgres")


def _programs(version: int) -> Path:
    if version in available_versions():
        return find_programs(version).initdb.parent
    debian = Path(_DEBIAN.format(version=version))
    if not (debian / "initdb").exists():
        pytest.skip(f"no programs of PostgreSQL {version} to make a server with on this machine")
    return debian
