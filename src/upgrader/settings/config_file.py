"""The configuration file: found, read, and taken apart into keys."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from upgrader.errors import SettingsError
from upgrader.settings.keys import Given, known_groups, known_keys, nearest_key

OWN_FILE = "upgrader.toml"
PROJECT_FILE = "pyproject.toml"


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A file that was read.

    Attributes:
        shown_as: its path as messages give it.
        table: what stands at the top level, or under `[tool.upgrader]` in a `pyproject.toml`.
    """

    path: Path
    shown_as: str
    table: Mapping[str, object]


def find_config_file(directory: Path) -> ConfigFile | None:
    """Read the configuration in `directory`; None if there is none.

    Raises:
        SettingsError: there are two, or a file cannot be read.
    """
    own = _read_if_there(directory / OWN_FILE, directory)
    project = _read_if_there(directory / PROJECT_FILE, directory)
    table = None if project is None else _project_table(project)
    if project is None or table is None:
        return own
    if own is not None:
        raise SettingsError(
            f"there are settings in {OWN_FILE} and under [tool.upgrader] in {PROJECT_FILE}",
            hint="move everything into one of the two and take it out of the other",
        )
    return ConfigFile(project.path, project.shown_as, table)


def read_config_file(path: Path, directory: Path) -> ConfigFile:
    """Read the file that was asked for; a file named `pyproject.toml` by its `[tool.upgrader]`.

    Raises:
        SettingsError: it is not there, cannot be read, or has no settings in it where they belong.
    """
    file = _read_if_there(directory / path, directory)
    if file is None:
        raise SettingsError(
            f"there is no file {_shown(directory / path, directory)}",
            hint="name one that is there with --config FILE",
        )
    if file.path.name != PROJECT_FILE:
        return file
    table = _project_table(file)
    if table is None:
        raise SettingsError(
            f"{file.shown_as} has no [tool.upgrader]",
            hint="add [tool.upgrader] with the settings below it, or name another file with --config FILE",
        )
    return ConfigFile(file.path, file.shown_as, table)


def given_in(file: ConfigFile) -> tuple[list[Given], list[str]]:
    """Take a file apart into the keys that it gives, and sentences on those that nobody knows."""
    given: list[Given] = []
    problems: list[str] = []
    keys, groups = known_keys(), known_groups()
    for name, value in _flat(file.table, "", groups):
        if name in keys:
            given.append(Given(name, value, f"in {file.shown_as}", file.path.parent))
        elif name in groups:
            problems.append(f"`{name}` in {file.shown_as} is {value!r}, expected a table: [{name}]")
        else:
            problems.append(_unknown(name, value, file))
    return given, problems


def _flat(table: Mapping[str, object], prefix: str, groups: set[str]) -> Iterator[tuple[str, object]]:
    for name, value in table.items():
        if prefix + name in groups and isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.", groups)
        else:
            yield prefix + name, value


def _unknown(name: str, value: object, file: ConfigFile) -> str:
    if file.path.name != PROJECT_FILE and name in ("tool", "upgrader") and isinstance(value, dict):
        written = "[tool.upgrader]" if name == "tool" else "[upgrader]"
        return f"the keys stand under {written} in {file.shown_as}: there they belong at the top, without it"
    near = nearest_key(name)
    found = f"unknown key `{name}` in {file.shown_as}"
    return f"{found}: did you mean `{near}`?" if near else found


def _read_if_there(path: Path, directory: Path) -> ConfigFile | None:
    shown_as = _shown(path, directory)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        if path.is_symlink():
            raise SettingsError(f"{shown_as} is a link to nothing", hint="mend or remove the link") from None
        return None
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"{shown_as} is not UTF-8: byte {error.start + 1} is 0x{error.object[error.start]:02x}",
            hint="save the file as UTF-8",
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SettingsError(
            f"{shown_as} cannot be read: {reason}", hint="it has to be a readable file"
        ) from error
    return ConfigFile(path, shown_as, _parsed(text, shown_as))


def _parsed(text: str, shown_as: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        reason = str(error) or "it is nested too deeply"
        at = re.search(r" \(at line (\d+), column (\d+)\)$", reason)
        if at is None:
            line, reason = len(text.splitlines()) or 1, reason.removesuffix(" (at end of document)")
        else:
            line, reason = int(at[1]), reason[: at.start()] + f", column {at[2]}"
        raise SettingsError(
            f"{shown_as}:{line}: this is not TOML: {reason}", hint="texts stand in quotes, lists in brackets"
        ) from None


def _project_table(file: ConfigFile) -> Mapping[str, object] | None:
    tool = file.table.get("tool")
    table = tool.get("upgrader") if isinstance(tool, dict) else None
    if table is not None and not isinstance(table, dict):
        raise SettingsError(
            f"`tool.upgrader` in {file.shown_as} is {table!r}, expected a table", hint="write [tool.upgrader]"
        )
    return table


def _shown(path: Path, directory: Path) -> str:
    try:
        return str(path.relative_to(directory))
    except ValueError:
        return str(path)
