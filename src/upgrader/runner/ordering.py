"""Largest first: the workspaces of a segment by the size of their schema.

Several lanes that take them by id may come to a large one last, and all but one of them then have nothing to do.
Taken largest first they end at about the same time: never later than four thirds of the best that there is
(Graham, 1969).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import overload

import psycopg

from upgrader.events import EventSink, Notice
from upgrader.model import Progress, Workspace
from upgrader.runner.result import RunReport
from upgrader.runner.segment import SegmentExecutor
from upgrader.sequence.plan import WorkspaceTask
from upgrader.version import ReleaseVersion

_UNKNOWN = -1


class LargestFirstExecutor:
    """Hands the tasks on in another order; what is of unknown size comes last, and equals stay in their order."""

    def __init__(
        self,
        executor: SegmentExecutor,
        *,
        sizes: Callable[[Sequence[str]], Mapping[str, int]],
        report: RunReport,
        emit: EventSink,
    ) -> None:
        """Take what runs them.

        Args:
            sizes: gives the sizes of schemas; without those that are not known.
        """
        self._executor = executor
        self._sizes = sizes
        self._report = report
        self._emit = emit
        self._was_told = False

    def run(
        self,
        version: ReleaseVersion,
        tasks: Sequence[WorkspaceTask],
        workspaces: Mapping[str, Workspace],
        progress: Callable[[str], Progress],
    ) -> set[str]:
        """Run the tasks, largest first; give the ids of the workspaces that did not get through."""
        schemas = [workspaces[task.workspace_id].schema for task in tasks]
        found = self._read([schema for schema in schemas if schema is not None])
        if found:
            sizes = [_UNKNOWN if schema is None else found.get(schema, _UNKNOWN) for schema in schemas]
            tasks = ReorderedTasks(tasks, largest_first(sizes))
        elif len(tasks) > 1:
            self._tell_that_nothing_is_known()
        return self._executor.run(version, tasks, workspaces, progress)

    def _read(self, schemas: Sequence[str]) -> Mapping[str, int]:
        try:
            return self._sizes(schemas) if schemas else {}
        except psycopg.Error:
            return {}  # the order is a convenience: whatever is wrong with the connection shows soon enough

    def _tell_that_nothing_is_known(self) -> None:
        if self._was_told:
            return
        self._was_told = True
        text = (
            "order largest-first: the size of no workspace is known (without schemas of their own there is none; "
            "ANALYZE makes those of tables known), so they are taken by id"
        )
        self._report.warnings.append(text)
        self._emit(Notice(text, "warning"))


def largest_first(sizes: Sequence[int]) -> list[int]:
    """Give the places of the sizes, from the largest to the smallest; equals in their order."""
    return sorted(range(len(sizes)), key=sizes.__getitem__, reverse=True)


class ReorderedTasks(Sequence[WorkspaceTask]):
    """Tasks in another order, made when they are asked for."""

    def __init__(self, tasks: Sequence[WorkspaceTask], places: Sequence[int]) -> None:
        self._tasks = tasks
        self._places = places

    @overload
    def __getitem__(self, index: int) -> WorkspaceTask: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[WorkspaceTask, ...]: ...
    def __getitem__(self, index: int | slice) -> WorkspaceTask | tuple[WorkspaceTask, ...]:
        """Give a task, or a tuple of some."""
        if isinstance(index, slice):
            return tuple(self._tasks[place] for place in self._places[index])
        return self._tasks[self._places[index]]

    def __len__(self) -> int:
        return len(self._places)
