"""`-- squawk-ignore RULE` in statements: which there are, and which of them silence nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from upgrader.database.opaque import OpaqueKind, opaque_parts
from upgrader.lint.program import Remark

_IGNORE = re.compile(r"(?P<word>squawk-ignore(?:-file)?)\b(?P<rules>[^\n*]*)")
_NEUTRAL = "squawk-regard"


@dataclass(frozen=True, slots=True)
class Ignore:
    """One comment.

    Attributes:
        position: of its first word in the file.
        line: of the file, from 0.
        rules: what it names; none at all ignores nothing.
    """

    position: int
    line: int
    rules: tuple[str, ...]

    def neutralised(self, text: str) -> str:
        """Give the file with this comment as any other; everything stays at its place."""
        return text[: self.position] + _NEUTRAL + text[self.position + len(_NEUTRAL) :]


@dataclass(frozen=True, slots=True)
class UnusedIgnore:
    """A rule that a comment names although there is nothing to ignore."""

    line: int
    rule: str


def find_ignores(text: str) -> Iterator[Ignore]:
    """Find the comments of a file."""
    for part in opaque_parts(text):
        if part.kind is not OpaqueKind.COMMENT:
            continue
        for match in _IGNORE.finditer(text, part.start, part.stop):
            names, _, _ = match["rules"].partition("--")  # a reason may follow
            rules = tuple(name.strip() for name in names.split(",") if name.strip())
            yield Ignore(match.start(), text.count("\n", 0, match.start()), rules)


def unused_ignores(
    text: str, remarks: Sequence[Remark], read: Callable[[str], Sequence[Remark]]
) -> Iterator[UnusedIgnore]:
    """Find what is ignored and not there: the file is read once more for each comment, without it.

    Args:
        remarks: what squawk says of the file as it is.
        read: lets squawk read a changed file.
    """
    known = Counter(map(_key, remarks))
    for ignore in find_ignores(text):
        silenced = Counter(map(_key, read(ignore.neutralised(text)))) - known
        used = {rule for rule, *_ in silenced}
        yield from (UnusedIgnore(ignore.line, rule) for rule in ignore.rules if rule not in used)


def _key(remark: Remark) -> tuple[str, int, int, str]:
    return (remark.rule, remark.line, remark.column, remark.message)
