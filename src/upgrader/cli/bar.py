"""The columns of a progress bar. Imports Rich: only where there is a terminal."""

from __future__ import annotations

from collections.abc import Callable

from rich.progress import BarColumn, ProgressColumn, Task
from rich.text import Text

_WIDEST, _NARROWEST = 16, 4


class NumbersColumn(ProgressColumn):
    """A text that is asked for each time the line is drawn: what is left grows while nothing ends."""

    max_refresh = None

    def __init__(self, numbers: Callable[[], str]) -> None:
        """Take what gives the text."""
        super().__init__()
        self._numbers = numbers

    def render(self, task: Task) -> Text:
        """Give the text of this moment."""
        del task
        return Text(self._numbers(), no_wrap=True, overflow="ellipsis")


class ShrinkingBar(BarColumn):
    """A bar that gives its room to the numbers beside it, and goes away where there is none."""

    def __init__(self, numbers: Callable[[], str], *, width: int) -> None:
        """Take what stands beside it.

        Args:
            width: of the whole line.
        """
        super().__init__(bar_width=_WIDEST)
        self._numbers = numbers
        self._width = width

    def render(self, task: Task) -> Text:  # type: ignore[override]  # Rich draws whatever can be drawn
        """Draw it in the room that is left."""
        room = self._width - len(task.description) - len(self._numbers()) - 2
        if room < _NARROWEST:
            return Text("")
        self.bar_width = min(_WIDEST, room)
        return super().render(task)  # type: ignore[return-value]  # a bar, which is drawn like a text
