"""Whose turn it is: the workspaces of one version that have not begun, and those that come back."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from upgrader.runner.step_task import StepTask
from upgrader.sequence.plan import WorkspaceTask


@dataclass(slots=True, eq=False)
class Turn:
    """A workspace on its way through a segment; it may take more than one turn.

    Attributes:
        index: its place in the segment, from 1.
        steps_done: how many of its steps are behind it.
        seconds: how long its turns took until now.
        is_resumed: whether an earlier turn ended before its last step: somebody may have tried it since.
        upcoming: its next step, where a lane has made it ready; nothing to any other lane.
    """

    task: WorkspaceTask
    index: int
    steps_done: int = 0
    seconds: float = 0.0
    is_resumed: bool = False
    upcoming: StepTask | None = None

    @property
    def steps_left(self) -> int:
        """How many steps it has before it."""
        return len(self.task.steps) - self.steps_done


class WorkspaceQueue:
    """The turns of a segment in their order. Not locked: whoever shares it sees to that."""

    def __init__(
        self,
        tasks: Sequence[WorkspaceTask],
        *,
        places: Iterable[int] | None = None,
        resumed: Collection[str] = (),
    ) -> None:
        """Begin with all of them.

        Args:
            places: of each in its segment, where these are a part of one.
            resumed: the ids of workspaces that somebody may have tried since they were surveyed.
        """
        self._resumed = resumed
        self._fresh = zip(places, tasks, strict=True) if places is not None else enumerate(tasks, start=1)
        self._fresh_left = len(tasks)
        self._returned: deque[Turn] = deque()
        self._put_off: dict[str, Turn] = {}

    def take(self) -> Turn | None:
        """Give the next turn; None where there is none just now."""
        if self._returned:
            return self._returned.popleft()
        for index, task in self._fresh:
            self._fresh_left -= 1
            return Turn(task, index, is_resumed=task.workspace_id in self._resumed)
        return None

    def give_back(self, turn: Turn) -> None:
        """Let a turn that was taken and not begun come next."""
        turn.upcoming = None
        self._returned.appendleft(turn)

    def put_back(self, turn: Turn) -> None:
        """Let a turn that could not be taken come next."""
        turn.is_resumed, turn.upcoming = True, None
        self._returned.appendleft(turn)

    def put_off(self, turn: Turn) -> None:
        """Let a turn wait at the end, until it is released."""
        turn.is_resumed, turn.upcoming = True, None
        self._put_off[turn.task.workspace_id] = turn

    @property
    def waiting_ids(self) -> frozenset[str]:
        """The workspaces whose turns are put off."""
        return frozenset(self._put_off)

    def release(self, workspace_ids: Iterable[str]) -> None:
        """Let turns that were put off be taken again, in their order."""
        released = [self._put_off.pop(id_) for id_ in workspace_ids if id_ in self._put_off]
        self._returned.extend(sorted(released, key=lambda turn: turn.index))

    def __len__(self) -> int:
        return self._fresh_left + len(self._returned) + len(self._put_off)

    def drain(self) -> Iterator[Turn]:
        """Give all that is left; nothing is left after it."""
        self.release(self.waiting_ids)
        while (turn := self.take()) is not None:
            yield turn
