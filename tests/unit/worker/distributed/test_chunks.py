"""Chunks as they stand in the table, and their sizes."""

from __future__ import annotations

from tests.unit.cli.builders import workspace_step
from upgrader.model import Workspace
from upgrader.sequence.plan import WorkspaceTask
from upgrader.version import ReleaseVersion
from upgrader.worker.distributed.chunks import Chunk, ChunkTask, chunk_size

STEPS = (workspace_step("First"), workspace_step("Second", timestamp=2))


def test_a_chunk_is_read_as_it_was_written():
    """Workspaces with all that is known of them, their places, what was tried and who may have begun them."""
    first = ChunkTask(
        WorkspaceTask("ä", STEPS),
        Workspace("ä", "ws", 'A "name"', "ACTIVE"),
        7,
        frozenset({STEPS[0].name}),
        3,
    )
    second = ChunkTask(WorkspaceTask("b", STEPS[1:]), Workspace("b"), 9, is_resumed=True)
    chunk = Chunk(5, ReleaseVersion.parse("1.0.0"), 20, (first, second))

    read = Chunk.decode(5, chunk.encode(), {step.name: step for step in STEPS})

    assert read == chunk
    assert read.tasks == (first, second)
    assert chunk.encode().isascii(), "whatever the database's encoding is"
    assert read.progress("ä").was_tried(STEPS[0])
    assert not read.progress("ä").was_tried(STEPS[1])
    assert read.progress("ä").life == 3


def test_equal_steps_are_shared():
    """Thousands of workspaces with the same steps hold one tuple of them."""
    tasks = tuple(
        ChunkTask(WorkspaceTask(id_, STEPS), Workspace(id_), place) for place, id_ in enumerate("abc")
    )
    chunk = Chunk(1, ReleaseVersion.parse("1.0.0"), 3, tasks)
    read = Chunk.decode(1, chunk.encode(), {step.name: step for step in STEPS})
    assert len({id(one.task.steps) for one in read.tasks}) == 1


def test_chunks_shrink_towards_the_end():
    """Each is half of a lane's part of what is left, down to one; together they are all of them."""
    left, sizes = 1_000, []
    while left:
        sizes.append(chunk_size(left, lanes=4, per_second=10_000.0))
        left -= sizes[-1]
    assert sizes == sorted(sizes, reverse=True)
    assert (sizes[0], sizes[-1]) == (125, 1)
    assert sum(sizes) == 1_000


def test_no_chunk_takes_long():
    """About a second by what was seen until now; few at first, when nobody knows."""
    assert chunk_size(10_000, lanes=2, per_second=0.0) == 8
    assert chunk_size(10_000, lanes=2, per_second=30.0) == 30
    assert chunk_size(10_000, lanes=2, per_second=0.01) == 1
    assert chunk_size(100_000, lanes=2, per_second=10_000.0) == 250
    assert chunk_size(3, lanes=16, per_second=100.0) == 1
