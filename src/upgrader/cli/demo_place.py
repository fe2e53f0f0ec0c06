"""Where the demo plays: a database, the settings for it, and what is left of it afterwards."""

from __future__ import annotations

import shlex
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from upgrader.cli import exit_codes
from upgrader.cli.invocation import Invocation
from upgrader.cli.render.blocks import Line

if TYPE_CHECKING:
    from sqlalchemy import Engine

APP_VERSION = "1.23.0"
_EMBEDDED = "embedded:"


@dataclass(frozen=True)
class DemoPlace:
    """The database of the demo.

    Attributes:
        invocation: with the settings of the demo.
        engine: for what the demo does to the data by itself.
    """

    invocation: Invocation
    engine: Engine


@contextmanager
def demo_place(invocation: Invocation, *, keep: bool) -> Iterator[DemoPlace]:
    """Make an embedded server in a temporary directory; server and directory go at the end, unless kept.

    With `--database-url` before the verb it plays there, and leaves everything as it is at the end.
    """
    from upgrader.settings import require_database_url

    if invocation.database_url is not None:
        url = require_database_url(invocation.settings)
        with _server(invocation, url) as uri, _engine(uri) as engine:
            yield DemoPlace(_for_demo(invocation, url), engine)
        return
    directory = Path(tempfile.mkdtemp(prefix="upgrader-demo-"))
    directory.chmod(0o711)  # the OS user that runs the server for root passes through
    is_kept = False
    try:
        url = f"{_EMBEDDED}{directory / 'pgdata'}"
        with _server(invocation, url, runs_on=keep) as uri:
            with _engine(uri) as engine:
                yield DemoPlace(_for_demo(invocation, url), engine)
            if keep:
                invocation.output.show(*_how_to_look(directory, url, uri))
        is_kept = keep
    finally:
        if not is_kept:
            shutil.rmtree(directory, ignore_errors=True)


def prepare_only(invocation: Invocation) -> int:
    """Make the database of 1.20.0 where the settings say.

    Raises:
        OperatorError: there is a schema `core` already, or no database is given.
    """
    from upgrader.demo.before import prepare
    from upgrader.settings import require_database_url

    url = require_database_url(invocation.settings)
    with _server(invocation, url) as uri, _engine(uri) as engine, engine.begin() as connection:
        prepare(connection)
    invocation.output.tell(
        Line("the database of release 1.20.0 is there: 244 workspaces with 34,006 cities"),
        Line("upgrader plan", label="next:", style="hint"),
    )
    return exit_codes.DONE


@contextmanager
def _engine(uri: str) -> Iterator[Engine]:
    """Open an engine whose transactions are the caller's."""
    import psycopg
    from sqlalchemy import NullPool, create_engine

    from upgrader.database.connect import Connector
    from upgrader.database.failures import translating

    def connect() -> psycopg.Connection:
        driver = Connector(uri).connect()
        driver.autocommit = False
        return driver

    engine = create_engine("postgresql+psycopg://", creator=connect, poolclass=NullPool)
    with translating():
        yield engine
    engine.dispose()


@contextmanager
def _server(invocation: Invocation, url: str, *, runs_on: bool = False) -> Iterator[str]:
    """Give a URI of the server, which is started where it is an embedded one.

    Args:
        runs_on: leave it running at the end; whoever uses it next stops it.
    """
    if not url.startswith(_EMBEDDED):
        yield url
        return
    from upgrader.database.embedded import embedded_server

    def notify(message: str) -> None:
        invocation.output.tell(Line(message))

    data = Path(url.removeprefix(_EMBEDDED))
    if not runs_on:
        with embedded_server(data, notify=notify) as uri:
            yield uri
        return
    from upgrader.database.embedded.server import EmbeddedServer

    server = EmbeddedServer(data, notify=notify)
    try:
        yield server.start()
    except BaseException:
        server.stop()
        raise


def _for_demo(invocation: Invocation, url: str) -> Invocation:
    from upgrader.demo.example import demo_commands
    from upgrader.settings import Settings

    settings = Settings(database_url=url, commands=(demo_commands(),), app_version=APP_VERSION)
    return invocation.with_settings(settings)


def _how_to_look(directory: Path, url: str, uri: str) -> Iterator[Line]:
    from upgrader.database.embedded import DEFAULT_POSTGRES_VERSION
    from upgrader.database.embedded.wheel import find_programs
    from upgrader.demo.example import demo_commands

    psql = find_programs(DEFAULT_POSTGRES_VERSION).folders[0] / "psql"
    status = ["upgrader", "--database-url", url, "--commands", str(demo_commands())]
    yield Line()
    yield Line(f"the server runs on, its data is in {directory}; look at it with")
    yield Line(shlex.join([str(psql), uri]), indent=2, verbatim=True)
    yield Line("it stops after the next command of upgrader that uses it:")
    yield Line(shlex.join([*status, "--app-version", APP_VERSION, "status"]), indent=2, verbatim=True)
    yield Line("and then it may be removed:")
    yield Line(shlex.join(["rm", "-r", str(directory)]), indent=2, verbatim=True)
