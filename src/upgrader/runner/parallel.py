"""Several workspaces at a time: as many threads, each with a connection of its own.

The thread that began the run takes none itself: it waits, and is there for signals.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from upgrader.errors import NoConnectionError
from upgrader.events import Notice
from upgrader.model import Progress, Workspace
from upgrader.runner.step_runner import StepRunner
from upgrader.runner.workspace_walk import SegmentParts, WorkspaceWalk
from upgrader.sequence.plan import WorkspaceTask
from upgrader.version import ReleaseVersion

_CANCEL_EVERY_SECONDS = 0.2
_CANCEL_SECONDS = 2.0
_TERMINATE_SECONDS = 2.0


@dataclass(eq=False)
class _Lane:
    """One thread and what it runs steps with."""

    number: int
    steps: StepRunner
    ended: threading.Event = field(default_factory=threading.Event)


class ThreadedExecutor:
    """As many workspaces at a time as there are lanes that are wanted.

    A lane that gets no connection ends, and the others go on. What ends the run itself (its lock or a connection
    is lost) lets every lane finish the step in progress; a second signal cancels them all.
    """

    def __init__(
        self,
        parts: SegmentParts,
        *,
        lanes: Sequence[StepRunner],
        terminate: Callable[[Sequence[int]], None],
        lanes_wanted: Callable[[], int] | None = None,
    ) -> None:
        """Take the parts; no thread is started yet.

        Args:
            lanes: what each lane runs steps with: sessions of their own, opened when first needed.
            terminate: ends server processes whose statements cannot be cancelled.
            lanes_wanted: how many lanes are to work, asked by each before each workspace: cheap, safe to be
                called by several threads, at least 1. Those above it rest.
        """
        self._parts = parts
        self._steps = lanes
        self._terminate = terminate
        self._lanes_wanted = lanes_wanted or (lambda: len(lanes))
        self._lock = threading.Lock()
        self._living: list[_Lane] = []
        self._error: BaseException | None = None

    def run(
        self,
        version: ReleaseVersion,
        tasks: Sequence[WorkspaceTask],
        workspaces: Mapping[str, Workspace],
        progress: Callable[[str], Progress],
    ) -> set[str]:
        """Begin the tasks in order; give the ids of the workspaces that did not get through."""
        walk = WorkspaceWalk(self._parts, version, tasks, workspaces, progress)
        lanes = [_Lane(number, steps) for number, steps in enumerate(self._steps[: len(tasks)])]
        self._living, self._error = list(lanes), None
        try:
            for lane in lanes:
                self._start(lane, walk)
            for lane in lanes:
                lane.ended.wait()
        except BaseException:  # a second signal, as a rule
            walk.halt()
            self._end_at_once(lanes)
            walk.close(is_cut_off=True)
            raise
        walk.close(is_cut_off=self._error is not None)
        if self._error is not None:
            raise self._error
        return walk.not_through

    def _start(self, lane: _Lane, walk: WorkspaceWalk) -> None:
        # Commands see the context variables of whoever began the run, as they would without threads.
        context = contextvars.copy_context()
        name = f"upgrader-lane-{lane.number}"
        threading.Thread(target=context.run, args=(self._live, lane, walk), name=name, daemon=True).start()

    def _live(self, lane: _Lane, walk: WorkspaceWalk) -> None:
        try:
            self._work(lane, walk)
        except NoConnectionError as error:
            self._leave(lane, walk, error)
        except BaseException as error:  # it is raised again by the thread that began the run
            self._fail(walk, error)
        finally:
            lane.ended.set()

    def _work(self, lane: _Lane, walk: WorkspaceWalk) -> None:
        while (turn := walk.next_turn(lane.steps, lambda: self._is_wanted(lane))) is not None:
            walk.run(turn, lane.steps)

    def _is_wanted(self, lane: _Lane) -> bool:
        return self._living.index(lane) < self._lanes_wanted()

    def _leave(self, lane: _Lane, walk: WorkspaceWalk, error: NoConnectionError) -> None:
        with self._lock:
            self._living = [other for other in self._living if other is not lane]
            left = len(self._living)
        if left:
            text = f"{left} at a time from here on, one less than before: {error.message}"
            self._parts.report.warnings.append(text)
            self._parts.emit(Notice(text, "warning"))
        else:
            self._fail(walk, error)

    def _fail(self, walk: WorkspaceWalk, error: BaseException) -> None:
        with self._lock:
            self._error = self._error or error
        walk.halt()

    def _end_at_once(self, lanes: Sequence[_Lane]) -> None:
        """Cancel what lanes execute; end the sessions of those that do not come to an end by it.

        What a command does outside of the database cannot be ended: its thread ends with the program.
        """
        for lane in _until_ended(lanes, _CANCEL_SECONDS):
            with suppress(Exception):
                lane.steps.session.cancel()
        pids = [lane.steps.session.backend_pid for lane in lanes if not lane.ended.is_set()]
        with suppress(Exception):
            self._terminate([pid for pid in pids if pid is not None])
        for _ in _until_ended(lanes, _TERMINATE_SECONDS):
            pass


def _until_ended(lanes: Sequence[_Lane], seconds: float) -> Iterator[_Lane]:
    """Give the lanes that have not ended, again and again, for some time at most."""
    deadline = time.monotonic() + seconds
    while (busy := [lane for lane in lanes if not lane.ended.is_set()]) and time.monotonic() < deadline:
        yield from busy
        busy[0].ended.wait(_CANCEL_EVERY_SECONDS)
