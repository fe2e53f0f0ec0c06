"""What is seen of a run while it is at work: a sink of its events."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from upgrader import events
from upgrader.cli.console import Output
from upgrader.cli.live import LiveLine
from upgrader.cli.render.blocks import Block, Line
from upgrader.cli.render.events import event_blocks

PAUSE_SECONDS = 10.0


class RunDisplay:
    """Takes events: a line for what matters, an updated one on a terminal for what only moves on.

    Elsewhere a segment has a line every ten seconds at most, and one at its end.
    """

    def __init__(self, output: Output, *, is_verbose: bool = False, shows_parameters: bool = False) -> None:
        self._output = output
        self._is_verbose = is_verbose
        self._shows_parameters = shows_parameters
        self._live = LiveLine(output)
        self._told_at = 0.0
        self._failed = 0
        self._begun: list[Block] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.clear()

    def __call__(self, event: events.Event) -> None:
        """Take an event."""
        match event:
            case events.RunStarted() | events.Notice() if not self._is_begun:
                self._begun += event_blocks(event, is_verbose=self._is_verbose)
                return
            case events.Waiting():
                self._wait(event)
                return
            case events.SegmentStarted():
                self._live.begin_segment(event.version.text, event.total)
                self._told_at, self._failed = time.monotonic(), 0
            case events.WorkspaceFinished():
                self._advance(event)
            case events.StepStarted() if event.scope.is_instance:
                self._live.say(f"{event.step.class_name} ...")
            case events.SegmentFinished() | events.StepFinished():
                self._live.clear(only_text=isinstance(event, events.StepFinished))
            case events.RunFinished():
                self._live.clear()
        self._tell(event)
