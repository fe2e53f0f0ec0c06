"""What an exception means, and how it is told."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError

from upgrader.database.failures import (
    database_error,
    describe_failure,
    needs_missing_extension,
    repeatable_reason,
    translate_run_error,
)
from upgrader.errors import ConnectionLostError, RunError


def wrapped(error: psycopg.Error, statement: str = "select 1") -> DBAPIError:
    return DBAPIError(statement, None, error)


def caused(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


class TestDatabaseError:
    def test_itself(self):
        """The driver's error is its own."""
        error = psycopg.errors.UniqueViolation("twice")
        assert database_error(error) is error

    def test_wrapped(self):
        """SQLAlchemy's wrapper is looked through."""
        error = psycopg.errors.UniqueViolation("twice")
        assert database_error(wrapped(error)) is error

    def test_behind_an_authors_error(self):
        """An author's `raise … from` is looked through, also where it stands on another one."""
        error = psycopg.errors.UniqueViolation("twice")
        assert database_error(caused(ValueError("bad"), caused(KeyError("x"), wrapped(error)))) is error

    def test_implicit_context(self):
        """An error raised while another was handled has it behind it, unless it says otherwise."""
        error = psycopg.errors.UniqueViolation("twice")
        outer = ValueError("bad")
        outer.__context__ = error
        assert database_error(outer) is error
        outer.__suppress_context__ = True
        assert database_error(outer) is None

    def test_none(self):
        """Others have none, errors that are each other's cause neither."""
        first, second = ValueError("one"), ValueError("two")
        first.__cause__, second.__cause__ = second, first
        assert database_error(first) is None


class TestRepeatable:
    @pytest.mark.parametrize(
        ("error", "reason"),
        [
            (psycopg.errors.LockNotAvailable("x"), "lock timeout"),
            (psycopg.errors.DeadlockDetected("x"), "deadlock"),
            (psycopg.errors.SerializationFailure("x"), "serialization failure"),
            (psycopg.errors.UniqueViolation("x"), None),
            (psycopg.errors.QueryCanceled("x"), None),
            (psycopg.OperationalError("gone"), None),
            (ValueError("x"), None),
        ],
    )
    def test_reason(self, error: Exception, reason: str | None):
        """Only passing trouble is worth another try, whoever has wrapped it."""
        assert repeatable_reason(error) == reason
        assert repeatable_reason(caused(RuntimeError("mine"), error)) == reason
        if isinstance(error, psycopg.Error):
            assert repeatable_reason(wrapped(error)) == reason


class TestTranslation:
    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            (psycopg.OperationalError("server closed the connection unexpectedly"), ConnectionLostError),
            (psycopg.errors.AdminShutdown("x"), ConnectionLostError),
            (psycopg.errors.CrashShutdown("x"), ConnectionLostError),
            (psycopg.errors.CannotConnectNow("x"), ConnectionLostError),
            (psycopg.errors.IdleSessionTimeout("x"), ConnectionLostError),
            (psycopg.errors.InsufficientPrivilege("permission denied"), RunError),
            (psycopg.errors.DiskFull("no space"), RunError),
        ],
    )
    def test_kind(self, error: psycopg.Error, kind: type[RunError]):
        """A connection that is gone is told from a statement that was refused."""
        translated = translate_run_error(error)

        assert type(translated) is kind
        assert str(error) in str(translated)
        assert "run the same command again" in str(translated.hint)


class TestDescription:
    def test_type_and_message(self):
        """The first line is the exception's type and message."""
        assert describe_failure(ValueError("bad value")) == "ValueError: bad value"

    def test_no_message(self):
        """An exception without words says so."""
        assert describe_failure(RuntimeError()) == "RuntimeError: (no message)"

    def test_message_that_fails(self):
        """An exception that cannot even tell itself does not break the telling."""

        class BrokenError(Exception):
            def __str__(self) -> str:
                raise RuntimeError("no")

        assert describe_failure(BrokenError()) == "BrokenError: (its message cannot be shown: RuntimeError)"

    @pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit("x")])
    def test_what_is_no_error(self, error: BaseException):
        """Whatever can be raised can be told."""
        assert describe_failure(error).startswith(type(error).__name__)

    def test_lines_of_the_author(self):
        """The innermost lines outside of the product and of libraries are named, with their code."""

        def inner() -> None:
            raise ValueError("deep")

        def outer() -> None:
            inner()

        with pytest.raises(ValueError, match="deep") as raised:
            outer()

        first, *frames = describe_failure(raised.value).splitlines()
        assert first == "ValueError: deep"
        assert frames[-1].endswith('in inner: raise ValueError("deep")')
        assert frames[-1].startswith("at tests/unit/database/test_failures.py:")
        assert frames[-2].endswith("in outer: inner()")

    def test_only_the_innermost_lines(self):
        """Of a deep recursion three lines are enough."""

        def dive(depth: int) -> None:
            if not depth:
                raise ValueError("deep")
            dive(depth - 1)

        with pytest.raises(ValueError, match="deep") as raised:
            dive(50)

        assert len(describe_failure(raised.value).splitlines()) == 4

    def test_statement_is_cut(self):
        """A statement of megabytes is cut before anything is done with it."""
        error = wrapped(psycopg.errors.SyntaxError("bad"), "select " + "x, " * 1_000_000)

        *_, statement = describe_failure(error).splitlines()
        assert statement.startswith("statement: select x, x, ")
        assert len(statement) < 2_100

    def test_statement_on_one_line_keeps_its_sense(self):
        """A comment to the end of a line would hide the rest of it; what looks like one in a string is kept."""
        statement = "alter table t -- squawk-ignore x\n  add /* why */ c text default '--'"

        text = describe_failure(wrapped(psycopg.errors.SyntaxError("bad"), statement))

        assert text.splitlines()[-1] == "statement: alter table t add c text default '--'"

    def test_wrapper_is_not_repeated(self):
        """SQLAlchemy's own text, with parameters and a link, is left out."""
        text = describe_failure(wrapped(psycopg.errors.SyntaxError("bad"), "select\n  1"))

        assert text.splitlines()[0] == "SyntaxError: bad"
        assert "statement: select 1" in text
        assert "sqlalche.me" not in text


@pytest.mark.parametrize(
    ("error", "is_missing"),
    [
        (psycopg.errors.FeatureNotSupported('extension "hstore" is not available'), True),
        (psycopg.errors.UndefinedFile("could not open extension control file"), True),
        (psycopg.errors.FeatureNotSupported("cached plan must not change result type"), False),
        (psycopg.errors.UndefinedFile("could not open file"), False),
        (psycopg.errors.UndefinedTable('relation "extension" does not exist'), False),
        (ValueError("extension"), False),
    ],
)
def test_missing_extension(error: Exception, is_missing: bool):
    """A server without an extension's files is told from everything else."""
    assert needs_missing_extension(error) is is_missing
