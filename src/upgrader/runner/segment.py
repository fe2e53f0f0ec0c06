"""Walks the workspaces of a version: what every executor does, and the one that takes them one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from upgrader.model import Progress, Workspace
from upgrader.runner.step_runner import StepRunner
from upgrader.runner.workspace_walk import SegmentParts, WorkspaceWalk
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
    """One workspace at a time, on one connection, without a thread."""

    def __init__(self, parts: SegmentParts, *, steps: StepRunner) -> None:
        """Take the parts."""
        self._parts = parts
        self._steps = steps

    def run(
        self,
        version: ReleaseVersion,
        tasks: Sequence[WorkspaceTask],
        workspaces: Mapping[str, Workspace],
        progress: Callable[[str], Progress],
    ) -> set[str]:
        """Run the tasks in order; give the ids of the workspaces that did not get through."""
        walk = WorkspaceWalk(self._parts, version, tasks, workspaces, progress)
        while (turn := walk.next_turn(self._steps)) is not None:
            walk.run(turn, self._steps)
        walk.close()
        return walk.not_through
