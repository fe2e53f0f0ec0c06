"""How the files of findings are named in reports."""

from __future__ import annotations

import os
from pathlib import Path


def shown_path(file: Path, base: Path) -> str:
    """Name a file relative to `base` where it lies below it, with slashes; else in full."""
    for path, folder in ((file, base), (Path(os.path.realpath(file)), Path(os.path.realpath(base)))):
        if path.is_relative_to(folder):
            return path.relative_to(folder).as_posix()
    return file.as_posix()
