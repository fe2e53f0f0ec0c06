"""Where something stands, as people read it: `file` or `file:line`."""

from __future__ import annotations

import os
from pathlib import Path


def place_of(path: str | Path, line: int | None = None) -> str:
    """Name a file, or a line of it, relative to the working directory where it lies below it."""
    shown = _relative(Path(path))
    return shown if line is None else f"{shown}:{line}"


def is_same_file(one: str | Path, other: str | Path) -> bool:
    """Tell whether two paths lead to one file; neither has to be there."""
    return str(one) == str(other) or os.path.realpath(one) == os.path.realpath(other)


def _relative(path: Path) -> str:
    try:
        here = Path.cwd()
    except OSError:  # the working directory is gone
        return str(path)
    absolute = Path(os.path.normpath(here / path))
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(absolute)
