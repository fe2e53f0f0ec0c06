"""Which statements a command may not send: those that end or leave its transaction."""

from __future__ import annotations

import re
from collections.abc import Iterator

_SUSPECT = re.compile(
    r"\b(?:commit|rollback|begin|start|abort|end|prepare\s+transaction|discard|listen)\b", re.IGNORECASE
)
_FORBIDDEN = re.compile(
    r"(?:(?P<end>commit|abort|end|begin|start|discard|rollback(?!(?:\s+(?:work|transaction))?\s+to\b))"
    r"|(?P<prepare>prepare\s+transaction)|(?P<listen>listen))\b",
    re.IGNORECASE,
)
_ATOMIC_BODY = re.compile(r"\bbegin\s+atomic\b", re.IGNORECASE)
# What can hide a semicolon: quoted strings and names, dollar quotes, comments. Unclosed ones run to the end.
_OPAQUE = re.compile(
    r"""
      [eE]'(?:[^'\\]|\\.|'')*(?:'|$)
    | '(?:[^']|'')*(?:'|$)
    | "(?:[^"]|"")*(?:"|$)
    | (?P<tag>\$(?:[A-Za-z_\x80-\uffff][\w\x80-\uffff]*)?\$).*?(?:(?P=tag)|$)
    | --[^\n]*
    | /\*.*?(?:\*/|$)
    """,
    re.VERBOSE | re.DOTALL,
)


def forbidden_statement(text: str) -> str | None:
    """Give the first words of a statement in `text` that would end or leave the transaction; None if none does.

    `ROLLBACK TO SAVEPOINT` is allowed. Bodies of functions and `DO` blocks are strings and are not looked into.
    """
    if not _SUSPECT.search(text):
        return None
    for statement in _statements(text):
        match = _FORBIDDEN.match(statement)
        if match:
            return " ".join(match.group(0).upper().split())
        if _ATOMIC_BODY.search(statement):
            # The body of an SQL-standard function holds semicolons and ends with END.
            return None
    return None


def _statements(text: str) -> Iterator[str]:
    bare = _OPAQUE.sub(_blank, text)
    for part in bare.split(";"):
        statement = part.lstrip(" \t\r\n\f\v(")
        if statement:
            yield statement


def _blank(match: re.Match[str]) -> str:
    opaque = match.group(0)
    return " " if opaque.startswith(("--", "/*")) else "''"
