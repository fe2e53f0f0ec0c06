"""A hundred thousand workspaces share a handful of progresses."""

import time
import tracemalloc

import pytest

from tests.unit.sequence.builders import done, options, seq
from upgrader.sequence.plan import Plan
from upgrader.sequence.planner import make_plan
from upgrader.sequence.sequence import StepSequence
from upgrader.sequence.state import DatabaseState, Member

COUNT = 100_000
SEQUENCE = seq(" | ".join(f"1.{n}.0 f{4 * n + 1} s{4 * n + 2} w{4 * n + 3} w{4 * n + 4}" for n in range(20)))


def large_database(sequence: StepSequence) -> DatabaseState:
    shared = [done(sequence), done(sequence, "w3"), done(sequence, "w3 w4")]
    members = [Member(f"{number:06}", shared[number % 3], "ACTIVE") for number in range(COUNT)]
    return DatabaseState(done(sequence), members)


@pytest.mark.parametrize(
    "asked",
    [
        {"include_slow": True},
        {"defer_slow": True},
        {"limit": COUNT // 2},
        {"attempted": [f"{number:06}" for number in range(0, COUNT, 2)], "under_way": True},
    ],
    ids=["all", "deferred", "filtered", "attempted"],
)
def test_a_plan_for_many_workspaces_is_made_quickly(asked: dict[str, object]) -> None:
    """About 0.1 s of CPU; work per workspace and step would be tens of seconds."""
    state = large_database(SEQUENCE)
    wanted = options(**asked)  # type: ignore[arg-type]  # by name
    started = time.process_time()
    made = make_plan(SEQUENCE, state, wanted)
    assert time.process_time() - started < 3.0
    assert isinstance(made, Plan)
    assert not made.is_empty


def test_tasks_cost_no_memory_until_they_are_asked_for() -> None:
    """Twenty versions of a hundred thousand tasks, in a few megabytes."""
    state = large_database(SEQUENCE)
    tracemalloc.start()
    made = make_plan(SEQUENCE, state, options(include_slow=True))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000_000
    assert [len(one.tasks) for one in made.versions] == [2 * COUNT // 3 + 1, *[COUNT] * 19]
