"""The names of a command: its full name in the history and its short one on the command line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from upgrader.version import ReleaseVersion

_CLI_NAME = re.compile(r"[a-z0-9]+(?:[-_.:][a-z0-9]+)*")
_WORD = re.compile(r"[A-Z]+(?![a-z])[0-9]*|[A-Z]?[^A-Z_]+|[A-Z]+")
CLI_NAME_LIMIT = 100


def full_name(version: ReleaseVersion, class_name: str, timestamp: int) -> str:
    """Give the name that history and messages use: `{version}_{ClassName}_{timestamp}`."""
    return f"{version}_{class_name}_{timestamp}"


def cli_name_of(class_name: str) -> str:
    """Derive a command-line name from a class name: `BackfillHTTPLogs` gives `backfill-http-logs`."""
    return "-".join(word.lower() for word in _WORD.findall(class_name))


def is_cli_name(name: str) -> bool:
    """Tell whether a name can be typed as it is: small letters and digits, parted by one of `-_.:`."""
    return len(name) <= CLI_NAME_LIMIT and _CLI_NAME.fullmatch(name) is not None
