"""How far the workspaces of a version are, while they are on their way: counted from what is told of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from upgrader import events
from upgrader.cli.rate import RateMeter, TimeLeft, rate_text
from upgrader.cli.render.waits import short_progress_text
from upgrader.cli.render.wording import counted, duration

_LONG_SECONDS = 10.0  # a step that has been at it for longer is named


@dataclass(slots=True, eq=False)
class _AtWork:
    """A step that a lane has in hand. Its text is put together when somebody reads it, which is seldom.

    Attributes:
        wait: what it waits for, where that was told.
    """

    begun: events.StepStarted
    since: float
    wait: str = ""

    @property
    def text(self) -> str:
        """Name it."""
        return f"{self.begun.scope}: {self.wait or self.begun.step.class_name}"


class SegmentProgress:
    """Takes the events of a segment, in whichever order several lanes send them.

    Attributes:
        through: how many workspaces had their turn, whatever became of them.
    """

    def __init__(self, version: str, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with none."""
        self.version = version
        self.total = total
        self.through = self.failed = self.skipped = 0
        self._clock = clock
        self._meter = RateMeter(clock)
        self._at_work: dict[str | None, _AtWork] = {}  # by the workspace's id
        self._lock = threading.Lock()  # a line is drawn while events come

    def take(self, event: events.Event) -> None:
        """Count an event; one that has nothing to do with workspaces changes nothing."""
        with self._lock:
            self._take(event)

    def _take(self, event: events.Event) -> None:
        match event:
            case events.StepStarted() if not event.scope.is_instance:
                self._at_work[event.scope.workspace_id] = _AtWork(event, self._clock())
            case events.StepFinished():
                self._at_work.pop(event.scope.workspace_id, None)
            case events.WorkspaceFinished():
                self._finish(event)
            case events.StepProgress():
                self._note_wait(event)

    def _finish(self, event: events.WorkspaceFinished) -> None:
        self.through += 1
        self.failed += event.result == "failed"
        self.skipped += event.result == "skipped"
        self._meter.advance()

    def _note_wait(self, event: events.StepProgress) -> None:
        at_work = self._at_work.get(event.scope.workspace_id)
        if at_work is not None:
            at_work.wait = short_progress_text(event)

    @property
    def line(self) -> str:
        """Give it in full, for a line of its own."""
        with self._lock:
            parts = [f"{self.through:,} of {counted(self.total, 'workspace')}", *self._rates()]
            if (left := self._left()) is not None:
                parts.append(f"{left.text} left")
            slowest = self._slowest()
        return f"{self.version}: {', '.join(parts)}{f'; {slowest}' if slowest else ''}"

    @property
    def numbers(self) -> str:
        """Give it as short as it can be, to stand beside a bar."""
        with self._lock:
            parts = [f"{self.through:,}/{self.total:,}", *self._rates()]
            if (left := self._left()) is not None:
                parts.append(left.short_text)
        return " ".join(parts)

    def _left(self) -> TimeLeft | None:
        left = self.total - self.through
        return self._meter.left(left) if left > 0 else None

    def _rates(self) -> Iterator[str]:
        yield from self._counts()
        if self._meter.done:
            yield rate_text(self._meter.recent_rate)

    def _counts(self) -> Iterator[str]:
        for count, word in ((self.failed, "failed"), (self.skipped, "skipped")):
            if count:
                yield f"{count:,} {word}"

    def _slowest(self) -> str:
        """Name the step that has been at it for longest, where that is long."""
        first = min(self._at_work.values(), key=lambda one: one.since, default=None)
        seconds = self._clock() - first.since if first is not None else 0.0
        return f"{first.text}, for {duration(seconds)}" if first and seconds >= _LONG_SECONDS else ""
