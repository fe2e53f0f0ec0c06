"""Statements that PostgreSQL refuses inside a transaction."""

from __future__ import annotations

import re

from upgrader.database.statements import bare_statements

_REFUSED = re.compile(
    r"""
      (?P<concurrently>
          create\s+(?:unique\s+)?index\s+concurrently
        | drop\s+index\s+concurrently
        | reindex\b (?=.*\bconcurrently\b)
        | alter\s+table\b (?=.*\bdetach\s+partition\b.*\bconcurrently\b) )
    | (?P<other>
          vacuum | reindex\s+(?:\([^)]*\)\s*)?(?:database|system|schema)
        | cluster\s*$
        | (?:create|drop)\s+(?:database|tablespace)
        | create\s+subscription\b (?!.*\b(?:connect|create_slot)\s*=\s*(?:false|off|0))
        | alter\s+database\b (?=.*\bset\s+tablespace\b)
        | alter\s+system )
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)


def outside_only(text: str) -> str | None:
    """Give the first words of a statement in `text` that cannot run inside a transaction; None if all can.

    Bodies of functions and `DO` blocks are not looked into.
    """
    for statement in bare_statements(text):
        match = _REFUSED.match(statement)
        if match is None:
            continue
        if match["concurrently"]:
            first = statement.split(None, 1)[0].upper()
            return f"{first} … CONCURRENTLY"
        return " ".join(match.group().upper().split())
    return None
