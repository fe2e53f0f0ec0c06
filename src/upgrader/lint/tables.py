"""Which tables a statement works on, as far as its first words tell."""

from __future__ import annotations

import re
from collections.abc import Iterator

from upgrader.database.opaque import OpaqueKind, opaque_parts

_PART = r'(?:"(?:[^"]|"")+"|[A-Za-z_\x80-\uffff][\w$\x80-\uffff]*)'
_TABLE = rf"(?P<table>{_PART}(?:\s*\.\s*{_PART})?)"
# Options of VACUUM and REINDEX in brackets, IF EXISTS, ONLY: all may be there or not.
_HEAD = rf"""
    ^\s*
    (?: alter\s+(?:foreign\s+)?(?:table|index|materialized\s+view)
      | drop\s+(?:table|index|materialized\s+view)
      | truncate(?:\s+table)?
      | create\s+(?:unique\s+)?index\b .*? \bon
      | create\s+(?:or\s+replace\s+)?(?:constraint\s+)?trigger\b .*? \bon
      | create\s+policy\b .*? \bon
      | update | delete\s+from | insert\s+into | merge\s+into | copy
      | lock(?:\s+table)? | cluster(?:\s+verbose)?
      | (?:vacuum|analyze)(?:\s*\([^)]*\))?(?:\s+(?:full|freeze|verbose|analyze))*
      | reindex(?:\s*\([^)]*\))?\s+(?:table|index)
      | refresh\s+materialized\s+view )
    (?:\s+concurrently)?(?:\s+if\s+exists)?(?:\s+only)?
    \s+{_TABLE}
"""
_FIRST = re.compile(_HEAD, re.IGNORECASE | re.VERBOSE | re.DOTALL)
_REFERENCED = re.compile(rf"\breferences\s+{_TABLE}", re.IGNORECASE)


def tables_of(text: str) -> tuple[str, ...]:
    """Give the tables that the statements of `text` change or lock, as they are written there.

    An index is given in place of its table where only that is named. Not recognised are a statement behind
    WITH, the second and later names of a list (DROP TABLE a, b), and what functions and DO blocks do.
    """
    found = (name for statement in _without_strings(text).split(";") for name in _named_in(statement))
    return tuple(dict.fromkeys(found))


def _named_in(statement: str) -> Iterator[str]:
    first = _FIRST.match(statement)
    if first is None:
        return
    for match in (first, *_REFERENCED.finditer(statement)):
        yield re.sub(r"\s*\.\s*", ".", match["table"])


def _without_strings(text: str) -> str:
    """Give the text without comments and strings; quoted names stay."""
    pieces, position = [], 0
    for part in opaque_parts(text):
        if part.kind is not OpaqueKind.NAME:
            pieces += [text[position : part.start], " "]
            position = part.stop
    return "".join([*pieces, text[position:]])
