"""What authors' code logs where nobody has set logging up: on stderr as `logging` writes it, without secrets."""

from __future__ import annotations

import logging

from upgrader.cli.console import Output
from upgrader.cli.render.blocks import Line


class AuthorWarnings(logging.Handler):
    """In place of `logging.lastResort`, which would write past the output: secrets, and what steers a terminal."""

    def __init__(self, output: Output) -> None:
        """Take warnings and errors, as the one that it stands in for does."""
        super().__init__(logging.WARNING)
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        try:
            self._output.tell(Line(self.format(record), verbatim=True))
        except Exception:
            self.handleError(record)


def take_author_warnings(output: Output) -> None:
    """Let an output have what is logged from here on and no handler takes."""
    logging.lastResort = AuthorWarnings(output)
