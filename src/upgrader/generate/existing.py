"""The commands that are written already, read but not imported: a broken module must not stop `generate`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from upgrader.command import CommandKind
from upgrader.errors import InvalidVersionError, LoadingError
from upgrader.registry.names import cli_name_of
from upgrader.registry.scan import scan
from upgrader.registry.source import ClassSource, SourceFile
from upgrader.version import ReleaseVersion

_TIMESTAMPED = re.compile(r"(?P<timestamp>[0-9]+)_(?P<slug>\w+)")
_DECORATORS = ("instance_command", "workspace_command")


@dataclass(frozen=True, slots=True)
class WrittenCommand:
    """A class that looks like a command.

    Attributes:
        version: None where the decorator does not spell it out.
        timestamp: None likewise.
        place: the class as `file:line`.
    """

    kind: CommandKind
    version: ReleaseVersion | None
    timestamp: int | None
    class_name: str
    cli_name: str
    place: str


def written_commands(directory: Path) -> tuple[WrittenCommand, ...]:
    """Read all commands below a directory; none where it is not there.

    Files that are no Python are passed over.
    """
    if not directory.is_dir():
        return ()
    return tuple(command for file in scan(directory).files for command in _in_file(file.path))


def file_timestamps(folder: Path) -> frozenset[int]:
    """Give the timestamps that the names of files in a folder begin with, whatever is in the files."""
    names = [path.stem for path in folder.glob("*.py")] if folder.is_dir() else []
    return frozenset(int(match["timestamp"]) for name in names if (match := _TIMESTAMPED.match(name)))


def _in_file(path: Path) -> Iterator[WrittenCommand]:
    try:
        source = SourceFile.read(path)
    except LoadingError:
        return
    for found in source.classes:
        for decorator in found.node.decorator_list:
            if isinstance(decorator, ast.Call) and _name(decorator.func) in _DECORATORS:
                yield _read(found, decorator, source.place(found.node.lineno))


def _read(found: ClassSource, call: ast.Call, place: str) -> WrittenCommand:
    is_workspace = _name(call.func) == "workspace_command"
    name = _argument(call, None, "name")
    class_name = found.node.name
    return WrittenCommand(
        kind=CommandKind.WORKSPACE if is_workspace else _instance_kind(_argument(call, 2, "type")),
        version=_version(_argument(call, 0, "version")),
        timestamp=_integer(_argument(call, 1, "timestamp")),
        class_name=class_name,
        cli_name=name if isinstance(name, str) else cli_name_of(class_name),
        place=place,
    )


def _name(called: ast.expr) -> str | None:
    if isinstance(called, ast.Attribute):
        return called.attr
    return called.id if isinstance(called, ast.Name) else None


def _argument(call: ast.Call, position: int | None, name: str) -> object:
    """Give an argument that is written as a constant; None where it is absent or anything else."""
    positional: Sequence[ast.expr] = call.args[position : position + 1] if position is not None else ()
    for node in [*positional, *(keyword.value for keyword in call.keywords if keyword.arg == name)]:
        if isinstance(node, ast.Constant):
            return node.value
    return None


def _instance_kind(type_: object) -> CommandKind:
    return CommandKind.SLOW if type_ == "slow" else CommandKind.FAST


def _integer(value: object) -> int | None:
    return value if type(value) is int else None


def _version(value: object) -> ReleaseVersion | None:
    try:
        return ReleaseVersion.parse(value) if isinstance(value, str) else None
    except InvalidVersionError:
        return None
