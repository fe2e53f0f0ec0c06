"""What became of the workspaces of one segment: told by workers, written into the report as lanes would have."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from upgrader.events import SegmentStarted, StepFinished, StepStarted, WorkspaceFinished
from upgrader.model import AttemptStatus, Progress, Scope, Step, Workspace
from upgrader.runner.result import StepResult
from upgrader.runner.workspace_walk import SegmentParts
from upgrader.sequence.plan import WorkspaceTask
from upgrader.version import ReleaseVersion
from upgrader.worker.distributed.chunks import ChunkTask
from upgrader.worker.distributed.messages import WorkspaceResult


@dataclass(slots=True, eq=False)
class _Due:
    """A workspace that has not come to its end.

    Attributes:
        place: in the segment, from 1.
        steps_done: how many of its steps are behind it, as far as that was told.
        has_begun: whether a worker may have been at it: its state is to be read anew.
        losses: how often whoever worked on it was lost meanwhile.
        seconds: that earlier turns took.
    """

    task: WorkspaceTask
    place: int
    steps_done: int = 0
    has_begun: bool = False
    losses: int = 0
    seconds: float = 0.0

    @property
    def steps_left(self) -> int:
        return len(self.task.steps) - self.steps_done


class SegmentLedger:
    """The workspaces of one segment that are due, and the counts of those that are through.

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
    ) -> None:
        """Begin the segment."""
        self._parts = parts
        self.version = version
        self._tasks = tasks
        self._workspaces = workspaces
        self._progress = progress
        self.total = len(tasks)
        self._due = {task.workspace_id: _Due(task, place) for place, task in enumerate(tasks, start=1)}
        self._begun: set[tuple[str, str]] = set()
        self._started = time.perf_counter()
        self._left_before = parts.report.left
        self._known = parts.report.mark()
        self._result = parts.report.segment(version)
        self._result.total += self.total
        self.not_through: set[str] = set()
        parts.emit(SegmentStarted(version, self.total))

    @property
    def due_ids(self) -> Collection[str]:
        """The workspaces that have not come to their end, in order."""
        return self._due.keys()

    @property
    def is_over_early(self) -> bool:
        """Whether there were too many failures to go on; the report has it then."""
        if not self._result.failed or not self._due:
            return False
        return self._parts.report.ends_early(self._result, self._parts.limit, left_workspaces=len(self._due))

    def chunk_task(self, workspace_id: str) -> ChunkTask:
        """Give what a worker has to know of a workspace that is due."""
        due = self._due[workspace_id]
        steps, progress = due.task.steps[due.steps_done :], self._progress(workspace_id)
        tried = frozenset(step.name for step in steps if due.has_begun or progress.was_tried(step))
        task = WorkspaceTask(workspace_id, steps) if due.steps_done else due.task
        return ChunkTask(task, self._workspaces[workspace_id], due.place, tried, progress.life, due.has_begun)

    def note_begun(self, workspace_id: str, step: Step, attempt: int) -> None:
        """Tell of a step that has been at work for a while."""
        if workspace_id in self._due and (workspace_id, step.name) not in self._begun:
            self._begun.add((workspace_id, step.name))
            self._parts.emit(StepStarted(step, Scope(workspace_id), attempt))

    def take_back(self, workspace_ids: Collection[str]) -> list[str]:
        """Give those of a chunk that have not come to their end: somebody may have begun them."""
        left = [workspace_id for workspace_id in workspace_ids if workspace_id in self._due]
        for workspace_id in left:
            self._due[workspace_id].has_begun = True
        return left

    def note_loss(self, workspace_id: str) -> int:
        """Count that whoever worked on a workspace was lost; give how often that happened."""
        self._due[workspace_id].losses += 1
        return self._due[workspace_id].losses

    def add(self, result: WorkspaceResult) -> bool:
        """Count what a worker came to with a workspace; False where it is through already."""
        due = self._due.get(result.workspace_id)
        if due is None:
            return False
        for attempt in result.steps:
            self._add_step(due, attempt)
        due.seconds += result.seconds
        is_stopped = result.end == "interrupted" and not self._parts.stop.requested
        if result.end is None or is_stopped:  # its worker leaves, the run goes on
            return True
        self._end(due, result)
        return True

    def _add_step(self, due: _Due, attempt: StepResult) -> None:
        if attempt.status is AttemptStatus.INTERRUPTED and not self._parts.stop.requested:
            return
        id_, step = due.task.workspace_id, attempt.step
        if (id_, step.name) in self._begun:
            self._begun.discard((id_, step.name))
        else:
            self._parts.emit(StepStarted(step, attempt.scope, attempt.attempt))
        self._parts.report.add(attempt)
        due.steps_done += attempt.is_completed
        self._parts.emit(
            StepFinished(step, attempt.scope, attempt.attempt, attempt.status, attempt.seconds, attempt.error)
        )

    def _end(self, due: _Due, result: WorkspaceResult) -> None:
        id_ = due.task.workspace_id
        del self._due[id_]
        counts = self._result
        match result.end:
            case "done":
                counts.done += 1
            case "left-out":
                counts.left_out += 1
            case "failed":
                counts.failed += 1
            case "skipped":
                counts.skipped += 1
            case _ if not any(one.status is AttemptStatus.INTERRUPTED for one in result.steps):
                self._parts.report.left += due.steps_left  # it was not in the middle of one
        if result.end != "done":
            self.not_through.add(id_)
        self._parts.emit(
            WorkspaceFinished(
                self.version,
                self._workspaces[id_],
                due.place,
                self.total,
                result.end or "interrupted",
                due.seconds,
                result.error,
            )
        )

    def close(self, *, is_cut_off: bool = False) -> None:
        """Put into the report what shows only at the end.

        Args:
            is_cut_off: what was left is counted by whoever knows what was due.
        """
        report = self._parts.report
        report.bring_into_order(self._known, self._tasks)
        if is_cut_off:
            report.left = self._left_before
            return
        report.left += sum(due.steps_left for due in self._due.values())
        self._parts.emit(self._result.finished(time.perf_counter() - self._started))
