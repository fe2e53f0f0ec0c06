"""A new command file."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from upgrader.command import CommandKind
from upgrader.errors import OperatorError
from upgrader.generate.existing import WrittenCommand, file_timestamps, written_commands
from upgrader.generate.lock import directory_lock
from upgrader.generate.slug import Slug
from upgrader.generate.templates import render
from upgrader.registry.names import cli_name_of
from upgrader.registry.place import place_of
from upgrader.registry.validation import TIMESTAMP_LIMIT

if TYPE_CHECKING:
    from upgrader.version import ReleaseVersion

CommandType = Literal["fast", "slow", "workspace"]

_KINDS: dict[str, CommandKind] = {
    "fast": CommandKind.FAST,
    "slow": CommandKind.SLOW,
    "workspace": CommandKind.WORKSPACE,
}


def scaffold_command(
    *,
    name: str,
    type: CommandType,  # noqa: A002 - the word that authors type
    version: ReleaseVersion,
    directory: Path,
    transactional: bool = True,
    now_ms: Callable[[], int] | None = None,
) -> Path:
    """Write a command file that loads as it is, and whose methods raise until they are written.

    The timestamp is the time, or one more than the highest of that version and kind where that is later.
    No file is ever overwritten, and processes that write into one directory at once take turns.

    Args:
        directory: the directory of commands; it is made where it is not there.
        now_ms: the time in milliseconds since 1970; by default the clock's.

    Returns:
        The path of the file, below `directory`.

    Raises:
        OperatorError: the name or the type cannot be used, a command of that name is there already, or the
            file cannot be written.
    """
    kind = _kind(type)
    slug = Slug.of(name)
    folder = directory / version.folder
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with directory_lock(directory):
            written = written_commands(directory)
            _refuse_taken(slug, kind, version, written)
            timestamp = _fresh_timestamp(
                now_ms() if now_ms else time.time_ns() // 1_000_000,
                highest=_highest(kind, version, written),
                taken=_taken(version, written) | file_timestamps(folder),
            )
            path = folder / f"{timestamp}_{slug.text}.py"
            _write_new(path, _text(kind, slug, version, timestamp, transactional))
    except OSError as error:
        message = f"{place_of(error.filename or folder)} cannot be written: {error.strerror or error}"
        raise OperatorError(
            message, hint="mend its permissions, or name another directory: --commands"
        ) from error
    return path


def _kind(type_: str) -> CommandKind:
    if type_ not in _KINDS:
        raise OperatorError(f"{type_!r} is no type of command", hint="use --type fast, slow or workspace")
    return _KINDS[type_]


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


def _text(kind: CommandKind, slug: Slug, version: ReleaseVersion, timestamp: int, transactional: bool) -> str:
    return render(
        kind,
        version=version.text,
        timestamp=timestamp,
        class_name=slug.class_name,
        sentence=slug.sentence,
        transactional=transactional,
    )


def _write_new(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("x", encoding="utf-8", newline="\n") as file:
        try:
            file.write(text)
            file.flush()
        except OSError:
            path.unlink(missing_ok=True)  # half a command is worse than none
            raise
