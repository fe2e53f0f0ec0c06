"""Where a method of a command stands."""

from __future__ import annotations

import inspect
from pathlib import Path

from upgrader.check.failed_step import author_line
from upgrader.model import Step


def method_place(command: object, method: str, step: Step) -> tuple[Path | None, int | None]:
    """Give file and line of a command's method; those of its class where the source cannot be found."""
    try:
        function = inspect.unwrap(getattr(type(command), method))
        file = inspect.getsourcefile(function)
        line = inspect.getsourcelines(function)[1]
    except (AttributeError, OSError, TypeError, ValueError):
        return author_line("", step)
    return (Path(file).absolute(), line) if file else author_line("", step)
