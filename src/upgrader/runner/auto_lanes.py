"""`--jobs auto` in a run: listens to what ends, looks at the server, and says how many lanes are wanted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from upgrader.events import Event, EventSink, LanesChanged, SegmentStarted, WorkspaceFinished
from upgrader.model import Pressure, Progress, Workspace
from upgrader.runner.result import RunReport
from upgrader.runner.segment import SegmentExecutor
from upgrader.runner.throttle import LANES_AT_MOST, Throttle, Window
from upgrader.sequence.plan import WorkspaceTask
from upgrader.version import ReleaseVersion

WINDOW_SECONDS = 2.0


def most_lanes(connections_left: int) -> int:
    """Give how many lanes there may be at most: two connections are left to others."""
    return max(1, min(LANES_AT_MOST, connections_left - 2))


class AutoLanes:
    """Looks at the server every few seconds from a thread of its own, and is asked by all lanes between workspaces.

    A lane is not the one to look: it comes when it has just ended something, which is when nobody waits for it.
    """

    def __init__(
        self,
        throttle: Throttle,
        *,
        read: Callable[[], Pressure],
        report: RunReport,
        emit: EventSink,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with the throttle's lanes.

        Args:
            read: looks at the server; asked once per window.
        """
        self._throttle = throttle
        self._read = read
        self._report = report
        self._emit = emit
        self._clock = clock
        self._ended: list[float] = []
        self._mean_seconds = 0.0
        self._counts_from = clock()
        report.note_lanes(throttle.lanes)

    def wanted(self) -> int:
        """Give how many lanes are to work just now."""
        return self._throttle.lanes

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look at the server at once, and then every few seconds, to the end of the block."""
        ended = threading.Event()
        self.look()
        thread = threading.Thread(target=self._keep_looking, args=(ended,), name="upgrader-auto", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(WINDOW_SECONDS)

    def _keep_looking(self, ended: threading.Event) -> None:
        while not ended.wait(WINDOW_SECONDS):
            self.look()

    def listening(self, emit: EventSink) -> EventSink:
        """Wrap a sink: what comes by is noted."""

        def noting(event: Event) -> None:
            if isinstance(event, WorkspaceFinished):
                self._note(event)
            elif isinstance(event, SegmentStarted):
                self._ended = []
                self._throttle.begin_anew()
            emit(event)

        return noting

    def _note(self, event: WorkspaceFinished) -> None:
        """Keep how long a workspace took that ran with the lanes that are wanted now, from beginning to end."""
        if event.result == "done" and self._clock() - event.seconds >= self._counts_from:
            self._ended.append(event.seconds)

    def look(self) -> None:
        """End a window: take what ended in it and how the server is, and decide."""
        ended, self._ended = self._ended, []
        if ended:
            self._mean_seconds = sum(ended) / len(ended)
        before = self._throttle.lanes
        lanes = self._throttle.observe(Window(ended, self._read()))
        if lanes == before:
            return
        # Lanes that are too many end what they have begun, and until then all of them are at work.
        self._counts_from = self._clock() + (self._mean_seconds if lanes < before else 0.0)
        self._report.note_lanes(lanes)
        self._emit(LanesChanged(lanes, before, self._throttle.reason))


class AutoExecutor:
    """Runs segments with as many lanes as `AutoLanes` wants."""

    def __init__(self, executor: SegmentExecutor, auto: AutoLanes) -> None:
        """Take what runs them."""
        self._executor = executor
        self._auto = auto

    def run(
        self,
        version: ReleaseVersion,
        tasks: Sequence[WorkspaceTask],
        workspaces: Mapping[str, Workspace],
        progress: Callable[[str], Progress],
    ) -> set[str]:
        """Run the tasks; give the ids of the workspaces that did not get through."""
        with self._auto.looking():
            return self._executor.run(version, tasks, workspaces, progress)
