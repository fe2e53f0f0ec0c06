"""Tells what a run does to the handlers of workspace events in `[worker] modules`, beside what is shown of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from upgrader.cli.console import AuthorPrints
from upgrader.cli.invocation import Invocation

if TYPE_CHECKING:
    import logging

    from upgrader.events import Event, EventSink


@contextmanager
def also_told(invocation: Invocation, display: EventSink, *, is_wanted: bool) -> Iterator[EventSink]:
    """Give a sink that shows what happens and tells it; only the former where there is nobody to tell.

    Raises:
        OperatorError: a module cannot be loaded, or a handler cannot be used; nothing ran.
    """
    if not is_wanted or not invocation.settings.worker.modules:
        yield display
        return
    from upgrader.cli.author_warnings import take_author_warnings
    from upgrader.events import quiet
    from upgrader.worker.workspace_events.telling_runs import telling_runs

    output = invocation.output
    sys.stdout = AuthorPrints(output)  # what the modules print is for people
    output.keep_stdout()
    take_author_warnings(output)
    with (
        _warnings_told(output.warn),
        telling_runs(
            invocation.settings, directory=invocation.loaded.directory, redact=output.redact
        ) as told,
    ):
        if told is None:
            yield display
            return
        sinks = (quiet(display), quiet(told))

        def emit(event: Event) -> None:
            for sink in sinks:
                sink(event)

        yield emit


@contextmanager
def _warnings_told(warn: Callable[[str], None]) -> Iterator[None]:
    """Say what is logged of handlers in one line each, unless log lines go to people anyway."""
    import logging

    logger = logging.getLogger("upgrader.events")
    if logger.hasHandlers():
        yield
        return

    class Told(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            error = record.exc_info[1] if record.exc_info else None
            message = record.getMessage()
            if error is not None and str(error) not in message:
                message += f": {type(error).__name__}: {error}"
            warn(message)

    handler = Told(logging.WARNING)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
