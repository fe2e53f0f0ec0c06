"""The parts of an SQL text that are no SQL themselves: comments, quoted strings, quoted names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

# Unclosed ones run to the end; a block comment is only begun here, because it may hold others.
_OPAQUE = re.compile(
    r"""
      (?<![\w$])[eE]'(?:[^'\\]|\\.|'')*(?:'|$)
    | '(?:[^']|'')*(?:'|$)
    | (?P<name>"(?:[^"]|"")*(?:"|$))
    | (?<![\w$])(?P<tag>\$(?:[A-Za-z_\x80-\uffff][\w\x80-\uffff]*)?\$).*?(?:(?P=tag)|$)
    | (?P<line_comment>--[^\n\r]*)
    | (?P<block_comment>/\*)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")


class OpaqueKind(Enum):
    """What hides a part of the text."""

    STRING = "string"  # dollar quotes, too
    NAME = "name"
    COMMENT = "comment"


@dataclass(frozen=True, slots=True)
class OpaquePart:
    """One part, from `start` up to `stop`."""

    kind: OpaqueKind
    start: int
    stop: int


def opaque_parts(text: str) -> Iterator[OpaquePart]:
    """Find the parts, in order."""
    position = 0
    while match := _OPAQUE.search(text, position):
        position = match.end()
        kind = OpaqueKind.STRING
        if match["block_comment"]:
            kind, position = OpaqueKind.COMMENT, _end_of_comment(text, position)
        elif match["line_comment"]:
            kind = OpaqueKind.COMMENT
        elif match["name"]:
            kind = OpaqueKind.NAME
        yield OpaquePart(kind, match.start(), position)


def _end_of_comment(text: str, position: int) -> int:
    depth = 1
    for edge in _COMMENT_EDGE.finditer(text, position):
        depth += 1 if edge.group() == "/*" else -1
        if not depth:
            return edge.end()
    return len(text)
