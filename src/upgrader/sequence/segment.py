"""The segment: the workspace steps of one version, workspace by workspace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, overload

from upgrader.sequence.plan import WorkspaceTask

if TYPE_CHECKING:
    from upgrader.model import Step
    from upgrader.sequence.roster import Key
    from upgrader.sequence.state import Member


class SegmentTasks(Sequence[WorkspaceTask]):
    """The tasks of a segment, made when they are asked for: a hundred thousand cost no more than one."""

    def __init__(self, members: Sequence[Member], *, steps: Mapping[Key, tuple[Step, ...]]) -> None:
        self._members = members
        self._steps = steps

    @overload
    def __getitem__(self, index: int) -> WorkspaceTask: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[WorkspaceTask, ...]: ...
    def __getitem__(self, index: int | slice) -> WorkspaceTask | tuple[WorkspaceTask, ...]:
        """Give a task, or a tuple of some."""
        if isinstance(index, slice):
            return tuple(self._task(member) for member in self._members[index])
        return self._task(self._members[index])

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[WorkspaceTask]:
        return map(self._task, self._members)

    def __eq__(self, other: object) -> bool:
        """Compare task by task with any sequence of tasks."""
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # as a list: it compares by value

    def __repr__(self) -> str:
        return f"SegmentTasks({list(self[:3])!r}{', …' if len(self) > 3 else ''})"

    def _task(self, member: Member) -> WorkspaceTask:
        return WorkspaceTask(member.workspace_id, self._steps[id(member.progress)])
