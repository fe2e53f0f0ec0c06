"""The last line of a terminal, updated in place: a progress bar, or what is being waited for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from upgrader.cli.console import Output
from upgrader.cli.render.blocks import clean

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_WIDTH = 80  # where nobody knows it


class LiveLine:
    """One line at most. Does nothing where there is no terminal."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._is_bar = False

    @property
    def is_live(self) -> bool:
        """Whether anybody can see it."""
        return self._output.is_live

    @property
    def shows_sentences(self) -> bool:
        """Whether `say` shows anything just now: there is a terminal, and no bar on it."""
        return self.is_live and not self._is_bar

    def begin_bar(self, title: str, total: int, numbers: Callable[[], str]) -> None:
        """Show a bar for `total`, and beside it a text that is asked for whenever the line is drawn."""
        if not self.is_live:
            return
        from rich.progress import TextColumn

        from upgrader.cli.bar import NumbersColumn, ShrinkingBar

        self._start(
            title,
            total,
            TextColumn("{task.description}", markup=False),
            ShrinkingBar(numbers, width=self._output.stderr_width or _WIDTH),
            NumbersColumn(numbers),
        )
        self._is_bar = True

    def reach(self, count: int) -> None:
        """Move the bar to where so many are through."""
        if self._progress is not None and self._task is not None and self._is_bar:
            self._progress.update(self._task, completed=count)

    def say(self, text: str) -> None:
        """Show a sentence with the time that it has stood there; a bar keeps its place."""
        if not self.is_live or self._is_bar:
            return
        text = clean(self._output.redact(text))
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, description=text)
            return
        from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

        spinner = SpinnerColumn("line")
        self._start(text, None, spinner, TextColumn("{task.description}", markup=False), TimeElapsedColumn())

    def close(self) -> None:
        """Take it away."""
        self.clear()

    def clear(self) -> None:
        """Take it away."""
        if self._progress is not None:
            self._output.above = None
            self._progress.stop()
        self._progress, self._task, self._is_bar = None, None, False

    def _start(self, title: str, total: int | None, *columns: object) -> None:
        from rich.console import Console
        from rich.progress import Progress
        from rich.text import Text

        self.clear()
        console = Console(
            file=self._output.stderr,
            force_terminal=True,
            no_color=not self._output.colour,
            highlight=False,
            markup=False,
            emoji=False,
            width=self._output.stderr_width,
        )
        self._progress = Progress(*columns, console=console, transient=True, redirect_stdout=False)  # type: ignore[arg-type]  # columns of two kinds
        self._task = self._progress.add_task(title, total=total)
        self._progress.start()
        self._output.above = lambda text: console.print(Text.from_ansi(text.rstrip("\n")), soft_wrap=True)
