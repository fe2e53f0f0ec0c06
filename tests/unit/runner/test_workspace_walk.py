"""Whose turn it is: fresh workspaces, those that a lane gave back, those that somebody else holds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import pytest

from tests.unit.runner.lanes import FakeLane, Stage, arguments, fake_steps
from upgrader.events import Waiting, WorkspaceFinished
from upgrader.history.run_lock import Holder
from upgrader.runner.parallel import ThreadedExecutor
from upgrader.runner.result import StepResult
from upgrader.runner.segment import SegmentExecutor, SequentialExecutor
from upgrader.runner.step_task import StepTask
from upgrader.runner.workspace_lock import WorkspaceBusy
from upgrader.runner.workspace_queue import Turn, WorkspaceQueue
from upgrader.sequence.plan import WorkspaceTask

STEPS = fake_steps("first", "second")


def ids(turns: list[Turn | None]) -> list[str | None]:
    return [turn.task.workspace_id if turn else None for turn in turns]


def test_turns_come_in_order_and_what_was_given_back_comes_next():
    """What is put off comes back only when it is released, in the order of the workspaces."""
    queue = WorkspaceQueue([WorkspaceTask(id_, tuple(STEPS)) for id_ in "abcd"])
    first, second = queue.take(), queue.take()
    assert first is not None
    assert second is not None
    queue.put_off(second)
    queue.put_off(first)
    assert (len(queue), queue.waiting_ids) == (4, {"a", "b"})
    third = queue.take()
    assert third is not None
    queue.put_back(third)
    assert ids([queue.take(), queue.take(), queue.take()]) == ["c", "d", None]
    queue.release(["b", "a", "x"])
    assert ids([queue.take(), queue.take(), queue.take()]) == ["a", "b", None]
    assert len(queue) == 0


def test_what_is_left_counts_the_steps_that_are_not_done():
    """Fresh ones, those given back half-way, and those put off."""
    queue = WorkspaceQueue([WorkspaceTask(id_, tuple(STEPS)) for id_ in "abc"])
    half, busy = queue.take(), queue.take()
    assert half is not None
    assert busy is not None
    half.steps_done = 1
    queue.put_back(half)
    queue.put_off(busy)
    assert sum(turn.steps_left for turn in queue.drain()) == 1 + 2 + 2
    assert len(queue) == 0


@pytest.mark.parametrize("lanes", [1, 3])
def test_a_workspace_that_is_held_comes_last_and_is_looked_at_anew(lanes: int):
    """It is tried again where it stood, once its holder is gone; meanwhile it is told who that is."""
    stage, held = Stage(), {"b": 2, "d": 3}  # how often somebody is found to hold them
    looks: list[frozenset[str]] = []
    ran: list[tuple[str, str, bool]] = []

    def find_holders(workspace_ids: Collection[str]) -> Mapping[str, Holder]:
        looks.append(frozenset(workspace_ids))
        found = {
            id_: Holder(7, "psql", None, None, None, None, None) for id_ in workspace_ids if held[id_] > 0
        }
        for id_ in found:
            held[id_] -= 1
        return found

    def command(task: StepTask) -> None:
        assert task.workspace is not None
        if task.step.name == "second" and held.get(task.workspace.id, 0) > 0:
            raise WorkspaceBusy
        ran.append((task.workspace.id, task.step.name, task.is_resumed))

    parts = replace(stage.parts, find_holders=find_holders)
    given = [FakeLane(command) for _ in range(lanes)]
    run: SegmentExecutor = SequentialExecutor(parts, steps=given[0])  # type: ignore[arg-type]  # a fake
    if lanes > 1:
        run = ThreadedExecutor(parts, lanes=given, terminate=lambda pids: None)  # type: ignore[arg-type]  # fakes

    assert run.run(*arguments(STEPS, *"abcde")) == set()

    assert len(ran) == len({pair[:2] for pair in ran}) == 10, "every step once"
    assert {pair[:2] for pair in ran if pair[2]} == {("b", "second"), ("d", "second")}
    assert looks[0] <= {"b", "d"}
    assert {event.reason for event in stage.sink.of(Waiting)} == {"workspace-lock"}
    assert "pid 7 (psql), which holds workspace" in stage.sink.of(Waiting)[0].message
    finished = [event.workspace.id for event in stage.sink.of(WorkspaceFinished)]
    assert set(finished[-2:]) == {"b", "d"}
    assert stage.report.completed == 10


def test_what_comes_next_is_told_before_a_step_is_completed():
    """Its own next step, then the first one of a workspace that is reserved for it; nothing after the last."""
    told: list[tuple[str, str, bool] | None] = []

    class Lane(FakeLane):
        def run(self, task: StepTask) -> StepResult:
            result = super().run(task)
            upcoming = task.then() if task.then is not None else None
            assert upcoming is None or upcoming.workspace is not None
            told.append(
                (upcoming.workspace.id, upcoming.step.name, upcoming.is_first)
                if upcoming is not None and upcoming.workspace is not None
                else None
            )
            return result

    stage = Stage()
    SequentialExecutor(stage.parts, steps=Lane(lambda _: None)).run(*arguments(STEPS, "a", "b"))
    assert told == [("a", "second", False), ("b", "first", True), ("b", "second", False), None]


@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("last_step", ["first", "second"])
def test_what_was_begun_ahead_is_taken_back_where_the_run_stops(lanes: int, last_step: str):
    """The workspace that was reserved counts as left, with all of its steps."""
    stage = Stage()

    def stop_at(task: StepTask) -> None:
        assert task.workspace is not None
        if (task.workspace.id, task.step.name) == ("a", last_step):
            stage.stop.request("SIGINT")

    class Lane(FakeLane):
        def run(self, task: StepTask) -> StepResult:
            result = super().run(task)  # the next one is known, and begun
            stop_at(task)
            return result

    runners = [Lane(lambda _: None) for _ in range(lanes)]
    executor: SegmentExecutor = (
        SequentialExecutor(stage.parts, steps=runners[0])
        if lanes == 1
        else ThreadedExecutor(stage.parts, lanes=runners, terminate=lambda _: None)
    )
    executor.run(*arguments(STEPS, *"abcdefgh"))
    done = sum(len(runner.ran) for runner in runners)
    assert stage.report.left == 2 * 8 - done
    assert [runner.session.ahead for runner in runners] == [None] * lanes


def test_a_step_that_was_made_ready_is_the_one_that_runs():
    """It is not put together again when its turn comes."""
    told: list[StepTask] = []
    ran: list[StepTask] = []

    class Lane(FakeLane):
        def run(self, task: StepTask) -> StepResult:
            ran.append(task)
            result = super().run(task)
            upcoming = task.then() if task.then is not None else None
            assert upcoming is None or upcoming is task.then(), "asked again, for another try"
            told.extend([upcoming] if upcoming is not None else [])
            return result

    SequentialExecutor(Stage().parts, steps=Lane(lambda _: None)).run(*arguments(STEPS, "a", "b"))
    assert len(ran) == 4
    assert all(one is other for one, other in zip(told, ran[1:], strict=True))


def test_what_was_made_ready_ends_where_the_workspace_comes_later():
    """Somebody else may have been at work on it meanwhile: what is known of it is put together anew."""
    queue = WorkspaceQueue([WorkspaceTask(id_, tuple(STEPS)) for id_ in "abc"])
    turns = [turn for turn in (queue.take(), queue.take(), queue.take()) if turn is not None]
    for turn in turns:
        turn.upcoming = StepTask(step=STEPS[0])
    queue.give_back(turns[0])
    queue.put_back(turns[1])
    queue.put_off(turns[2])
    assert [turn.upcoming for turn in turns] == [None, None, None]
    assert [turn.is_resumed for turn in turns] == [False, True, True]


def test_a_workspace_that_was_made_ready_and_is_held_is_looked_at_anew():
    """Its first step was put together as if nobody else were at work: not so the next time."""
    ran: list[tuple[str, bool]] = []
    held = {"b": 1}

    def command(task: StepTask) -> None:
        assert task.workspace is not None
        ran.append((task.workspace.id, task.is_resumed))
        if held.pop(task.workspace.id, 0):
            raise WorkspaceBusy

    run = SequentialExecutor(Stage().parts, steps=FakeLane(command))
    assert run.run(*arguments(STEPS[:1], "a", "b", "c")) == set()
    assert ran == [("a", False), ("b", False), ("c", False), ("b", True)]
