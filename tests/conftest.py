"""Fixtures for all tests: a real PostgreSQL server, databases, roles, projects."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import psycopg
import pytest

from tests.support.project import Project
from tests.support.server import SERVER_VARIABLE, PostgresServer, Role, running_server

# Shared machines stall for seconds: that says nothing of the code, neither a deadline nor "generation is slow".
hypothesis.settings.register_profile(
    "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("patient")

_FOLDER = pytest.StashKey[Path]()
_RUN = pytest.StashKey[str]()
# A gigabyte of WAL, the demo's template, and what the largest tests of some workers have at a time; with room.
_MEMORY_BYTES = 6 * 1024**3


def pytest_configure(config: pytest.Config) -> None:
    """Name the test run, and make its folder; workers are told both."""
    # A shell starts what runs in the background with SIGINT ignored, and every child would inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    given = getattr(config, "workerinput", None)
    if given is not None:
        config.stash[_FOLDER], config.stash[_RUN] = Path(given["upgrader_folder"]), given["upgrader_run"]
        return
    # Not below pytest's own folder: that is closed to the OS user that runs the server for root.
    config.stash[_FOLDER] = Path(tempfile.mkdtemp(prefix="upgrader-tests-", dir=_memory()))
    config.stash[_RUN] = secrets.token_hex(4)


def _memory() -> str | None:
    """Give a folder in memory for the server's data, where there is enough of it; None for the usual one.

    Thousands of databases are made and dropped, each of 300 files: on a disk's file system that takes five times
    the processor time, with fsync off as well.
    """
    folder = "/dev/shm"
    if os.access(folder, os.W_OK | os.X_OK) and shutil.disk_usage(folder).free >= _MEMORY_BYTES:
        return folder
    return None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """Hand name and folder to a pytest-xdist worker."""
    stash = node.config.stash  # type: ignore[attr-defined]  # an attribute of this class alone
    node.workerinput.update(upgrader_folder=str(stash[_FOLDER]), upgrader_run=stash[_RUN])  # type: ignore[attr-defined]  # an attribute of this class alone


def pytest_unconfigure(config: pytest.Config) -> None:
    """Clear away what the test run made; the workers have ended by now."""
    if hasattr(config, "workerinput") or _FOLDER not in config.stash:
        return
    url = os.environ.get(SERVER_VARIABLE)
    if url:
        with running_server(url, config.stash[_FOLDER], run=config.stash[_RUN], worker="main") as server:
            server.drop_leftovers()
    shutil.rmtree(config.stash[_FOLDER], ignore_errors=True)


@pytest.fixture(scope="session")
def server(pytestconfig: pytest.Config) -> Iterator[PostgresServer]:
    """The server: PostgreSQL 18 from the wheel, or the one that `UPGRADER_TEST_DATABASE_URL` names."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    folder, run = pytestconfig.stash[_FOLDER], pytestconfig.stash[_RUN]
    with running_server(os.environ.get(SERVER_VARIABLE), folder, run=run, worker=worker) as running:
        yield running


@pytest.fixture(scope="session")
def demo_template(server: PostgresServer) -> str:
    """The name of a database that holds the demo's release 1.20.0; for CREATE DATABASE … TEMPLATE."""
    return server.demo_template()


@pytest.fixture
def database_url(server: PostgresServer) -> Iterator[str]:
    """The URL of an empty database of the test's own, a superuser's."""
    with server.database() as url:
        yield url


@pytest.fixture
def demo_database_url(server: PostgresServer, demo_template: str) -> Iterator[str]:
    """The URL of a database of the test's own that holds the demo's release 1.20.0."""
    with server.database(template=demo_template) as url:
        yield url


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    """A superuser's connection to `database_url`, in autocommit."""
    with psycopg.connect(database_url, autocommit=True) as opened:
        yield opened


@pytest.fixture
def make_role(server: PostgresServer) -> Callable[..., Role]:
    """Makes roles that may log in and nothing else: `make_role("CREATEDB").url(database_url)`."""
    return server.make_role


@pytest.fixture
def project(tmp_path: Path, database_url: str) -> Project:
    """An empty project on `database_url`."""
    return Project.create(tmp_path, database_url)


@pytest.fixture
def demo_project(tmp_path: Path, demo_database_url: str) -> Project:
    """An empty project on a copy of the demo's release 1.20.0."""
    return Project.create(tmp_path, demo_database_url)
