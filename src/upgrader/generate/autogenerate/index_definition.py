"""An index, taken apart: from CREATE INDEX to the arguments of `create_index_concurrently`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_PIECE = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|[()]|,|\s+|[^\s(),'"]+""")
_CLAUSE = re.compile(r"(?i)INCLUDE|WITH|TABLESPACE|WHERE|NULLS NOT DISTINCT|NULLS DISTINCT")


@dataclass(frozen=True, slots=True)
class IndexDefinition:
    """What CREATE INDEX says behind the table's name.

    Attributes:
        columns: columns and expressions with collation, operator class and order, as SQL.
        parameters: storage parameters, as SQL: `fillfactor=70`.
        where: without parentheses around it.
    """

    columns: tuple[str, ...]
    is_unique: bool = False
    method: str | None = None
    include: tuple[str, ...] = ()
    nulls_not_distinct: bool = False
    parameters: str | None = None
    tablespace: str | None = None
    where: str | None = None

    @classmethod
    def parse(cls, statement: str) -> IndexDefinition:
        """Read a CREATE INDEX statement that SQLAlchemy or PostgreSQL wrote."""
        words = list(_words(statement))
        position = [word.upper() for _, word in words].index("ON") + 2  # behind the table
        method = None
        if words[position][1].upper() == "USING":
            method, position = words[position + 1][1], position + 2
        start, columns = words[position]
        clauses = _clauses(statement[start + len(columns) :].strip())
        where = clauses.get("WHERE")
        return cls(
            columns=_items(columns),
            is_unique=words[1][1].upper() == "UNIQUE",
            method=None if method == "btree" else method,
            include=_items(clauses["INCLUDE"]) if "INCLUDE" in clauses else (),
            nulls_not_distinct="NULLS NOT DISTINCT" in clauses,
            parameters=_inner(clauses["WITH"]) if "WITH" in clauses else None,
            tablespace=clauses.get("TABLESPACE"),
            where=_inner(where) if where else None,
        )


def _words(text: str) -> Iterator[tuple[int, str]]:
    """Give what blanks part at the outermost level, and where it begins: words, and groups in parentheses."""
    depth, word = 0, ""
    for match in _PIECE.finditer(text):
        piece, start = match.group(), match.start() - len(word)
        if depth == 0 and (piece.isspace() or piece == "("):
            if word:
                yield start, word
            word = "" if piece.isspace() else piece
        else:
            word += piece
        depth += {"(": 1, ")": -1}.get(piece, 0)
        if depth == 0 and piece == ")":
            yield match.end() - len(word), word
            word = ""
    if word:
        yield len(text) - len(word), word


def _clauses(rest: str) -> dict[str, str]:
    """Give the clauses behind the columns by their keyword; WHERE is the last one and takes all that is left."""
    found: dict[str, str] = {}
    while rest:
        match = _CLAUSE.match(rest)
        assert match is not None, rest
        name, rest = match.group().upper(), rest[match.end() :].strip()
        if name == "WHERE":
            return {**found, name: rest}
        if name in ("INCLUDE", "WITH", "TABLESPACE"):
            start, value = next(_words(rest))
            found[name], rest = value, rest[start + len(value) :].strip()
        else:
            found[name] = ""
    return found


def _items(group: str) -> tuple[str, ...]:
    """Part a group at its commas: `(a, lower(b))`."""
    depth, items = 0, [""]
    for match in _PIECE.finditer(group[1:-1]):
        piece = match.group()
        depth += {"(": 1, ")": -1}.get(piece, 0)
        if piece == "," and depth == 0:
            items.append("")
        else:
            items[-1] += piece
    return tuple(item.strip() for item in items)


def _inner(text: str) -> str:
    """Take off parentheses that are around the whole text."""
    return (
        text[1:-1] if len(list(_words(text))) == 1 and text.startswith("(") and text.endswith(")") else text
    )
