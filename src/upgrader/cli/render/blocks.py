"""The two things that output is made of, and how they become text at a width."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

Redact = Callable[[str], str]

_ESCAPES = {"error": "1;31", "warning": "33", "hint": "36", "good": "32", "dim": "2", "bold": "1"}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence, with a styled word before it.

    Attributes:
        verbatim: never wrapped: something to be copied.
    """

    text: str = ""
    label: str = ""
    style: str = ""
    indent: int = 0
    verbatim: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; a `whole` one is never folded."""

    title: str
    whole: bool = False
    right: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """A text of a table with a style."""

    text: str
    style: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under titles. Without rows it is nothing."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[str | Cell]]


Block = Line | Table


def to_text(
    blocks: Iterable[Block], *, width: int | None = None, colour: bool = False, redact: Redact = str
) -> str:
    """Lay blocks out; every line of the result ends in a newline.

    Args:
        width: the longest line in columns where that can be; None: nothing is folded.
        redact: takes secrets out; called before anything is folded, so that no half of one is left.
    """
    pieces = (
        _table(block, width, colour, redact)
        if isinstance(block, Table)
        else _line(block, width, colour, redact)
        for block in blocks
    )
    return "".join(pieces)


def clean(text: str) -> str:
    """Make control characters visible: what comes from a database must not steer a terminal."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text.expandtabs(4))


def _line(line: Line, width: int | None, colour: bool, redact: Redact) -> str:
    text = clean(redact(line.text))
    indent = " " * line.indent
    head = f"{line.label} " if line.label else ""
    first, *rest = text.split("\n")
    hanging = indent + ("  " if head else "")
    lines = _wrapped(head + first, width, indent, indent + "  ", line.verbatim)
    for part in rest:
        lines += _wrapped(part, width, hanging, hanging + "  ", line.verbatim)
    if colour and line.style in _ESCAPES:
        lines = _coloured(lines, line, indent)
    return "".join(f"{one}\n" for one in lines)


def _wrapped(text: str, width: int | None, first: str, rest: str, verbatim: bool) -> list[str]:
    whole = (first + text).rstrip()
    if width is None or verbatim or len(whole) <= width:
        return [whole]
    own = text[: len(text) - len(text.lstrip())]
    return textwrap.wrap(
        text.strip(),
        max(width, 20),
        initial_indent=first + own,
        subsequent_indent=rest + own,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]


def _coloured(lines: Sequence[str], line: Line, indent: str) -> list[str]:
    start, end = f"\x1b[{_ESCAPES[line.style]}m", "\x1b[0m"
    if not line.label:
        return [f"{start}{one}{end}" for one in lines]
    size = len(indent) + len(line.label)
    return [f"{indent}{start}{line.label}{end}{lines[0][size:]}", *lines[1:]]


def _table(table: Table, width: int | None, colour: bool, redact: Redact) -> str:
    if not table.rows:
        return ""
    from upgrader.cli.render.table import GAP, layout

    rows = [[_cell(cell, redact) for cell in row] for row in table.rows]
    head, *body = layout(table.columns, rows, width=width)
    lines = [GAP.join(_styled(cell, colour) for cell in line).rstrip() for line in head]
    lines.append("-" * sum((len(GAP) * (len(head[0]) - 1), *(len(cell.text) for cell in head[0]))))
    lines += [GAP.join(_styled(cell, colour) for cell in line).rstrip() for row in body for line in row]
    return "".join(f"{line}\n" for line in lines)


def _cell(cell: str | Cell, redact: Redact) -> Cell:
    made = cell if isinstance(cell, Cell) else Cell(cell)
    return Cell(clean(redact(made.text)).replace("\n", " "), made.style)


def _styled(cell: Cell, colour: bool) -> str:
    if not colour or cell.style not in _ESCAPES:
        return cell.text
    return f"\x1b[{_ESCAPES[cell.style]}m{cell.text}\x1b[0m"
