"""What was there before the first command: laid into a scratch database."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import psycopg
from sqlalchemy import Connection, NullPool, create_engine

from upgrader.check.base_schema import line_of, read_base_schema
from upgrader.check.scratch import Scratch
from upgrader.database.connect import Connector
from upgrader.database.failures import describe_failure
from upgrader.errors import OperatorError, SettingsError
from upgrader.settings import Settings


@dataclass(frozen=True)
class Base:
    """A database that holds what was there before the first command. It is only ever copied.

    Attributes:
        scratch: where it is.
        url: None where it is as empty as the scratch database itself.
    """

    scratch: Scratch
    url: str | None

    def copy(self) -> str:
        """Make a database like it, and give its URL."""
        return self.scratch.make_database(template=self.url)


def lay_base(scratch: Scratch, settings: Settings) -> Base:
    """Make a database, execute `base_schema` in it and call `prepare`, as far as the settings name them.

    Raises:
        OperatorError: the file cannot be read or executed, or the function fails.
        SettingsError: the function cannot be imported.
    """
    given = settings.check
    if given.base_schema is None and given.prepare is None:
        return Base(scratch, None)
    prepare = None if given.prepare is None else _function(given.prepare)
    url = scratch.make_database()
    if given.base_schema is not None:
        _execute_file(url, read_base_schema(given.base_schema), str(given.base_schema.name), scratch)
    if prepare is not None:
        _call(prepare, url, str(given.prepare))
    return Base(scratch, url)


@contextmanager
def transaction(url: str) -> Iterator[Connection]:
    """Open a connection of SQLAlchemy's in a transaction, committed at the end of the block."""

    def connect() -> psycopg.Connection:
        driver = Connector(url, "upgrader check").connect()
        driver.autocommit = False
        return driver

    engine = create_engine("postgresql+psycopg://", creator=connect, poolclass=NullPool)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def _execute_file(url: str, text: str, name: str, scratch: Scratch) -> None:
    with Connector(url, "upgrader check").connect() as driver:
        try:
            driver.execute(text.encode())
        except psycopg.Error as error:
            position = int(error.diag.statement_position or 0)
            place = f"{name}:{line_of(text, position - 1)}" if position else name
            told = " ".join((error.diag.message_primary or str(error)).split())
            raise OperatorError(
                f"{place}: the base schema cannot be executed: {told}",
                hint=_hint(told, scratch)
                or "it is executed in an empty database: make it with pg_dump --schema-only --no-owner",
            ) from error


def _hint(told: str, scratch: Scratch) -> str | None:
    if scratch.is_embedded and "extension" in told:
        return "the embedded server has no contrib extensions: give a database that has them with --scratch-url URL"
    return None


def _call(prepare: Callable[[Connection], object], url: str, name: str) -> None:
    try:
        with transaction(url) as connection:
            prepare(connection)
    except Exception as error:
        raise OperatorError(
            f"prepare {name!r} failed: {describe_failure(error)}",
            hint="it is called with a SQLAlchemy connection in a transaction, on the scratch database",
        ) from error


def _function(name: str) -> Callable[[Connection], object]:
    module_name, _, attribute = name.partition(":")
    try:
        found: object = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception as error:
        raise SettingsError(
            f"prepare {name!r} cannot be imported: {type(error).__name__}: {error}",
            hint='write "package.module:function", importable from where the program runs',
        ) from error
    if not callable(found):
        raise SettingsError(
            f"prepare {name!r} is a {type(found).__name__}, not a function", hint="name the function itself"
        )
    return cast("Callable[[Connection], object]", found)
