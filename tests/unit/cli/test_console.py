"""The two streams: who gets what, with what taken out of it."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.unit.cli.builders import Recorded
from upgrader.cli.console import AuthorPrints, Output
from upgrader.cli.render.blocks import Line
from upgrader.errors import LoadingError, OperatorError, Problem


def test_data_goes_to_stdout_and_words_to_stderr() -> None:
    output = Recorded()
    output.show(Line("data"))
    output.warn("odd")
    output.failure(OperatorError("no", hint="do"))
    assert output.out.getvalue() == "data\n"
    assert output.err.getvalue() == "warning: odd\nerror: no\nhint: do\n"


def test_an_error_of_loading_lists_all_its_problems() -> None:
    output = Recorded()
    problems = [Problem("two of one name", ("a.py:1", "b.py:2"), "rename one"), Problem("no good", ())]
    output.failure(LoadingError(problems, hint="mend"))
    assert output.err.getvalue() == (
        "error: 2 problems in the command modules\n"
        "  - two of one name\n"
        "      a.py:1\n"
        "      b.py:2\n"
        "      -> rename one\n"
        "  - no good\n"
        "hint: mend\n"
    )


def test_secrets_go_to_neither() -> None:
    output = Recorded()
    output.add_secrets(["hunter2"])
    output.show(Line("it is hunter2"))
    output.warn("postgresql://u:other@h/d, password=third")
    output.show_json({"a": ['hunter2 "x"'], "b": {"c": 1, "d": None}})
    told = output.out.getvalue() + output.err.getvalue()
    assert told.count("***") == 4
    assert not any(secret in told for secret in ("hunter2", "other", "third"))


def test_a_path_is_printed_as_it_is() -> None:
    output = Recorded()
    output.show_exactly("commands/password=x.py")
    assert output.out.getvalue() == "commands/password=x.py\n"


def test_colours_are_for_terminals_that_want_them() -> None:
    def is_coloured(*, terminal: bool = True, **environment: str) -> bool:
        output = Recorded(terminal=terminal, **environment)
        output.warn("odd")
        return "\x1b" in output.err.getvalue()

    assert is_coloured()
    assert not is_coloured(terminal=False)
    assert not is_coloured(NO_COLOR="1")
    assert not is_coloured(TERM="dumb")


def test_the_width_is_that_of_columns_or_none() -> None:
    assert Recorded(COLUMNS="60").stdout_width == 60
    assert Recorded(COLUMNS="x").stdout_width is None


def test_letters_that_the_locale_lacks_are_written_in_another_way() -> None:
    raw = io.BytesIO()
    output = Output(io.TextIOWrapper(raw, encoding="ascii"), io.StringIO(), environment={})
    output.show(Line("and so on… Curaçao"))
    assert raw.getvalue() == b"and so on... Cura\\xe7ao\n"


def test_a_reader_that_leaves_ends_nothing() -> None:
    with broken_pipe() as stream:
        output = Output(stream, io.StringIO(), environment={})
        for _ in range(3):
            output.show(Line("x" * 100_000))
        output.flush()
        assert output.write_error is None


def test_a_full_disk_is_remembered() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        output = Output(full, io.StringIO(), environment={})
        output.show(Line("data"))
        assert output.write_error is not None


def test_what_an_author_prints_goes_to_people() -> None:
    output = Recorded()
    prints = AuthorPrints(output)
    print("one", "password=x", file=prints)
    print("two", end="", file=prints)
    print(file=prints)
    assert output.err.getvalue() == "one password=***\ntwo\n"
    assert output.out.getvalue() == ""


@contextmanager
def broken_pipe() -> Iterator[io.TextIOWrapper]:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", encoding=sys.getdefaultencoding()) as stream:
        yield stream
