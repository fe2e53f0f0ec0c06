"""`.env` and `.env.local`: variables from files, for `worker` and `jobs` alone.

The latter file wins over the former, and the real environment over both: what an orchestrator sets is never
overridden by a file that lies about. Values are taken as they stand: `$` and `${…}` in them mean nothing.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path

from upgrader.errors import SettingsError

FILES = (".env", ".env.local")


def read_environment_files(directory: Path, environment: MutableMapping[str, str]) -> tuple[str, ...]:
    """Put the variables of the files that are there into the environment; give the files' names.

    Raises:
        SettingsError: one cannot be read, a line of it cannot, or it is there and what reads it is not installed.
    """
    found: dict[str, str] = {}
    read: list[str] = []
    for name in FILES:
        text = _text(directory / name)
        if text is not None:
            found.update(_variables(text, name))
            read.append(name)
    for variable, value in found.items():
        environment.setdefault(variable, value)
    return tuple(read)


def _text(file: Path) -> str | None:
    try:
        return file.read_bytes().decode("utf-8-sig")
    except (FileNotFoundError, IsADirectoryError):
        return None
    except UnicodeDecodeError as error:
        raise SettingsError(f"{file.name} is not UTF-8", hint="save the file as UTF-8") from error
    except OSError as error:
        raise SettingsError(
            f"{file.name} cannot be read: {error.strerror}", hint="mend its permissions, or take it away"
        ) from error


def _variables(text: str, name: str) -> dict[str, str]:
    from io import StringIO

    try:
        from dotenv import parser
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"there is a file {name}, and python-dotenv, which reads it, is not installed",
            hint="install it: pip install 'upgrader[worker]' (or 'upgrader[scheduler]'); or take the file away",
        ) from error
    lines = list(parser.parse_stream(StringIO(text)))
    wrong = [line.original.line for line in lines if line.error]
    if wrong:  # a variable that is left out may be the one that names the database
        told = "line" if len(wrong) == 1 else "lines"
        raise SettingsError(
            f"{name}: {told} {', '.join(map(str, wrong))} cannot be read",
            hint="write NAME=value, close quotes, and begin comments with #",
        )
    values = {line.key: line.value for line in lines if line.key is not None}
    if any("\0" in key or "\0" in (value or "") for key, value in values.items()):
        raise SettingsError(f"{name} has a NUL character in it", hint="save the file as plain text")
    return {key: value for key, value in values.items() if value is not None}
