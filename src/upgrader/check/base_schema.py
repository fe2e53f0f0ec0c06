"""A file of plain SQL, a dump of `pg_dump --schema-only` for example, made ready to be sent as it is.

What psql would do by itself, and what is about roles that a scratch server does not have, is blanked out; every
other character keeps its place, so that the server's positions are those of the file.
"""

from __future__ import annotations

import re
from pathlib import Path

from upgrader.errors import OperatorError

_TOKEN = re.compile(
    r"""
    (?P<skipped>
        --[^\n]*
        | /\*.*?\*/
        | (?<!\w)[eE]'(?:[^'\\]|\\.|'')*'
        | '(?:[^']|'')*'
        | "(?:[^"]|"")*"
        | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$
    )
    | (?P<meta>^[ \t]*\\[^\n]*)
    | (?P<copy>^[ \t]*COPY\b[^;]*?\bFROM\s+stdin\b)
    | (?P<roles>^[ \t]*(?:GRANT|REVOKE|ALTER[ \t]+DEFAULT[ \t]+PRIVILEGES)\b[^;']*;)
    | (?P<owner>^[ \t]*ALTER[ \t][^;']*[ \t]OWNER[ \t]+TO[ \t][^;']*;)
    | (?P<newer>^[ \t]*SET[ \t]+transaction_timeout\b[^;]*;)
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE | re.IGNORECASE,
)
_HARMLESS = ("restrict", "unrestrict", "connect", "c", "echo", "pset", "set", "unset", "encoding")
_HOW_TO_DUMP = "make it with pg_dump --schema-only --no-owner --no-privileges"


def read_base_schema(path: Path) -> str:
    """Read the file, ready to be executed.

    Raises:
        OperatorError: it cannot be read, or holds what only psql can do.
    """
    try:
        return prepare_sql(path.read_text(encoding="utf-8-sig"), shown_as=path.name)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise OperatorError(
            f"the base schema {path} cannot be read: {reason}",
            hint="correct base_schema in [tool.upgrader.check]",
        ) from error


def prepare_sql(text: str, *, shown_as: str) -> str:
    """Blank out what the server cannot do, and what is about owners and privileges.

    Args:
        shown_as: the file for messages.

    Raises:
        OperatorError: there is a meta-command that changes something, or data that follow a COPY.
    """

    def replace(match: re.Match[str]) -> str:
        if match["skipped"] is not None:
            return match[0]
        place = f"{shown_as}:{line_of(text, match.start())}"
        if match["copy"] is not None:
            raise OperatorError(
                f"{place}: the base schema holds data (COPY … FROM stdin), which only psql can read",
                hint=f"{_HOW_TO_DUMP}; rows that the commands need are made by `prepare`",
            )
        if match["meta"] is not None:
            _refuse_meta_command(match[0].strip(), place)
        return re.sub(r"[^\n]", " ", match[0])

    return _TOKEN.sub(replace, text)


def line_of(text: str, position: int) -> int:
    """Give the line, from 1, of a position from 0."""
    return text.count("\n", 0, position) + 1


def _refuse_meta_command(command: str, place: str) -> None:
    name = command[1:].split(maxsplit=1)[0] if len(command) > 1 else ""
    if name.lower() not in _HARMLESS:
        raise OperatorError(
            f"{place}: {command.split()[0]} is a command of psql, not SQL",
            hint=f"take it out of the base schema, or {_HOW_TO_DUMP}",
        )
