"""What is seen of a run while it is at work: a sink of its events."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from upgrader import events
from upgrader.cli.backfill_meters import BackfillMeters
from upgrader.cli.console import Output
from upgrader.cli.live import LiveLine
from upgrader.cli.render.blocks import Block, Line
from upgrader.cli.render.events import event_blocks
from upgrader.cli.render.waits import progress_text, short_progress_text
from upgrader.cli.segment_progress import SegmentProgress
from upgrader.cli.ticker import Ticker
from upgrader.model import Scope

PAUSE_SECONDS = 10.0
_TICK_SECONDS = 1.0


class RunDisplay:
    """Takes events: a line for what matters, an updated one on a terminal for what only moves on.

    Elsewhere a segment has a line every ten seconds at most, and one at its end; so have a wait and a backfill.
    """

    def __init__(
        self,
        output: Output,
        *,
        is_verbose: bool = False,
        shows_parameters: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._output = output
        self._is_verbose = is_verbose
        self._shows_parameters = shows_parameters
        self._clock = clock
        self._live = LiveLine(output)
        self._held: list[Block] | None = []
        self._backfills = BackfillMeters(clock)
        self._backfill_told = clock()
        self._segment: SegmentProgress | None = None
        self._segment_told = 0.0
        self._lock = threading.RLock()
        self._ticker = Ticker(self._tick, seconds=_TICK_SECONDS)
        self._waits_told: dict[str, float] = {}
        self._in_the_way = ""
        self._told_of: Scope | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ticker.stop()
        self._live.clear()
        self._release()

    def __call__(self, event: events.Event) -> None:
        """Take an event."""
        with self._lock:
            self._take(event)

    def _take(self, event: events.Event) -> None:
        if self._segment is not None:
            self._segment.take(event)
            if self._is_only_counted(event, self._segment):
                return
        match event:
            case events.Waiting():
                self._wait(event.message, event.reason)
            case events.StepProgress():
                self._follow(event)
            case events.BackfillMoved():
                self._release()
                self._backfill(event)
            case events.RunStarted() | events.Notice() if self._held is not None:
                self._held += self._blocks(event)  # that it is the first upgrade is the first line of all
            case events.FirstUpgrade():
                self._output.tell(*self._blocks(event))
            case _:
                self._release()
                self._move(event)
                self._tell([*self._whose(event), *self._blocks(event)])

    def _is_only_counted(self, event: events.Event, segment: SegmentProgress) -> bool:
        """Tell whether an event is one of those that each workspace sends, and there is no word about it.

        Every step in every workspace waits for its display, so they have a short way through it.
        """
        match event:
            case events.StepStarted() | events.StepFinished():
                return not (self._is_verbose or event.scope.is_instance)
            case events.WorkspaceFinished(result="done"):
                self._live.reach(segment.through)
                self._tell_segment()
                return True
        return False

    def _whose(self, event: events.Event) -> list[Block]:
        """Name the workspace before its statements, where those of another came last: lanes speak in turns."""
        match event:
            case events.StepStarted() | events.StepFinished():
                self._told_of = event.scope
            case events.StatementExecuted() if self._is_verbose and event.scope != self._told_of:
                self._told_of = event.scope
                return [Line(f"{event.scope}:", indent=4)]
        return []

    def _move(self, event: events.Event) -> None:
        """Let the updated line follow."""
        match event:
            case events.StepStarted() if event.scope.is_instance:
                self._live.say(event.step.class_name)
            case events.SegmentStarted():
                self._begin_segment(event)
            case events.WorkspaceFinished() if self._segment is not None:
                self._live.reach(self._segment.through)
                self._tell_segment()
            case events.SegmentFinished() | events.RunFinished():
                self._segment = None
                self._ticker.stop()
                self._live.clear()
            case events.StepFinished() if event.scope.is_instance:
                self._live.clear()

    def _begin_segment(self, event: events.SegmentStarted) -> None:
        self._segment = segment = SegmentProgress(event.version.text, event.total, self._clock)
        self._segment_told = self._clock()
        self._live.begin_bar(segment.version, event.total, lambda: segment.numbers)
        if not self._live.is_live:
            self._ticker.start()

    def _tick(self) -> None:
        """Tell how far the segment is where nothing has ended for a while."""
        with self._lock:
            self._tell_segment()

    def _tell_segment(self) -> None:
        """Where there is no bar: a line every ten seconds."""
        now = self._clock()
        if self._segment is None or self._live.is_live or now - self._segment_told < PAUSE_SECONDS:
            return
        self._segment_told = now
        self._output.tell(Line(self._segment.line, indent=2))

    def _follow(self, event: events.StepProgress) -> None:
        """Tell how far a step is; in the updated line there is little room, so a new blocker has a line of its own."""
        who = event.wait.blockers[0].name if event.wait is not None and event.wait.blockers else ""
        if self._live.shows_sentences and who and who != self._in_the_way:
            self._output.tell(Line(progress_text(event), indent=2))
        self._in_the_way = who or self._in_the_way
        text = short_progress_text(event) if self._live.shows_sentences else progress_text(event)
        # Of several lanes that wait for one and the same, or build an index each, one is told.
        alone = "lane" if self._segment is not None else f"{event.scope} {event.step.name}"
        self._wait(text, who or alone)

    def _backfill(self, event: events.BackfillMoved) -> None:
        """Tell how far a backfill is, where a bar is not: of workspaces' the bar tells, and what they wait for."""
        word = self._backfills.follow(event)
        line = Line(word.text, indent=2)
        if event.is_finished:
            if event.scope.is_instance:
                self._output.tell(line)
        elif self._live.is_live:
            if word.is_turn and event.waiting_for is not None:
                self._output.tell(line)
            self._live.say(word.short_text)
        elif word.is_turn or self._clock() - self._backfill_told >= PAUSE_SECONDS:
            self._backfill_told = self._clock()
            self._output.tell(line)

    def _wait(self, message: str, reason: str) -> None:
        """Tell what only goes on: in the updated line where there is one, else every ten seconds for each reason."""
        if self._live.shows_sentences:
            self._live.say(message)
            return
        now = self._clock()
        self._waits_told = {
            told: when for told, when in self._waits_told.items() if now - when < PAUSE_SECONDS
        }
        if reason not in self._waits_told:
            self._waits_told[reason] = now
            self._output.tell(Line(message))

    def _release(self) -> None:
        held, self._held = self._held, None
        self._tell(held or [])

    def _tell(self, blocks: list[Block]) -> None:
        if blocks:
            self._output.tell(*blocks)

    def _blocks(self, event: events.Event) -> list[Block]:
        return event_blocks(event, is_verbose=self._is_verbose, shows_parameters=self._shows_parameters)
