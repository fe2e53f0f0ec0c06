"""Whose turn it is: the workspaces of one version that have not begun, and those that come back."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from upgrader.sequence.plan import WorkspaceTask


@dataclass(slots=True, eq=False)
class Turn:
    """A workspace on its way through a segment; it may take more than one turn.

    Attributes:
        index: its place in the segment, from 1.
        steps_done: how many of its steps are behind it.
        seconds: how long its turns took until now.
        is_resumed: whether an earlier turn ended at a step that may have an attempt since.
    """

    task: WorkspaceTask
    index: int
    steps_done: int = 0
    seconds: float = 0.0
    is_resumed: bool = False

    @property
    def steps_left(self) -> int:
        """How many steps it has before it."""
        return len(self.task.steps) - self.steps_done


class WorkspaceQueue:
    """The turns of a segment in their order. Not locked: whoever shares it sees to that."""

    def __init__(self, tasks: Sequence[WorkspaceTask]) -> None:
        """Begin with all of them."""
        self._fresh = iter(enumerate(tasks, start=1))
        self._fresh_left = len(tasks)
        self._returned: deque[Turn] = deque()

    def take(self) -> Turn | None:
        """Give the next turn; None where there is none just now."""
        if self._returned:
            return self._returned.popleft()
        for index, task in self._fresh:
            self._fresh_left -= 1
            return Turn(task, index)
        return None

    def put_back(self, turn: Turn) -> None:
        """Let a turn that could not be taken come next."""
        turn.is_resumed = True
        self._returned.appendleft(turn)

    def __len__(self) -> int:
        return self._fresh_left + len(self._returned)

    def drain(self) -> Iterator[Turn]:
        """Give all that is left; nothing is left after it."""
        while (turn := self.take()) is not None:
            yield turn
