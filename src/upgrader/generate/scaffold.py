"""A new command file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from upgrader.command import CommandKind
from upgrader.errors import OperatorError
from upgrader.generate.slug import Slug
from upgrader.generate.templates import render
from upgrader.generate.writing import NewCommand, write_commands

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

    def text(timestamp: int) -> str:
        return render(
            kind,
            version=version.text,
            timestamp=timestamp,
            class_name=slug.class_name,
            sentence=slug.sentence,
            transactional=transactional,
        )

    command = NewCommand(slug, kind, text)
    (path,) = write_commands([command], version=version, directory=directory, now_ms=now_ms)
    return path


def _kind(type_: str) -> CommandKind:
    if type_ not in _KINDS:
        raise OperatorError(f"{type_!r} is no type of command", hint="use --type fast, slow or workspace")
    return _KINDS[type_]
