"""Databases and projects to measure on, and the program as a process."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from tests.support.project import PROGRAM, Project
from tests.support.server import SERVER_VARIABLE, with_parameters
from upgrader.database.embedded import embedded_server

COLUMN_BATCH = 100
PROCESS_SECONDS = 600


@dataclass(frozen=True)
class Stage:
    """A server with its default settings (unlike the tests' it flushes to disk), and a folder."""

    url: str
    folder: Path

    @contextmanager
    def database(self, name: str) -> Iterator[str]:
        """Make a database and give its name; it is gone afterwards."""
        database = f"bench_{name}_{secrets.token_hex(4)}"
        with psycopg.connect(self.url, autocommit=True) as admin:
            admin.execute(f"create database {database}".encode())
            try:
                yield database
            finally:
                admin.execute(f"drop database {database} with (force)".encode())

    @contextmanager
    def project(self, name: str) -> Iterator[Project]:
        """Make a project on a new database; both are gone afterwards."""
        with self.database(name) as database:
            folder = self.folder / database
            folder.mkdir()
            try:
                yield Project.create(folder, with_parameters(self.url, dbname=database))
            finally:
                shutil.rmtree(folder)


@contextmanager
def open_stage() -> Iterator[Stage]:
    """Give the server that the tests' variable names, or else one from the wheel."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="upgrader-bench-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        url = os.environ.get(SERVER_VARIABLE) or stack.enter_context(embedded_server(folder / "data"))
        yield Stage(url, folder)


def make_workspaces(project: Project, count: int, *, with_schemas: bool) -> None:
    """Fill `core.workspace`; each workspace has a schema `ws_<id>` with a table `item`, if so wished."""
    with project.connect() as connection:
        connection.execute(
            "create schema core;"
            "create table core.workspace (id integer primary key, display_name text not null,"
            " activation_status text not null, database_schema text)"
        )
        schema = "'ws_' || n" if with_schemas else "null"
        connection.execute(
            f"insert into core.workspace select n, 'Workspace ' || n, 'ACTIVE', {schema}"
            f" from generate_series(1, {count}) n".encode()
        )
        for first in range(1, count + 1, COLUMN_BATCH) if with_schemas else ():
            schemas = [f"ws_{number}" for number in range(first, min(first + COLUMN_BATCH, count + 1))]
            connection.execute(
                "".join(
                    f"create schema {name}; create table {name}.item (id bigint primary key, name text);"
                    for name in schemas
                ).encode()
            )
        connection.execute("analyze")


def run_program(
    project: Project, *arguments: str, url: str | None = None, exit_codes: Collection[int] = (0,)
) -> dict[str, Any]:
    """Run the program with `--json` as a process and give its document.

    Args:
        url: another way to the project's database.
        exit_codes: with which it may end.

    Raises:
        RuntimeError: it ended with another exit code.
    """
    done = subprocess.run(
        [str(PROGRAM), *arguments, "--json"],
        cwd=project.directory,
        env=project.environment({"UPGRADER_DATABASE_URL": url} if url else None),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PROCESS_SECONDS,
        check=False,
    )
    if done.returncode not in exit_codes:
        raise RuntimeError(f"upgrader {' '.join(arguments)} exited with {done.returncode}: {done.stderr}")
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def start_program(project: Project, *arguments: str, output: Path) -> subprocess.Popen[bytes]:
    """Start the program with `--json`, its document going to a file; the caller waits for its end."""
    with output.open("wb") as stdout:
        return subprocess.Popen(
            [str(PROGRAM), *arguments, "--json"],
            cwd=project.directory,
            env=project.environment(),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.DEVNULL,
        )


def run_quietly(project: Project, *command: str) -> None:
    """Run a command of the virtual environment, its output thrown away."""
    subprocess.run(
        [str(PROGRAM.with_name(command[0])), *command[1:]],
        cwd=project.directory,
        env=project.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=PROCESS_SECONDS,
    )
