"""What becomes of an error on its way out."""

import json
from collections.abc import Callable

import pytest
import typer

from tests.unit.cli.builders import Recorded
from upgrader.cli import app as program
from upgrader.cli.failures import guarded
from upgrader.errors import LockHeldError, OperatorError


def ending(error: BaseException) -> Callable[[], int]:
    def body() -> int:
        raise error

    return body


def run(error: BaseException, *arguments: str, debug: bool = False) -> tuple[int, Recorded]:
    output = Recorded()
    return guarded(ending(error), output, arguments=list(arguments), debug=lambda: debug), output


def test_an_operators_error_is_two_lines() -> None:
    code, output = run(OperatorError("no", hint="do"))
    assert (code, output.out.getvalue(), output.err.getvalue()) == (2, "", "error: no\nhint: do\n")


def test_where_json_was_asked_for_an_error_is_a_document_too() -> None:
    code, output = run(LockHeldError("held", hint="wait"), "upgrade", "--json")
    assert json.loads(output.out.getvalue()) == {
        "schema_version": 1,
        "outcome": "locked",
        "exit_code": 3,
        "error": {"message": "held", "hint": "wait"},
    }
    assert output.err.getvalue() == "error: held\nhint: wait\n"
    assert code == 3


def test_a_bug_says_how_to_report_it_and_shows_no_traceback() -> None:
    code, output = run(ValueError("no sense, password=x"))
    error, hint = output.err.getvalue().splitlines()
    assert code == 70
    assert error == "error: this is a bug of the program: ValueError: no sense, password=***"
    assert "report it to the maintainers" in hint


def test_with_debug_there_is_a_traceback_without_secrets() -> None:
    _, output = run(ValueError("password=geheim"), debug=True)
    assert "Traceback (most recent call last):" in output.err.getvalue()
    assert "geheim" not in output.err.getvalue().replace('ValueError("password=geheim")', "")


def test_a_wrong_value_is_told_in_our_words_alone() -> None:
    code, output = run(typer.BadParameter("Value error, 'xml' is not one of 'text', 'json'"))
    assert (code, output.err.getvalue().splitlines()[0]) == (
        2,
        "error: invalid value: 'xml' is not one of 'text', 'json'",
    )


def test_an_interruption_is_130() -> None:
    code, output = run(KeyboardInterrupt())
    assert (code, output.err.getvalue()) == (130, "error: interrupted\n")


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["upgrad"], "no such command 'upgrad'", "did you mean upgrade"),
        (["upgrade", "--inclde-slow"], "no such option: --inclde-slow", "did you mean --include-slow"),
        (
            ["upgrade", "--database-url", "x"],
            "no such option: --database-url",
            "--database-url stands before the verb: upgrader --database-url … upgrade",
        ),
        (["upgrade", "--to"], "option '--to' requires an argument", "--help` shows what can be given"),
        (["generate", "--type", "fast"], "missing option '--name'", "`upgrader generate --help` shows"),
        (["baseline"], "missing argument 'VERSION'", "`upgrader baseline --help` shows"),
        (
            ["generate", "--name", "x", "--type", "odd"],
            "invalid value for '--type'",
            "`upgrader generate --help`",
        ),
        (["upgrade", "--count-limit", "0"], "invalid value for '--workspace-count-limit'", "--help` shows"),
    ],
)
def test_an_error_of_usage_says_what_can_be_given(
    arguments: list[str],
    message: str,
    hint: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["upgrader", *arguments])
    assert program.main() == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: {message}")
    assert hint in err.splitlines()[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["upgrade", "--include-slow", "--defer-slow"], "contradict each other"),
        (["upgrade", "--to", "x"], "'x' is not a version"),
        (["upgrade", "--wait-lock", "inf"], "is no number of seconds"),
        (["history", "--instance", "-w", "a"], "exclude each other"),
        (["workspace", "run", "x", "--again"], "--again was not confirmed"),
        (["demo", "--keep", "--prepare"], "exclude each other"),
    ],
)
def test_flags_that_contradict_are_refused(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["upgrader", *arguments])
    monkeypatch.setattr("sys.stdin", None)
    assert program.main() == 2
    error, hint = capsys.readouterr().err.splitlines()
    assert error.startswith("error: ")
    assert message in error
    assert hint.startswith("hint: ")
