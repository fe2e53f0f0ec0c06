"""Some workspaces of a segment, as one lane of a worker takes them; and how many are given out at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from upgrader.model import Progress, Step, Workspace
from upgrader.sequence.plan import WorkspaceTask
from upgrader.version import ReleaseVersion

_FIRST = 8
_MOST = 250
_LONGEST_SECONDS = 1.0
# Of what is left each lane is given half of its part: those that are slower than the others have less in hand.
_SHARE = 2


@dataclass(frozen=True, slots=True)
class ChunkTask:
    """One workspace of a chunk.

    Attributes:
        place: in its segment, from 1.
        tried: the steps of which there may be an attempt already, by name.
        life: of the workspace's id.
        is_resumed: whether another worker may have begun it: what is done of it is looked for under its lock.
    """

    task: WorkspaceTask
    workspace: Workspace
    place: int
    tried: frozenset[str] = frozenset()
    life: int | None = None
    is_resumed: bool = False


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some workspaces of a segment.

    Attributes:
        number: in the run, from 1.
        total: how many workspaces the segment has.
    """

    number: int
    version: ReleaseVersion
    total: int
    tasks: tuple[ChunkTask, ...] = field(repr=False)

    @property
    def workspaces(self) -> Mapping[str, Workspace]:
        """The workspaces by id."""
        return {one.workspace.id: one.workspace for one in self.tasks}

    @property
    def progress(self) -> Callable[[str], Progress]:
        """Give what a walk asks about a workspace, by its id: what was tried, in which life."""
        tasks = {one.workspace.id: one for one in self.tasks}

        def progress(workspace_id: str) -> Progress:
            found = tasks[workspace_id]
            return Progress(completed=found.tried, life=found.life)

        return progress

    def encode(self) -> str:
        """Write it for the table."""
        steps: dict[str, int] = {}
        tasks = [_encoded(one, steps) for one in self.tasks]
        return json.dumps(
            {"version": self.version.text, "total": self.total, "steps": list(steps), "tasks": tasks}
        )

    @classmethod
    def decode(cls, number: int, text: str, steps: Mapping[str, Step]) -> Chunk:
        """Read it.

        Args:
            steps: those of this process, by name.
        """
        read = json.loads(text)
        known = [steps[name] for name in read["steps"]]
        shared: dict[tuple[int, ...], tuple[Step, ...]] = {}
        tasks = tuple(_decoded(one, known, shared) for one in read["tasks"])
        return cls(number, ReleaseVersion.parse(read["version"]), read["total"], tasks)


def _encoded(one: ChunkTask, steps: dict[str, int]) -> list[Any]:
    workspace = one.workspace
    return [
        workspace.id,
        workspace.schema,
        workspace.display_name,
        workspace.status,
        one.place,
        one.life,
        [steps.setdefault(step.name, len(steps)) for step in one.task.steps],
        sorted(one.tried),
        one.is_resumed,
    ]


def _decoded(
    one: list[Any], steps: Sequence[Step], shared: dict[tuple[int, ...], tuple[Step, ...]]
) -> ChunkTask:
    id_, schema, name, status, place, life, numbers, tried, is_resumed = one
    key = tuple(numbers)
    own = shared.get(key) or shared.setdefault(key, tuple(steps[number] for number in key))
    return ChunkTask(
        WorkspaceTask(id_, own),
        Workspace(id_, schema, name, status),
        place,
        frozenset(tried),
        life,
        is_resumed,
    )


def chunk_size(left: int, *, lanes: int, per_second: float) -> int:
    """Give how many workspaces the next chunk has: fewer and fewer, so that all lanes end together.

    Args:
        left: how many workspaces are in no chunk yet.
        lanes: how many work on them at a time.
        per_second: how many one lane does in a second, as far as was seen; 0.0: nobody knows yet.
    """
    share = -(-left // (_SHARE * max(1, lanes)))
    longest = max(1, int(per_second * _LONGEST_SECONDS)) if per_second else _FIRST
    return max(1, min(share, longest, _MOST, left))
