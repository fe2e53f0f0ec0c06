"""Log lines on stderr, as text or JSON: those of `logging`, and in JSON what else is said to people."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from upgrader.errors import OperatorError

if TYPE_CHECKING:
    from upgrader.cli.console import Output
    from upgrader.worker.logs import LogFormat, Logging


def log_format_of(text: str | None) -> LogFormat | None:
    """Read `--log-format`; None where it was not given.

    Raises:
        OperatorError: there is no such format.
    """
    from upgrader.worker.logs import LogFormat

    if text is None:
        return None
    try:
        return LogFormat(text)
    except ValueError:
        raise OperatorError(
            f"--log-format: there is no format {text!r}", hint=f"give one of: {', '.join(LogFormat)}"
        ) from None


@contextmanager
def logging_to(output: Output, text: str | None, *, is_debug: bool = False) -> Iterator[Logging]:
    """Let log lines go to stderr within the block; they are kept until `set_up` is called, or the block ends.

    As JSON errors and warnings are lines of that kind, too, also after the block.
    """
    import logging

    from upgrader.cli.console import AuthorPrints
    from upgrader.worker.logs import LogFormat, Logging, LogLines, note_ids

    log_format = log_format_of(text) or LogFormat.TEXT
    if log_format is LogFormat.JSON:
        told = LogLines(output.log_line, log_format=log_format, redact=output.redact)
        told.addFilter(note_ids)
        levels = {"error": logging.ERROR, "warning": logging.WARNING}

        def record(level: str, message: str) -> None:
            made = {"name": "upgrader", "levelno": levels.get(level, logging.INFO), "msg": message}
            made["levelname"] = logging.getLevelName(levels.get(level, logging.INFO))
            told.handle(logging.makeLogRecord(made))

        output.records = record
        sys.stderr = AuthorPrints(output)  # what authors' code writes there would be no JSON
    level = logging.DEBUG if is_debug else logging.INFO
    with Logging(output.log_line, log_format=log_format, redact=output.redact, level=level).open() as opened:
        yield opened
