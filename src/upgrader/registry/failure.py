"""What is said of a module that cannot be imported."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from upgrader.errors import LoadingError, Problem
from upgrader.registry.place import place_of
from upgrader.registry.source import syntax_problem

_MESSAGE_LIMIT = 500


def import_problems(error: BaseException, module: Path, root: Path) -> tuple[Problem, ...]:
    """Tell why a module cannot be imported: where in it, and the innermost line of the author's code.

    Args:
        module: the file that was being imported.
        root: the author's code is what lies below this directory.
    """
    if isinstance(error, LoadingError):
        return error.problems
    if isinstance(error, SyntaxError) and error.filename and _is_below(error.filename, root):
        return (syntax_problem(error, Path(error.filename)),)
    message = f"this module cannot be imported: {describe(error)}"
    return (Problem(message, _places(error, module, root), _remedy(error)),)


def describe(error: BaseException) -> str:
    """Give an exception's type and the first line of its message."""
    try:
        text = str(error).strip()
    except Exception:  # an author's exception may fail to say what it is
        text = ""
    first = next(iter(text.splitlines()), "")[:_MESSAGE_LIMIT]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _places(error: BaseException, module: Path, root: Path) -> tuple[str, ...]:
    lines = [(name, line) for name, line in _lines(error.__traceback__) if _is_below(name, root)]
    inner = [place_of(name, line) for name, line in lines[-1:]]
    outer = [place_of(name, line) for name, line in lines if Path(name) == module][-1:]
    return tuple(dict.fromkeys([*(outer or [place_of(module)]), *inner]))


def _lines(traceback: TracebackType | None) -> Iterator[tuple[str, int]]:
    while traceback is not None:
        yield traceback.tb_frame.f_code.co_filename, traceback.tb_lineno
        traceback = traceback.tb_next


def _is_below(name: str, root: Path) -> bool:
    # as it was reached, or as it really lies: either path may go through a link
    real = Path(os.path.realpath(name))
    return Path(name).is_relative_to(root) or real.is_relative_to(os.path.realpath(root))


def _remedy(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError):
        return "correct the name, or install what it comes from"
    if isinstance(error, SystemExit):
        return "a module must not end the program when it is imported"
    return "mend the line; only definitions belong at the top level of a command module"
