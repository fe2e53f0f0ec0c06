"""The statements of one step as one file for squawk: the context counts, and each line leads back."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from upgrader.lint.parameters import number_parameters
from upgrader.model import CapturedStatement

_JOINT = "\n;\n"  # on a line of its own: a statement may end in a comment
_LONGEST_FRAGMENT = 80


@dataclass(frozen=True)
class StepFile:
    """One file, in memory.

    Attributes:
        statements: as they were captured, without those that are left out.
        texts: the same as squawk reads them.
    """

    statements: tuple[CapturedStatement, ...]
    texts: tuple[str, ...]
    _starts: tuple[int, ...] = field(repr=False)

    @classmethod
    def of(cls, statements: Sequence[CapturedStatement]) -> StepFile:
        """Join statements."""
        texts = tuple(
            number_parameters(_lines(one.text), escapes_percent=one.escapes_percent) for one in statements
        )
        starts, line = [], 0
        for text in texts:
            starts.append(line)
            line += text.count("\n") + _JOINT.count("\n")
        return cls(tuple(statements), texts, tuple(starts))

    @property
    def text(self) -> str:
        """The whole file."""
        return _JOINT.join(self.texts) + "\n"

    def first_line(self, index: int) -> int:
        """Give the line (from 0) of the file at which a statement begins."""
        return self._starts[index]

    def index_at(self, line: int) -> int:
        """Give which statement a line (from 0) of the file belongs to."""
        return max(0, bisect_right(self._starts, line) - 1)

    def statement_at(self, line: int) -> CapturedStatement:
        """Give the statement that a line (from 0) of the file belongs to."""
        return self.statements[self.index_at(line)]

    def without(self, index: int) -> StepFile:
        """Leave a statement out."""
        return StepFile.of([*self.statements[:index], *self.statements[index + 1 :]])

    def fragment(self, line: int, column: int, last_line: int, last_column: int) -> str:
        """Give a part of the file on one line, cut where it is long.

        Args:
            line: from 0, like the others.
            column: in bytes of UTF-8.
        """
        lines = self.text.encode().split(b"\n")[line : last_line + 1]
        if not lines:
            return ""
        lines[-1] = lines[-1][: last_column if last_line > line else max(column, last_column)]
        lines[0] = lines[0][column:]
        words = " ".join(b"\n".join(lines).decode(errors="replace").rstrip("; \n").split())
        return words if len(words) <= _LONGEST_FRAGMENT else f"{words[: _LONGEST_FRAGMENT - 1].rstrip()}…"


def _lines(text: str) -> str:
    """Count lines as squawk does: by newlines alone."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")
