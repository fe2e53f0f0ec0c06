r"""When two expressions that the server prints differently mean the same.

PostgreSQL prints an expression as it was parsed, and that depends on its way: `status IN ('a', 'b')` on a varchar
column is printed with one cast of the whole array, and read from its own print (a dump) with a cast of each
element; a default keeps the cast to the type that its column once had. Casts between the text types and
parentheses around a single thing are therefore not looked at.
"""

from __future__ import annotations

import re

_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")
_TEXT_CAST = re.compile(r"::(?:text|character varying|varchar|bpchar)(?:\(\d+\))?(?:\[\])?")
_LITERAL_WITH_CAST = re.compile(r"('(?:[^']|'')*')::[\w .\"]+(?:\([\d,]+\))?(?:\[\])?")
# Not the arguments of a function: in front of those stands its name.
_ENCLOSED = re.compile(r"(?<!\w)\(([\w.]+|ARRAY\[[^\[\]()]*\])\)")
_TWICE = re.compile(r"\(\(([^()]*)\)\)")


def same_meaning(one: str, other: str) -> bool:
    """Tell whether two printed expressions or definitions are the same but for the way they were written."""
    if one == other:
        return True
    literals = _LITERAL_WITH_CAST.fullmatch(one), _LITERAL_WITH_CAST.fullmatch(other)
    if literals[0] and literals[1]:
        return literals[0][1] == literals[1][1]
    return _plain(one) == _plain(other)


def _plain(text: str) -> str:
    # A literal or quoted name becomes one word: nothing inside of it is looked at.
    shown = _TEXT_CAST.sub("", _QUOTED.sub(lambda match: f"q{match[0].encode().hex()}", text))
    while True:
        simpler = _TWICE.sub(r"(\1)", _ENCLOSED.sub(r"\1", shown))
        if simpler == shown:
            return shown
        shown = simpler
