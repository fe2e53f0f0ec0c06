"""Which statements a command may not send: those that end or leave its transaction."""

from __future__ import annotations

import re
from collections.abc import Iterator

from upgrader.database.opaque import OpaqueKind, opaque_parts

# Looked for first, anywhere in the text: several times as fast as a regular expression.
_SUSPECT = ("commit", "rollback", "begin", "start", "abort", "end", "prepare", "discard", "listen")
_FORBIDDEN = re.compile(
    r"(?:(?P<end>commit|abort|end|begin|start|discard|rollback(?!(?:\s+(?:work|transaction))?\s+to\b))"
    r"|(?P<prepare>prepare\s+transaction)|(?P<listen>listen))\b",
    re.IGNORECASE,
)
_ATOMIC_BODY = re.compile(r"\bbegin\s+atomic\b", re.IGNORECASE)


def forbidden_statement(text: str) -> str | None:
    """Give the first words of a statement in `text` that would end or leave the transaction; None if none does.

    `ROLLBACK TO SAVEPOINT` is allowed. Bodies of functions and `DO` blocks are strings and are not looked into.
    """
    if not any(map(text.lower().__contains__, _SUSPECT)):
        return None
    for statement in bare_statements(text):
        match = _FORBIDDEN.match(statement)
        if match:
            return " ".join(match.group(0).upper().split())
        if _ATOMIC_BODY.search(statement):
            # The body of an SQL-standard function holds semicolons and ends with END.
            return None
    return None


def bare_statements(text: str) -> Iterator[str]:
    """Give the statements of a text without their comments and with every quoted part as an empty string."""
    for part in "".join(_transparent(text)).split(";"):
        statement = part.lstrip(" \t\r\n\f\v(")
        if statement:
            yield statement


def _transparent(text: str) -> Iterator[str]:
    """Give the text with every comment as a blank and every quoted part as an empty string."""
    position = 0
    for part in opaque_parts(text):
        yield text[position : part.start]
        yield " " if part.kind is OpaqueKind.COMMENT else "''"
        position = part.stop
    yield text[position:]
