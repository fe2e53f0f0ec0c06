"""The program squawk: where it is, how it is called, what it says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from upgrader.errors import OperatorError

_PACKAGE = "squawk-cli"
_NAMES = ("squawk", "squawk.exe")
_SECONDS = 60
_UNKNOWN_RULE = re.compile(r"invalid rule name (?P<rule>\S+)")
_FOUND_SOMETHING = 1


@dataclass(frozen=True, slots=True)
class Remark:
    """What squawk says of one place of a file. Lines and columns count from 0, columns are bytes of UTF-8."""

    rule: str
    level: str
    message: str
    help: str | None
    line: int
    column: int
    last_line: int
    last_column: int


class Squawk:
    """squawk, told once what holds for all files."""

    def __init__(self, *, server_version: int | str, exclude: Sequence[str] = ()) -> None:
        """Look for the program; run nothing yet.

        Args:
            server_version: as the server tells it: 180004, or a text that begins with `18.4`.
            exclude: names of its rules.

        Raises:
            OperatorError: squawk is not installed.
        """
        self._program = find_program()
        self._options = ["--reporter", "json", "--config", os.devnull]  # a .squawk.toml is another tool's
        self._options += ["--pg-version", version_number(server_version)]
        self._options += [f"--exclude={','.join(exclude)}"] if exclude else []

    def read(self, text: str, *, in_transaction: bool) -> list[Remark]:
        """Give what squawk says of a file.

        Args:
            in_transaction: whether somebody else begins and ends a transaction around it.

        Raises:
            OperatorError: squawk cannot be run, does not know a rule, or does not answer.
        """
        arguments = [self._program, *self._options, *(["--assume-in-transaction"] * in_transaction)]
        try:
            done = subprocess.run(
                arguments, input=text.encode(), capture_output=True, timeout=_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise OperatorError(
                f"squawk did not answer within {_SECONDS} seconds", hint="run it again, or exclude the lint"
            ) from error
        except OSError as error:
            raise OperatorError(
                f"squawk cannot be run: {error.strerror}: {self._program}", hint=_INSTALL
            ) from error
        if done.returncode not in (0, _FOUND_SOMETHING):
            raise _refusal(done.stderr.decode(errors="replace"), done.returncode)
        return list(_remarks(done.stdout))


_INSTALL = "pip install 'upgrader[lint]'"


@lru_cache(maxsize=1)
def find_program() -> str:
    """Give the path of squawk: that of the wheel, wherever it was installed to, else that of PATH.

    Raises:
        OperatorError: it is not installed.
    """
    for path in _candidates():
        if path.is_file() and os.access(path, os.X_OK):
            return str(path)
    found = shutil.which("squawk")
    if found is None:
        raise OperatorError("the SQL cannot be linted: squawk is not installed", hint=_INSTALL)
    return found


def version_number(server_version: int | str) -> str:
    """Write a server's version as squawk reads it: `18.4`."""
    if isinstance(server_version, int):
        return f"{server_version // 10000}.{server_version % 10000}"
    match = re.match(r"\s*(\d+)(?:\.(\d+))?", server_version)
    if match is None:
        raise ValueError(f"{server_version!r} is no version of a server")
    return ".".join(part for part in match.groups() if part)


def _candidates() -> Iterator[Path]:
    try:
        files = distribution(_PACKAGE).files or []
    except PackageNotFoundError:
        files = []
    yield from (Path(str(file.locate())) for file in files if file.name in _NAMES)
    yield from (Path(sysconfig.get_path("scripts")) / name for name in _NAMES)


def _refusal(text: str, code: int) -> OperatorError:
    unknown = _UNKNOWN_RULE.search(text)
    if unknown is not None:
        return OperatorError(
            f"squawk knows no rule {unknown['rule']}",
            hint="https://squawkhq.com/docs/rules lists them; a newer squawk may know it: pip install -U squawk-cli",
        )
    first = next(iter(text.strip().splitlines()), f"it ended with {code}")
    return OperatorError(f"squawk failed: {first}", hint="a newer one may do: pip install -U squawk-cli")


def _remarks(output: bytes) -> Iterator[Remark]:
    try:
        found = json.loads(output)
        for one in found:
            yield Remark(
                rule=one["rule_name"],
                level=one["level"],
                message=one["message"],
                help=one["help"],
                line=one["line"],
                column=one["column"],
                last_line=one["line_end"],
                last_column=one["column_end"],
            )
    except (ValueError, KeyError, TypeError) as error:
        raise OperatorError(
            "squawk answered something that cannot be read",
            hint="a newer one may do: pip install -U squawk-cli",
        ) from error
