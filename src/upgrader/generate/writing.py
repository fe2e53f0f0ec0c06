"""New command files: written together, each under a fresh timestamp, never over a file that is there."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from upgrader.command import CommandKind
from upgrader.errors import OperatorError
from upgrader.generate.existing import WrittenCommand, file_timestamps, written_commands
from upgrader.generate.lock import directory_lock
from upgrader.generate.slug import Slug
from upgrader.registry.names import cli_name_of
from upgrader.registry.place import place_of
from upgrader.registry.validation import TIMESTAMP_LIMIT

if TYPE_CHECKING:
    from upgrader.version import ReleaseVersion


@dataclass(frozen=True, slots=True)
class NewCommand:
    """A command that is to be written.

    Attributes:
        render: gives the module's text for a timestamp.
    """

    slug: Slug
    kind: CommandKind
    render: Callable[[int], str]


def write_commands(
    commands: Sequence[NewCommand],
    *,
    version: ReleaseVersion,
    directory: Path,
    now_ms: Callable[[], int] | None = None,
) -> tuple[Path, ...]:
    """Write command files, all of them or none, with ascending timestamps.

    A timestamp is the time, or one more than the highest of that version and kind where that is later.
    No file is ever overwritten, and processes that write into one directory at once take turns.

    Args:
        directory: the directory of commands; it is made where it is not there.
        now_ms: the time in milliseconds since 1970; by default the clock's.

    Raises:
        OperatorError: a command of that name is there already, or a file cannot be written.
    """
    folder = directory / version.folder
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with directory_lock(directory):
            written = written_commands(directory)
            for command in commands:
                _refuse_taken(command.slug, command.kind, version, written)
            now = now_ms() if now_ms else time.time_ns() // 1_000_000
            stamps = _timestamps(commands, now, version, written, file_timestamps(folder))
            return _write_all(commands, stamps, folder)
    except OSError as error:
        message = f"{place_of(error.filename or folder)} cannot be written: {error.strerror or error}"
        raise OperatorError(
            message, hint="mend its permissions, or name another directory: --commands"
        ) from error


def _timestamps(
    commands: Sequence[NewCommand],
    now: int,
    version: ReleaseVersion,
    written: Sequence[WrittenCommand],
    files: frozenset[int],
) -> list[int]:
    taken, found, last = _taken(version, written) | files, list[int](), 0
    for command in commands:
        highest = max(last, _highest(command.kind, version, written))
        last = _fresh_timestamp(now, highest=highest, taken=taken)
        found.append(last)
    return found


def _write_all(commands: Sequence[NewCommand], stamps: Sequence[int], folder: Path) -> tuple[Path, ...]:
    paths: list[Path] = []
    try:
        for command, timestamp in zip(commands, stamps, strict=True):
            path = folder / f"{timestamp}_{command.slug.text}.py"
            _write_new(path, command.render(timestamp))
            paths.append(path)
    except OSError:
        for path in paths:  # half of what belongs together is worse than none
            path.unlink(missing_ok=True)
        raise
    return tuple(paths)


def _refuse_taken(
    slug: Slug, kind: CommandKind, version: ReleaseVersion, written: Sequence[WrittenCommand]
) -> None:
    cli_name = cli_name_of(slug.class_name)
    for command in written:
        if command.version == version and command.class_name.casefold() == slug.class_name.casefold():
            message = f"{version} has a command {command.class_name} already: {command.place}"
            raise OperatorError(message, hint="give another --name")
        if kind is command.kind is CommandKind.WORKSPACE and command.cli_name == cli_name:
            message = f"a workspace command is called {cli_name} already: {command.place}"
            raise OperatorError(message, hint="give another --name: `workspace run` finds a command by it")


def _highest(kind: CommandKind, version: ReleaseVersion, written: Sequence[WrittenCommand]) -> int:
    return max(
        (
            command.timestamp or 0
            for command in written
            if command.version == version and command.kind is kind
        ),
        default=0,
    )


def _taken(version: ReleaseVersion, written: Sequence[WrittenCommand]) -> frozenset[int]:
    return frozenset(
        command.timestamp for command in written if command.version == version and command.timestamp
    )


def _fresh_timestamp(now: int, *, highest: int, taken: frozenset[int]) -> int:
    timestamp = max(now, highest + 1)
    while timestamp in taken:
        timestamp += 1
    if timestamp > TIMESTAMP_LIMIT:
        message = f"no timestamp is left after {highest}, which a command of this version and kind has"
        raise OperatorError(message, hint="correct that timestamp, if it was never run anywhere")
    return timestamp


def _write_new(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("x", encoding="utf-8", newline="\n") as file:
        try:
            file.write(text)
            file.flush()
        except OSError:
            path.unlink(missing_ok=True)  # half a command is worse than none
            raise
