"""Largest first: what it does to the time that a segment takes, and what it does where nothing is known."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.cli.builders import workspace_step
from upgrader.events import Event, Notice
from upgrader.model import Progress, Workspace
from upgrader.runner.ordering import LargestFirstExecutor, largest_first
from upgrader.runner.result import RunReport
from upgrader.sequence.plan import WorkspaceTask
from upgrader.version import ReleaseVersion

V1 = ReleaseVersion.parse("1.0.0")


def finish(works: Sequence[float], lanes: int) -> float:
    """Give when lanes that take one work after the other are all through."""
    free = [0.0] * lanes
    for work in works:
        heapq.heappush(free, heapq.heappop(free) + work)
    return max(free)


def bound(works: Sequence[float], lanes: int) -> float:
    """Give the least time that it could take."""
    return max(sum(works) / lanes, *works)


def ordered(works: Sequence[float]) -> list[float]:
    return [works[place] for place in largest_first([round(1_000 * work) for work in works])]


def test_skewed_tenants_end_together_where_the_largest_begin() -> None:
    """A few large tenants among many small ones (Zipf), the largest last by id: 1.2 times the least at most."""
    for lanes in (2, 4, 8):
        works = [1_000 / rank for rank in range(1, 245)][::-1]
        assert finish(ordered(works), lanes) <= 1.2 * bound(works, lanes)
    assert finish(works, 4) > 1.2 * bound(works, 4), "by id it is later"


def test_sizes_that_are_only_about_right_are_good_enough() -> None:
    """The work is what the statistics say within a half: still not later than 1.2 times the least."""
    dice = random.Random(1)
    works = [1_000 / rank for rank in range(1, 245)]
    said = [work * dice.uniform(0.67, 1.5) for work in works]
    in_order = [works[place] for place in largest_first([round(1_000 * size) for size in said])]
    assert finish(in_order, 4) <= 1.2 * bound(works, 4)


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=60), st.integers(1, 8))
def test_it_is_never_later_than_four_thirds_of_the_best(works: list[int], lanes: int) -> None:
    """Graham's bound, here against the sum and the two that must share a lane: whatever the sizes are."""
    in_order = [works[place] for place in largest_first(works)]
    pair = in_order[lanes - 1] + in_order[lanes] if len(works) > lanes else 0
    assert finish(in_order, lanes) <= (4 / 3) * max(bound(works, lanes), pair) + 1e-6


class Recorder:
    """An executor that keeps the order in which it was given tasks."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.sliced: list[str] = []

    def run(
        self,
        version: ReleaseVersion,
        tasks: Sequence[WorkspaceTask],
        workspaces: Mapping[str, Workspace],
        progress: Callable[[str], Progress],
    ) -> set[str]:
        del version, workspaces, progress
        self.ids = [tasks[place].workspace_id for place in range(len(tasks))]
        self.sliced = [task.workspace_id for task in tasks[1:]]
        return {"b"}


def run(
    schemas: Mapping[str, str | None], sizes: Mapping[str, int]
) -> tuple[Recorder, list[Event], RunReport]:
    """Run a segment twice; give what was run in which order, and what was told."""
    recorder, seen = Recorder(), list[Event]()
    report = RunReport("f00", "db", "1.0.0", False, datetime(2026, 1, 1, tzinfo=UTC))
    executor = LargestFirstExecutor(
        recorder,
        sizes=lambda asked: {schema: sizes[schema] for schema in asked if schema in sizes},
        report=report,
        emit=seen.append,
    )
    tasks = [WorkspaceTask(id_, (workspace_step(),)) for id_ in schemas]
    workspaces = {id_: Workspace(id_, schema=schema) for id_, schema in schemas.items()}
    for _ in range(2):
        assert executor.run(V1, tasks, workspaces, lambda _: Progress()) == {"b"}
    return recorder, seen, report


def test_unknown_sizes_come_last_and_equals_stay_in_their_order() -> None:
    """Of five workspaces one has no schema, one was never analysed, two are equal."""
    schemas = {"a": "s_a", "b": None, "c": "s_c", "d": "s_d", "e": "s_e"}
    recorder, seen, _ = run(schemas, {"s_c": 10, "s_d": 700, "s_e": 10})
    assert recorder.ids == ["d", "c", "e", "a", "b"]
    assert recorder.sliced == ["c", "e", "a", "b"]
    assert seen == []


def test_where_nothing_is_known_they_go_by_id_and_that_is_said_once() -> None:
    """Workspaces without schemas, or none that was analysed."""
    recorder, seen, report = run({"a": None, "b": "s_b"}, {})
    assert recorder.ids == ["a", "b"]
    assert [type(event) for event in seen] == [Notice]
    assert len(report.warnings) == 1


def test_one_workspace_has_no_order() -> None:
    """Nothing is told where there is nothing to choose."""
    assert run({"a": None}, {})[1] == []
