"""What an exception means: is it worth another try, is the connection gone, and how it is told."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import psycopg
from sqlalchemy.exc import DBAPIError

from upgrader.database.opaque import OpaqueKind, opaque_parts
from upgrader.database.origin import is_author_file
from upgrader.errors import ConnectionLostError, RunError

_LOCK_NOT_AVAILABLE = "55P03"
LOCK_TIMEOUT = "lock timeout"
_REPEATABLE = {
    _LOCK_NOT_AVAILABLE: LOCK_TIMEOUT,
    "40P01": "deadlock",
    "40001": "serialization failure",
}
# Statements are cut before anything else looks at them: a bulk INSERT can be megabytes.
_STATEMENT_CHARACTERS = 2000
_TERMINATED = ("57P01", "57P02", "57P03", "25P03", "57P05")  # terminated, crashed, shutting down, time-outs
_AUTHOR_FRAMES = 3
_SECONDS = "_upgrader_seconds"
_SHOWN_OF_GROUP = 10
_LONGEST_CHAIN = 20
_NO_EXTENSION = "0A000"  # feature_not_supported: what CREATE EXTENSION says where the files are not there
_UNDEFINED_FILE = "58P01"  # the same, before PostgreSQL 16


def database_error(error: BaseException) -> psycopg.Error | None:
    """Give the driver's error behind `error`, through SQLAlchemy's wrapper and `raise … from`; None if none."""
    for link in _chain(error):
        if isinstance(link, psycopg.Error):
            return link
        if isinstance(link, DBAPIError) and isinstance(link.orig, psycopg.Error):
            return link.orig
    return None


def note_seconds(error: psycopg.Error, seconds: float) -> None:
    """Write on an error how long its statement had taken."""
    setattr(error, _SECONDS, seconds)


def seconds_of(error: psycopg.Error) -> float | None:
    """Give how long the statement behind an error had taken; None where it went past SQLAlchemy."""
    seconds: float | None = getattr(error, _SECONDS, None)
    return seconds


def repeatable_reason(error: BaseException) -> str | None:
    """Name the passing trouble (lock timeout, deadlock, serialization failure) behind `error`; None if none."""
    found = database_error(error)
    return _REPEATABLE.get(found.sqlstate or "") if found is not None else None


def is_connection_lost(driver: psycopg.Connection) -> bool:
    """Tell whether the server ended the connection, as far as the client knows by now.

    A connection that was closed on this side, by a command for example, is not lost.
    """
    return driver.broken


def is_terminated(error: psycopg.Error) -> bool:
    """Tell whether the server says that it ends the connection, or goes down."""
    return error.sqlstate in _TERMINATED


def translate_run_error(error: psycopg.Error) -> RunError:
    """Say what the driver's error on one of the program's own statements means for the run."""
    text = " ".join(str(error).split())
    if isinstance(error, psycopg.OperationalError) and error.sqlstate is None:
        return ConnectionLostError(
            f"the connection to the server was lost: {text}",
            hint="nothing is left half done; run the same command again",
        )
    if is_terminated(error):
        return ConnectionLostError(
            f"the server ended the connection: {text}",
            hint="nothing is left half done; run the same command again",
        )
    if error.sqlstate == _LOCK_NOT_AVAILABLE:
        return RunError(
            f"another session holds a lock for too long: {text}",
            hint="look at pg_stat_activity for who it is, then run the same command again",
        )
    return RunError(
        f"the database refused a statement of the run itself: {text}",
        hint="mend what it says, then run the same command again; completed steps are not repeated",
    )


@contextmanager
def translating() -> Iterator[None]:
    """Let an error of the driver out of the block as what it means for the run."""
    try:
        yield
    except (psycopg.Error, DBAPIError) as error:
        found = database_error(error)
        if found is None:
            raise
        raise translate_run_error(found) from error


def describe_failure(error: BaseException) -> str:
    """Tell a failure for the history: type, message, what the database added, the author's lines.

    Not redacted and not cut yet.
    """
    lines = [_headline(error), *_inner_lines(error), *map(str, getattr(error, "__notes__", ()))]
    found = database_error(error)
    if found is not None:
        lines.extend(_database_lines(error, found))
    frames = list(_author_lines(error.__traceback__))
    lines.extend(frames[-_AUTHOR_FRAMES:])
    return "\n".join(line for line in lines if line)


def needs_missing_extension(error: BaseException) -> bool:
    """Tell whether the server has not got an extension that a command asked for."""
    found = database_error(error)
    if found is None or found.sqlstate not in (_NO_EXTENSION, _UNDEFINED_FILE):
        return False
    return "extension" in str(found)


def _headline(error: BaseException) -> str:
    shown: BaseException = error
    if isinstance(error, DBAPIError) and error.orig is not None:
        shown = error.orig  # SQLAlchemy's own text repeats statement, parameters and a link
    return f"{type(shown).__name__}: {_message(shown)}"


def _inner_lines(error: BaseException) -> Iterator[str]:
    """Tell what an exception group holds, as far as it is worth a look."""
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    for one in inner[:_SHOWN_OF_GROUP]:
        yield f"- {_headline(one)}"


def _message(error: BaseException) -> str:
    try:
        if isinstance(error, psycopg.Error) and error.diag.message_primary:
            return error.diag.message_primary
        return str(error) or "(no message)"
    except (Exception, SystemExit, GeneratorExit) as broken:  # an author's __str__ may fail
        return f"(its message cannot be shown: {type(broken).__name__})"


def _database_lines(error: BaseException, found: psycopg.Error) -> Iterator[str]:
    diagnostics = found.diag
    if found.sqlstate:
        yield f"SQLSTATE: {found.sqlstate}"
    for label, text in (
        ("detail", diagnostics.message_detail),
        ("hint", diagnostics.message_hint),
        ("context", diagnostics.context),
    ):
        if text:
            yield f"{label}: {text}"
    statement = next((link.statement for link in _chain(error) if isinstance(link, DBAPIError)), None)
    if statement:
        yield f"statement: {_on_one_line(statement[: _STATEMENT_CHARACTERS * 2])[:_STATEMENT_CHARACTERS]}"


def _on_one_line(statement: str) -> str:
    """Give SQL without its comments: on one line, what follows a `--` would be one."""
    kept, position = "", 0
    for part in opaque_parts(statement):
        if part.kind is OpaqueKind.COMMENT:
            kept += statement[position : part.start] + " "
            position = part.stop
    return " ".join((kept + statement[position:]).split())


def _author_lines(trace: TracebackType | None) -> Iterator[str]:
    for frame in traceback.extract_tb(trace):
        if not is_author_file(frame.filename):
            continue
        code = f": {frame.line}" if frame.line else ""
        yield f"at {_shorten(Path(frame.filename))}:{frame.lineno} in {frame.name}{code}"


def _shorten(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    for _ in range(_LONGEST_CHAIN):
        if link is None:
            return
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
