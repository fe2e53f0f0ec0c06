"""Walks the workspaces of a version, one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from upgrader.events import EventSink, SegmentStarted, WorkspaceFinished
from upgrader.model import AttemptStatus, Direction, FailureLimit, Progress, Scope, Workspace
from upgrader.runner.execution import LeftOut, StepTask
from upgrader.runner.result import RunReport, StepResult
from upgrader.runner.step_runner import StepRunner
from upgrader.runner.stop import StopToken
from upgrader.sequence.plan import WorkspaceTask
from upgrader.version import ReleaseVersion


class SegmentExecutor(Protocol):
    """Takes the workspaces of one version through their steps."""

    def run(
        self,
        version: ReleaseVersion,
        tasks: Sequence[WorkspaceTask],
        workspaces: Mapping[str, Workspace],
        progress: Callable[[str], Progress],
    ) -> set[str]:
        """Run the tasks in order; give the ids of the workspaces that did not get through.

        Args:
            progress: how far a workspace is, by id.
        """


class SequentialExecutor:
    """One workspace at a time, on one connection."""

    def __init__(
        self,
        *,
        steps: StepRunner,
        report: RunReport,
        emit: EventSink,
        stop: StopToken,
        check_lock: Callable[[], None],
        limit: FailureLimit,
        direction: Direction = Direction.UP,
    ) -> None:
        """Take the parts."""
        self._direction = direction
        self._steps = steps
        self._report = report
        self._emit = emit
        self._stop = stop
        self._check_lock = check_lock
        self._limit = limit

    def run(
        self,
        version: ReleaseVersion,
        tasks: Sequence[WorkspaceTask],
        workspaces: Mapping[str, Workspace],
        progress: Callable[[str], Progress],
    ) -> set[str]:
        """Run the tasks in order; give the ids of the workspaces that did not get through."""
        started = time.perf_counter()
        result = self._report.segment(version)
        result.total += len(tasks)
        self._emit(SegmentStarted(version, len(tasks)))
        not_through: set[str] = set()
        for index, task in enumerate(tasks, start=1):
            left = len(tasks) - index + 1
            if self._stop.requested or self._report.ends_early(result, self._limit, left_workspaces=left):
                self._report.left += sum(len(rest.steps) for rest in tasks[index - 1 :])
                break
            workspace = workspaces[task.workspace_id]
            if not self._run_workspace(version, task, workspace, index, len(tasks), progress(workspace.id)):
                not_through.add(workspace.id)
        self._emit(result.finished(time.perf_counter() - started))
        return not_through

    def _run_workspace(
        self,
        version: ReleaseVersion,
        task: WorkspaceTask,
        workspace: Workspace,
        index: int,
        total: int,
        progress: Progress,
    ) -> bool:
        started = time.perf_counter()
        segment = self._report.segment(version)
        outcome, error = "done", None
        try:
            end = self._run_steps(task, workspace, index, total, progress)
        except LeftOut:
            outcome = "left-out"
            segment.left_out += 1
        else:
            outcome, error = segment.count(end), end.error if end else None
        seconds = time.perf_counter() - started
        self._emit(WorkspaceFinished(version, workspace, index, total, outcome, seconds, error))
        return outcome == "done"

    def _run_steps(
        self, task: WorkspaceTask, workspace: Workspace, index: int, total: int, progress: Progress
    ) -> StepResult | None:
        """Run the steps in order; give the one that did not get through, None if all did."""
        for number, step in enumerate(task.steps):
            if number and self._stop.requested:
                self._report.left += len(task.steps) - number
                return StepResult(step, Scope(workspace.id), 0, AttemptStatus.INTERRUPTED, 0.0)
            self._check_lock()
            result = self._steps.run(
                StepTask(
                    step=step,
                    workspace=workspace,
                    index=index,
                    total=total,
                    tried=progress.was_tried(step),
                    life=progress.life,
                    is_first=number == 0,
                    direction=self._direction,
                )
            )
            self._report.add(result)
            if not result.is_completed:
                return result
        return None
