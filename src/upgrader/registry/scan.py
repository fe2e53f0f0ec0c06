"""Which files below a directory are command modules."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from upgrader.errors import Problem
from upgrader.registry.place import place_of


@dataclass(frozen=True, slots=True)
class ScannedFile:
    """A file that is to be loaded.

    Attributes:
        folders: the names of the folders between the scanned directory and the file.
    """

    path: Path
    folders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scan:
    """What was found below a directory, in order of path; nothing in an empty one."""

    files: tuple[ScannedFile, ...]
    problems: tuple[Problem, ...]


def scan(directory: Path) -> Scan:
    """Find every `*.py` at any depth; files and folders that begin with `_` or `.` are left out.

    Links to folders are followed, each folder is entered once: a circle of links ends.
    """
    found = list(_walk(directory, (), {os.path.realpath(directory)}))
    return Scan(
        files=tuple(item for item in found if isinstance(item, ScannedFile)),
        problems=tuple(item for item in found if isinstance(item, Problem)),
    )


def _walk(folder: Path, folders: tuple[str, ...], entered: set[str]) -> Iterator[ScannedFile | Problem]:
    try:
        children = sorted(folder.iterdir())
    except OSError as error:
        message = f"this folder cannot be read: {error.strerror}"
        yield Problem(message, (place_of(folder),), "mend its permissions")
        return
    for child in children:
        if child.name.startswith(("_", ".")):
            continue
        if child.is_dir():
            real = os.path.realpath(child)
            if real not in entered:
                entered.add(real)
                yield from _walk(child, (*folders, child.name), entered)
        elif child.suffix == ".py":
            yield ScannedFile(child, folders)
