"""Which statements a command may not send: those that end or leave its transaction."""

from __future__ import annotations

import re
from collections.abc import Iterator

# Looked for first, anywhere in the text: several times as fast as a regular expression.
_SUSPECT = ("commit", "rollback", "begin", "start", "abort", "end", "prepare", "discard", "listen")
_FORBIDDEN = re.compile(
    r"(?:(?P<end>commit|abort|end|begin|start|discard|rollback(?!(?:\s+(?:work|transaction))?\s+to\b))"
    r"|(?P<prepare>prepare\s+transaction)|(?P<listen>listen))\b",
    re.IGNORECASE,
)
_ATOMIC_BODY = re.compile(r"\bbegin\s+atomic\b", re.IGNORECASE)
# What can hide a semicolon: quoted strings and names, dollar quotes, comments. Unclosed ones run to the end;
# a block comment is only begun here, because it may hold others.
_OPAQUE = re.compile(
    r"""
      (?<![\w$])[eE]'(?:[^'\\]|\\.|'')*(?:'|$)
    | '(?:[^']|'')*(?:'|$)
    | "(?:[^"]|"")*(?:"|$)
    | (?<![\w$])(?P<tag>\$(?:[A-Za-z_\x80-\uffff][\w\x80-\uffff]*)?\$).*?(?:(?P=tag)|$)
    | (?P<line_comment>--[^\n\r]*)
    | (?P<block_comment>/\*)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")


def forbidden_statement(text: str) -> str | None:
    """Give the first words of a statement in `text` that would end or leave the transaction; None if none does.

    `ROLLBACK TO SAVEPOINT` is allowed. Bodies of functions and `DO` blocks are strings and are not looked into.
    """
    if not any(map(text.lower().__contains__, _SUSPECT)):
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
    for part in "".join(_transparent(text)).split(";"):
        statement = part.lstrip(" \t\r\n\f\v(")
        if statement:
            yield statement


def _transparent(text: str) -> Iterator[str]:
    """Give the text with every comment as a blank and every quoted part as an empty string."""
    position = 0
    while match := _OPAQUE.search(text, position):
        yield text[position : match.start()]
        if match["block_comment"]:
            yield " "
            position = _end_of_comment(text, match.end())
        else:
            yield " " if match["line_comment"] else "''"
            position = match.end()
    yield text[position:]


def _end_of_comment(text: str, position: int) -> int:
    depth = 1
    for edge in _COMMENT_EDGE.finditer(text, position):
        depth += 1 if edge.group() == "/*" else -1
        if not depth:
            return edge.end()
    return len(text)
