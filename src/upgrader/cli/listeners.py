"""Who is told of a run's events beside the people at the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from upgrader.cli.telemetry import telemetry

if TYPE_CHECKING:
    from upgrader.cli.invocation import Invocation
    from upgrader.events import EventSink


@contextmanager
def listening(invocation: Invocation, display: EventSink) -> Iterator[EventSink]:
    """Give a sink that tells the display, and whoever else is to be told."""
    from upgrader.events import to_each

    with telemetry(invocation.output) as is_traced:
        if not is_traced:
            yield display
            return
        from upgrader.worker.metrics.tracing import TracingSink

        yield to_each(display, TracingSink())
