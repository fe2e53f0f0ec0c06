"""Where the demo plays: a database, the settings for it, and what is left of it afterwards."""

from __future__ import annotations

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
    if invocation.database_url is not None:
        with _engine(invocation, invocation.loaded.settings.database_url or "") as engine:
            url = invocation.settings.database_url or ""
            yield DemoPlace(_for_demo(invocation, url), engine)
        return
    directory = Path(tempfile.mkdtemp(prefix="upgrader-demo-"))
    is_kept = False
    try:
        url = f"{_EMBEDDED}{directory / 'pgdata'}"
        with _engine(invocation, url) as engine:
            yield DemoPlace(_for_demo(invocation, url), engine)
        is_kept = keep
    finally:
        if is_kept:
            _say_how_to_look(invocation, directory)
        else:
            shutil.rmtree(directory, ignore_errors=True)


def prepare_only(invocation: Invocation) -> int:
    """Make the database of 1.20.0 where the settings say.

    Raises:
        OperatorError: there is a schema `core` already, or no database is given.
    """
    from upgrader.demo.before import prepare
    from upgrader.settings import require_database_url

    with _engine(invocation, require_database_url(invocation.settings)) as engine:
        with engine.begin() as connection:
            prepare(connection)
    invocation.output.tell(
        Line("the database of release 1.20.0 is there: 244 workspaces with 34,006 cities"),
        Line("upgrader plan", label="next:", style="hint"),
    )
    return exit_codes.DONE


@contextmanager
def _engine(invocation: Invocation, url: str) -> Iterator[Engine]:
    """Open an engine with transactions of the caller's; an embedded server runs within the block."""
    from sqlalchemy import NullPool, create_engine

    from upgrader.database.connect import Connector

    def connect(uri: str) -> object:
        driver = Connector(uri).connect()
        driver.autocommit = False
        return driver

    with _server(invocation, url) as uri:
        engine = create_engine("postgresql+psycopg://", creator=lambda: connect(uri), poolclass=NullPool)
        yield engine
        engine.dispose()


@contextmanager
def _server(invocation: Invocation, url: str) -> Iterator[str]:
    if not url.startswith(_EMBEDDED):
        yield url
        return
    from upgrader.database.embedded import embedded_server

    notify = invocation.output.tell
    with embedded_server(Path(url.removeprefix(_EMBEDDED)), notify=lambda text: notify(Line(text))) as uri:
        yield uri


def _for_demo(invocation: Invocation, url: str) -> Invocation:
    from upgrader.demo.example import demo_commands
    from upgrader.settings import Settings

    settings = Settings(database_url=url, commands=(demo_commands(),), app_version=APP_VERSION)
    return invocation.with_settings(settings)
