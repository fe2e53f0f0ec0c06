"""How a table is laid out: columns as wide as their texts, folded where there is not room enough."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from upgrader.cli.render.blocks import Cell, Column

GAP = "   "
NARROWEST = 8
_BREAK_AFTER = " _-/"


def layout(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], *, width: int | None
) -> list[list[list[Cell]]]:
    """Give the lines of each row, the titles first, as padded cells.

    A column that is `whole` is never folded: a table of such columns may become wider than `width`.
    """
    texts = [[Cell(column.title, "bold") for column in columns], *rows]
    widths = [max(cell_width(row[place].text) for row in texts) for place in range(len(columns))]
    if width is not None:
        widths = _narrowed(columns, widths, width)
    return [_row_lines(columns, row, widths) for row in texts]


def cell_width(text: str) -> int:
    """Give how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(_letter_width(letter) for letter in text)


def _letter_width(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def _narrowed(columns: Sequence[Column], widths: list[int], width: int) -> list[int]:
    """Take from the widest column that may be folded until all of them fit, or none can give any more."""
    narrow = list(widths)
    foldable = [place for place, column in enumerate(columns) if not column.whole]
    while sum(narrow) + len(GAP) * (len(columns) - 1) > width:
        widest = max(foldable, key=lambda place: narrow[place], default=None)
        if widest is None or narrow[widest] <= NARROWEST:
            break
        narrow[widest] -= 1
    return narrow


def _row_lines(columns: Sequence[Column], row: Sequence[Cell], widths: Sequence[int]) -> list[list[Cell]]:
    folded = [_folded(cell.text, width) for cell, width in zip(row, widths, strict=True)]
    height = max(map(len, folded))
    return [
        [
            Cell(_padded(parts[line] if line < len(parts) else "", width, right=column.right), cell.style)
            for column, cell, parts, width in zip(columns, row, folded, widths, strict=True)
        ]
        for line in range(height)
    ]


def _folded(text: str, width: int) -> list[str]:
    if cell_width(text) <= width:
        return [text]
    lines, line, taken = [], "", 0
    for letter in text:
        size = _letter_width(letter)
        if taken + size > width:
            kept = _break_after(line)
            lines.append(line[:kept])
            line = line[kept:]
            taken = cell_width(line)
        line, taken = line + letter, taken + size
    return [*lines, line]


def _break_after(line: str) -> int:
    """Give how many letters stay on the line: up to a gap in its second half, else all of them."""
    gap = max(line.rfind(letter) for letter in _BREAK_AFTER) + 1
    return gap if gap > len(line) // 2 else len(line)


def _padded(text: str, width: int, *, right: bool) -> str:
    space = " " * (width - cell_width(text))
    return space + text if right else text + space
