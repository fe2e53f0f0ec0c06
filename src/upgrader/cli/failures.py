"""What becomes of an error on its way out: words on stderr, JSON where it was asked for, an exit code."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import typer

from upgrader.cli import exit_codes
from upgrader.cli.console import Output
from upgrader.cli.render.blocks import Line
from upgrader.errors import OperatorError, Terminated, UpgraderError

REPORT = "report it to the maintainers, with what `upgrader --version` and `upgrader --debug …` show"
_OF_THE_VALIDATOR = "Value error, "  # pydantic puts it before what our own validators say
# The class is Typer's or Click's own, as the release of Typer has it.
_ClickError: type[Exception] = typer.BadParameter.__mro__[2]
_BEFORE_THE_VERB = (
    "--config",
    "--database-url",
    "--commands",
    "--app-version",
    "--debug",
    "--no-color",
    "--version",
)


class Interrupted(BaseException):
    """Ctrl-C came while a verb was at work that does not handle it itself."""


def guarded(
    body: Callable[[], int], output: Output, *, arguments: list[str], debug: Callable[[], bool]
) -> int:
    """Run `body` and give its exit code, or that of the error that it raises, which is told.

    Args:
        debug: asked when there is an error: whether to show where it comes from.
    """
    try:
        return body()
    except (KeyboardInterrupt, Interrupted):
        return _cut_off(output, arguments, exit_codes.INTERRUPTED, "interrupted")
    except Terminated as error:
        return _cut_off(output, arguments, exit_codes.TERMINATED, "ended by SIGTERM", error.hint)
    except typer.Abort:
        output.problem("interrupted", "nothing was run")
        return exit_codes.INTERRUPTED
    except _ClickError as error:
        caught: Exception = _usage_error(error)
    except Exception as error:
        caught = error
    code = exit_codes.of_error(caught)
    if debug():
        output.tell(*_traceback(caught))
    _tell(caught, output, is_debug=debug())
    if _asks_for_json(arguments):
        output.show_json(error_document(caught, code))
    return code


def _cut_off(output: Output, arguments: list[str], code: int, message: str, hint: str | None = None) -> int:
    """Tell that a signal ended the verb, and give the exit code."""
    from upgrader.cli.render.documents import envelope

    output.problem(message, hint)
    if _asks_for_json(arguments):
        output.show_json(
            {**envelope(exit_codes.word(code), code), "error": {"message": message, "hint": hint}}
        )
    return code


def _asks_for_json(arguments: list[str]) -> bool:
    return bool({"--json", "--format=json"} & {*arguments}) or ("--format", "json") in pairwise(arguments)


def error_document(error: Exception, code: int) -> dict[str, Any]:
    """Give the JSON of a command that was refused, or cut off before it had a report."""
    from upgrader.cli.render.documents import SCHEMA_VERSION, error_fields

    return {
        "schema_version": SCHEMA_VERSION,
        "outcome": exit_codes.word(code),
        "exit_code": code,
        "error": error_fields(error),
    }


def _tell(error: Exception, output: Output, *, is_debug: bool) -> None:
    if isinstance(error, UpgraderError):
        output.failure(error)
        return
    hint = "the traceback is above; " if is_debug else ""
    output.problem(f"this is a bug of the program: {_named(error)}", f"{hint}{REPORT}")


def _named(error: BaseException) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _traceback(error: BaseException) -> list[Line]:
    return [Line("".join(traceback.format_exception(error)).rstrip(), verbatim=True)]


def _usage_error(error: Exception) -> OperatorError:
    """Turn what the parser says into an error with a hint."""
    format_message: Callable[[], str] = getattr(error, "format_message", lambda: str(error))
    message = " ".join(format_message().split()).removesuffix(".").replace(_OF_THE_VALIDATOR, "")
    context = getattr(error, "ctx", None)
    path = getattr(context, "command_path", "upgrader")
    hint = next(_nearest(error, context), f"`{path} --help` shows what can be given")
    told = message.partition(" Did you mean ")[0].partition(" (Possible options")[0]
    made = OperatorError(_sentence(told), hint=hint)
    made.__cause__ = error
    return made


def _nearest(error: Exception, context: Any) -> Iterator[str]:
    option = getattr(error, "option_name", None)
    name = str(getattr(context, "info_name", "") or "")
    if option is not None and type(error).__name__ == "NoSuchOption":
        if option in _BEFORE_THE_VERB:
            yield f"{option} stands before the verb: upgrader {option} … {name}"
        known = [one for parameter in context.command.params for one in parameter.opts] if context else []
        near = difflib.get_close_matches(option, known, n=2, cutoff=0.7)
        if near:
            yield f"did you mean {' or '.join(near)}?"
        for one in difflib.get_close_matches(option, _BEFORE_THE_VERB, n=1, cutoff=0.7):
            yield f"did you mean {one}? It stands before the verb: upgrader {one} … {name}"
        return
    verbs = getattr(getattr(context, "command", None), "commands", None)
    words = str(error).split("'")
    if verbs and len(words) > 1:
        near = difflib.get_close_matches(words[1], verbs, n=2, cutoff=0.5)
        if near:
            yield f"did you mean {' or '.join(near)}?"


def _sentence(text: str) -> str:
    return text[:1].lower() + text[1:].rstrip(".")
