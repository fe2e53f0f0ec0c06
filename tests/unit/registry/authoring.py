"""Command files as an author would write them, and what loading says of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from upgrader.errors import LoadingError, Problem
from upgrader.registry import Registry, load

HEAD = "from upgrader.registry import instance_command, workspace_command\n"


def fast(class_name: str, timestamp: int, version: str = "1.0.0", *, body: str = "") -> str:
    return f'''
@instance_command("{version}", {timestamp})
class {class_name}:
    def up(self, connection): ...
{body}'''


def slow(class_name: str, timestamp: int, version: str = "1.0.0") -> str:
    return f'''
@instance_command("{version}", {timestamp}, "slow")
class {class_name}:
    def run_data_migration(self, ctx): ...
    def up(self, connection): ...
'''


def workspace(class_name: str, timestamp: int, version: str = "1.0.0", *, arguments: str = "") -> str:
    return f'''
@workspace_command("{version}", {timestamp}{arguments})
class {class_name}:
    def run_on_workspace(self, ctx): ...
'''


def write(directory: Path, files: Mapping[str, str]) -> Path:
    """Write files below a directory; command modules get their import line."""
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
    return directory


def load_files(directory: Path, files: Mapping[str, str]) -> Registry:
    return load([write(directory, files)], base=directory)


def problems_in(directory: Path, files: Mapping[str, str] | None = None) -> tuple[Problem, ...]:
    """Load what must not load, and give what is said of it."""
    write(directory, files or {})
    with pytest.raises(LoadingError) as caught:
        load([directory], base=directory)
    return caught.value.problems


def places(problem: Problem) -> list[str]:
    """The places by file name and line, without the folders."""
    return [place.rpartition("/")[2] for place in problem.places]
