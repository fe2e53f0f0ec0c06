"""The workspaces of one version on their way through their steps: what one lane and several have in common.

A lane is what takes one workspace after the other. Everything here may be called by several of them at a time;
with one there is nobody to wait for, and the lock costs next to nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from upgrader.errors import NoConnectionError
from upgrader.events import EventSink, SegmentStarted, Waiting, WorkspaceFinished
from upgrader.history.run_lock import Holder
from upgrader.model import AttemptStatus, Direction, FailureLimit, Progress, Scope, Workspace
from upgrader.runner.result import RunReport, StepResult
from upgrader.runner.step_runner import StepRunner
from upgrader.runner.step_task import LeftOut, StepTask
from upgrader.runner.stop import StopToken
from upgrader.runner.workspace_lock import WorkspaceBusy
from upgrader.runner.workspace_queue import Turn, WorkspaceQueue
from upgrader.sequence.plan import WorkspaceTask
from upgrader.version import ReleaseVersion

_REST_SECONDS = 0.1
_LOOK_SECONDS = 0.2
_EVENT_SECONDS = 1.0
_NAMED = 3


def _always() -> bool:
    return True


def _nobody(workspace_ids: Collection[str]) -> Mapping[str, Holder]:
    del workspace_ids
    return {}


@dataclass(frozen=True)
class SegmentParts:
    """What segments are walked with.

    Attributes:
        check_lock: raises RunSupersededError where the run lock is gone; asked before each step.
        limit: when a segment is ended early.
        find_holders: who holds the locks of these workspaces just now, by id.
    """

    report: RunReport
    emit: EventSink
    stop: StopToken
    check_lock: Callable[[], None]
    limit: FailureLimit
    direction: Direction = Direction.UP
    find_holders: Callable[[Collection[str]], Mapping[str, Holder]] = _nobody


@dataclass(frozen=True)
class SegmentPart:
    """Some of the workspaces of a segment.

    Attributes:
        places: of each in the segment, from 1.
        total: how many the segment has.
        resumed: the ids of those that somebody may have tried since they were surveyed.
    """

    places: Sequence[int]
    total: int
    resumed: Collection[str] = ()


class WorkspaceWalk:
    """One segment, from which lanes take turns until there are none left.

    Attributes:
        not_through: the ids of the workspaces that had their turn and did not get through.
    """

    def __init__(
        self,
        parts: SegmentParts,
        version: ReleaseVersion,
        tasks: Sequence[WorkspaceTask],
        workspaces: Mapping[str, Workspace],
        progress: Callable[[str], Progress],
        *,
        part: SegmentPart | None = None,
    ) -> None:
        """Begin the segment.

        Args:
            part: which part of a segment the tasks are, where somebody else has the others.
        """
        self._parts = parts
        self._version = version
        self._tasks = tasks
        self._workspaces = workspaces
        self._progress = progress
        self._queue = WorkspaceQueue(
            tasks, places=part.places if part else None, resumed=part.resumed if part else ()
        )
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._running = 0
        self._reserved: dict[StepRunner, Turn] = {}
        self._is_halted = self._is_closed = self._is_ending = False
        self._started = time.perf_counter()
        report = parts.report
        self._left_before = report.left
        self._known = report.mark()
        self._result = report.segment(version)
        self._total = part.total if part else len(tasks)
        self._result.total += len(tasks)
        self._next_look = self._told = 0.0
        self._waiting_since: float | None = None
        self.not_through: set[str] = set()
        parts.emit(SegmentStarted(version, self._total))

    def next_turn(self, steps: StepRunner, is_wanted: Callable[[], bool] = _always) -> Turn | None:
        """Give the next turn; waits while only others work, or somebody else is at work on all that is left.

        None where there is nothing more to begin.

        Args:
            steps: of the lane that asks.
            is_wanted: whether that lane is to work just now; else it rests.
        """
        while True:
            may_take = is_wanted()
            with self._lock:
                is_over = self._is_over(steps)
                reserved = self._reserved.get(steps)
                if reserved is not None and may_take and not is_over:
                    del self._reserved[steps]
                    return reserved
                self._unreserve(steps)
                steps.session.settle()  # what was begun for it; before anybody else can take it
                if is_over:
                    return None
                turn = self._queue.take() if may_take else None
                if turn is not None:
                    self._running += 1
                    return turn
                if not self._running and not len(self._queue):
                    return None
                waiting = self._queue.waiting_ids if may_take and self._may_look() else None
                if not waiting:
                    self._changed.wait(_REST_SECONDS)
            if waiting:
                self._look_for_holders(waiting)

    def run(self, turn: Turn, steps: StepRunner) -> None:
        """Take a workspace through the steps that it has before it.

        Raises:
            NoConnectionError: the lane has none any more; the turn is somebody else's again.
            RunError, HardStop: the run is over.
        """
        workspace = self._workspaces[turn.task.workspace_id]
        started = time.perf_counter()
        end: StepResult | None = None
        is_left_out = False
        try:
            steps.session.open_again()
            end = self._run_steps(turn, workspace, steps)
        except LeftOut:
            is_left_out = True
        except WorkspaceBusy:
            turn.seconds += time.perf_counter() - started
            self._end_turn(put_off=turn)
            return
        except NoConnectionError:
            turn.seconds += time.perf_counter() - started
            self._end_turn(put_back=turn, leaving=steps)
            raise
        except BaseException:
            self._end_turn(leaving=steps)
            raise
        turn.seconds += time.perf_counter() - started
        outcome = self._finish(workspace, end, is_left_out=is_left_out)
        error = end.error if end else None
        self._parts.emit(
            WorkspaceFinished(self._version, workspace, turn.index, self._total, outcome, turn.seconds, error)
        )

    def halt(self) -> None:
        """Let no lane begin anything more; steps in progress come to their end."""
        self._is_halted = True

    def begin_no_more(self) -> None:
        """Let no lane begin another workspace; those in progress come to their end."""
        self._is_ending = True

    def close(self, *, is_cut_off: bool = False) -> None:
        """Put into the report what shows only at the end, in the order in which one lane would have told it.

        Args:
            is_cut_off: what lanes that were left behind still come to is not told, and what was left is counted
                by whoever knows what was due.
        """
        with self._lock:
            self._is_closed = True
            self._parts.report.bring_into_order(
                self._known, self._tasks, is_down=self._parts.direction is Direction.DOWN
            )
            report = self._parts.report
            if is_cut_off:
                report.left = self._left_before
                return
            report.left += sum(turn.steps_left for turn in self._queue.drain())
        self._parts.emit(self._result.finished(time.perf_counter() - self._started))

    def _is_over(self, steps: StepRunner) -> bool:
        if self._is_halted or self._is_ending or self._parts.stop.requested:
            return True
        if not self._result.failed:
            return False
        left = len(self._queue) + (steps in self._reserved)
        return bool(left) and self._parts.report.ends_early(
            self._result, self._parts.limit, left_workspaces=left
        )

    def _run_steps(self, turn: Turn, workspace: Workspace, steps: StepRunner) -> StepResult | None:
        """Run the steps in order; give the one that did not get through, None if all did."""
        begins_with = turn.steps_done
        for number in range(begins_with, len(turn.task.steps)):
            if number and (self._is_halted or self._parts.stop.requested):
                with self._lock:
                    self._parts.report.left += turn.steps_left
                step = turn.task.steps[number]
                return StepResult(step, Scope(workspace.id), 0, AttemptStatus.INTERRUPTED, 0.0)
            self._parts.check_lock()
            task, turn.upcoming = turn.upcoming, None
            result = steps.run(task or self._task(turn, number, steps, is_first=number == begins_with))
            self._add(result)
            if not result.is_completed:
                return result
            turn.steps_done += 1
        return None

    def _task(self, turn: Turn, number: int, steps: StepRunner, *, is_first: bool) -> StepTask:
        workspace_id, step = turn.task.workspace_id, turn.task.steps[number]
        progress = self._progress(workspace_id)
        return StepTask(
            step=step,
            workspace=self._workspaces[workspace_id],
            index=turn.index,
            total=self._total,
            tried=progress.was_tried(step),
            life=progress.life,
            is_first=is_first,
            is_resumed=turn.is_resumed,
            direction=self._parts.direction,
            then=partial(self._upcoming, turn, number, steps),
        )

    def _upcoming(self, turn: Turn, number: int, steps: StepRunner) -> StepTask | None:
        """Give what the lane does after a step of its turn; a workspace of which it is the first step is reserved."""
        if number + 1 < len(turn.task.steps):
            following, number = turn, number + 1
        else:
            reserved = self._reserve(steps)
            if reserved is None:
                return None
            following, number = reserved, reserved.steps_done
        if following.upcoming is None:
            following.upcoming = self._task(following, number, steps, is_first=following is not turn)
        return following.upcoming

    def _reserve(self, steps: StepRunner) -> Turn | None:
        """Take the next turn for a lane that is about to end its own; nobody else takes it then."""
        with self._lock:
            reserved = self._reserved.get(steps)
            if reserved is None and not self._is_over(steps):
                reserved = self._queue.take()
                if reserved is not None:
                    self._running += 1
                    self._reserved[steps] = reserved
        return reserved

    def _unreserve(self, steps: StepRunner) -> None:
        """Give the turn back that was reserved for a lane; it is the next one that is taken."""
        reserved = self._reserved.pop(steps, None)
        if reserved is not None:
            self._running -= 1
            self._queue.give_back(reserved)

    def _add(self, result: StepResult) -> None:
        with self._lock:
            if not self._is_closed:
                self._parts.report.add(result)

    def _finish(self, workspace: Workspace, end: StepResult | None, *, is_left_out: bool) -> str:
        """Count a workspace that has come to its end, whatever end that was; its turn is over."""
        with self._lock:
            if is_left_out:
                outcome = "left-out"
                self._result.left_out += 1
            else:
                outcome = self._result.count(end)
            if outcome != "done":
                self.not_through.add(workspace.id)
            self._running -= 1
            if not self._running:
                self._changed.notify_all()
        return outcome

    def _end_turn(
        self,
        *,
        put_back: Turn | None = None,
        put_off: Turn | None = None,
        leaving: StepRunner | None = None,
    ) -> None:
        with self._lock:
            self._running -= 1
            if leaving is not None:
                self._unreserve(leaving)
            if put_back is not None:
                self._queue.put_back(put_back)
            if put_off is not None:
                self._queue.put_off(put_off)
            if not self._running or put_back is not None:
                self._changed.notify_all()

    def _may_look(self) -> bool:
        """Tell whether it is time for a look at who holds workspaces, and this lane's to do it."""
        now = time.monotonic()
        if now < self._next_look:
            return False
        self._next_look = now + _LOOK_SECONDS
        return True

    def _look_for_holders(self, waiting: Collection[str]) -> None:
        """Let workspaces that nobody holds any more come back; tell who holds the others."""
        holders = self._parts.find_holders(waiting)
        with self._lock:
            self._queue.release(id_ for id_ in waiting if id_ not in holders)
            self._changed.notify_all()
        now = time.monotonic()
        if not holders:
            self._waiting_since = None
            return
        self._waiting_since = self._waiting_since or now
        if now - self._told >= _EVENT_SECONDS:
            self._told = now
            text = _describe_holders(holders)
            self._parts.emit(Waiting("workspace-lock", text, now - self._waiting_since))


def _describe_holders(holders: Mapping[str, Holder]) -> str:
    named = [
        f"pid {holder.pid}{f' ({holder.application_name})' if holder.application_name else ''},"
        f" which holds workspace {id_}"
        for id_, holder in list(holders.items())[:_NAMED]
    ]
    more = f"; and {len(holders) - _NAMED} workspaces more" if len(holders) > _NAMED else ""
    return f"waiting for {'; '.join(named)}{more}"
