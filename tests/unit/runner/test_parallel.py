"""Several lanes on one segment: who takes what, who goes on when one ends, and what the report says."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator, Sequence

import pytest

from tests.support.server import wait_until
from tests.unit.runner.lanes import FakeLane, Stage, arguments, fake_steps
from upgrader.errors import ConnectionLostError, NoConnectionError, RunSupersededError
from upgrader.events import Notice, SegmentFinished, WorkspaceFinished
from upgrader.model import AttemptStatus, FailureLimit
from upgrader.runner.parallel import ThreadedExecutor
from upgrader.runner.segment import SequentialExecutor
from upgrader.runner.step_task import LeftOut, StepTask
from upgrader.runner.stop import HardStop

IDS = [f"w{number:02}" for number in range(20)]
STEPS = fake_steps("first", "second", "third")


def lanes(count: int, command=lambda task: None) -> list[FakeLane]:
    return [FakeLane(command) for _ in range(count)]


def executor(stage: Stage, given: list[FakeLane], **options) -> ThreadedExecutor:
    return ThreadedExecutor(stage.parts, lanes=given, terminate=lambda pids: None, **options)


def test_every_workspace_once_its_steps_in_order_on_one_lane():
    """What one lane begins it brings to an end; together they do everything once."""
    stage = Stage()
    together = threading.Barrier(4, timeout=60)

    def command(task: StepTask) -> None:
        if task.index <= 4 and task.is_first:
            together.wait()  # four are at work at a time, or nothing goes on

    given = lanes(4, command)
    assert executor(stage, given).run(*arguments(STEPS, *IDS)) == set()
    ran = [pair for lane in given for pair in lane.ran]
    assert sorted(ran) == [
        (id_, step.name) for id_ in IDS for step in sorted(STEPS, key=lambda one: one.name)
    ]
    for lane in given:
        assert len(lane.threads) == 1
        places = [(IDS.index(id_), [step.name for step in STEPS].index(name)) for id_, name in lane.ran]
        assert places == sorted(places), "in order, and a workspace wholly before the next"
    assert stage.report.completed == 60
    assert [segment.done for segment in stage.report.segments.values()] == [20]
    assert stage.checks == 60


def test_the_report_is_that_of_one_lane():
    """Whoever fails first: failures are told in the order of the workspaces, steps in theirs."""
    dice = random.Random(7)
    pauses = {id_: dice.random() / 500 for id_ in IDS}

    def command(task: StepTask) -> AttemptStatus | None:
        time.sleep(pauses[task.workspace.id])
        number = task.index
        if task.step.name == "second" and number % 3 == 0:
            return AttemptStatus.FAILED
        if task.step.name == "first" and number % 7 == 0:
            return AttemptStatus.SKIPPED
        if number % 8 == 0:
            raise LeftOut
        return None

    one, many = Stage(), Stage()
    alone = SequentialExecutor(one.parts, steps=FakeLane(command)).run(*arguments(STEPS, *IDS))
    assert executor(many, lanes(5, command)).run(*arguments(STEPS, *IDS)) == alone
    assert many.report.failures == one.report.failures
    assert many.report.skipped == one.report.skipped
    assert list(many.report.steps) == list(one.report.steps)
    assert many.report.segments == one.report.segments
    told = {event.workspace.id: event.result for event in many.sink.of(WorkspaceFinished)}
    assert told == {event.workspace.id: event.result for event in one.sink.of(WorkspaceFinished)}


def test_a_stop_finishes_the_steps_in_progress_and_counts_what_is_left():
    """Two lanes are in a step when the signal comes: those steps end, nothing else begins."""
    stage = Stage()
    inside = threading.Barrier(2, timeout=60, action=lambda: stage.stop.request("SIGTERM"))
    given = lanes(2, lambda task: inside.wait() and None)
    executor(stage, given).run(*arguments(STEPS, *IDS))
    assert sorted(pair for lane in given for pair in lane.ran) == [("w00", "first"), ("w01", "first")]
    assert stage.report.left == 20 * 3 - 2
    (finished,) = stage.sink.of(SegmentFinished)
    assert (finished.done, finished.failed) == (0, 0)


@pytest.mark.parametrize(("limit", "most"), [(FailureLimit(count=1), 4), (FailureLimit(percent=10), 6)])
def test_a_limit_of_failures_lets_nobody_begin_more(limit: FailureLimit, most: int):
    """What is in progress still ends, so a few more than the limit may fail; the report counts them."""
    stage = Stage(limit=limit)
    given = lanes(4, lambda task: AttemptStatus.FAILED)
    executor(stage, given).run(*arguments(STEPS, *IDS))
    early = stage.report.too_many_failures
    assert early is not None
    assert early.failed == len(stage.report.failures) <= most
    assert early.failed + early.left_workspaces == len(IDS)
    assert stage.report.left == 3 * early.left_workspaces


@pytest.mark.parametrize(
    "error", [ConnectionLostError("gone"), RunSupersededError(), ZeroDivisionError("a bug")]
)
def test_what_ends_a_lane_ends_the_run(error: Exception):
    """The others finish the step that they are in, and the run ends with that error."""
    stage = Stage()
    inside = threading.Barrier(3, timeout=60)

    def command(task: StepTask) -> None:
        inside.wait()
        if task.index == 2:
            raise error
        time.sleep(0.05)  # that the other one is through by then

    given = lanes(3, command)
    with pytest.raises(type(error)):
        executor(stage, given).run(*arguments(STEPS, *IDS))
    assert sorted(pair for lane in given for pair in lane.ran) == [("w00", "first"), ("w02", "first")]
    assert stage.report.completed == 2


def test_a_lane_without_a_connection_ends_and_its_workspace_is_taken_by_another():
    """It is said once; nothing is left undone."""
    stage = Stage()
    given = lanes(3, lambda task: wait_until(lambda: bool(stage.sink.of(Notice))))
    given[1].session.refuses = NoConnectionError("too many clients")
    assert executor(stage, given).run(*arguments(STEPS, *IDS)) == set()
    assert stage.report.completed == 60
    assert given[1].ran == []
    (notice,) = stage.sink.of(Notice)
    assert notice.message == "2 at a time from here on, one less than before: too many clients"
    assert stage.report.warnings == [notice.message]


def test_a_lane_that_loses_its_place_in_the_middle_hands_its_workspace_on():
    """Steps that are done are not done again; each that is left is looked up once more."""
    stage = Stage()
    lost: list[str] = []
    looked_up: list[tuple[str, str]] = []

    def command(task: StepTask) -> None:
        if task.is_resumed:
            looked_up.append((task.workspace.id, task.step.name))
        if task.step.name == "second" and not lost:
            lost.append(task.workspace.id)
            raise NoConnectionError("too many clients")

    given = lanes(2, command)
    assert executor(stage, given).run(*arguments(STEPS, *IDS)) == set()
    ran = [pair for lane in given for pair in lane.ran]
    assert len(ran) == len(set(ran)) == 60
    assert looked_up == [(lost[0], "second"), (lost[0], "third")]


def test_the_last_lane_without_a_connection_ends_the_run():
    """Exit 1, and the other lanes were told of before."""
    stage = Stage()
    given = lanes(2)
    for lane in given:
        lane.session.refuses = NoConnectionError("too many clients")
    with pytest.raises(NoConnectionError):
        executor(stage, given).run(*arguments(STEPS, *IDS))
    assert stage.report.completed == 0
    assert len(stage.sink.of(Notice)) == 1


def test_lanes_above_the_number_that_is_wanted_rest():
    """They begin when more are wanted, and end when nothing is left to do."""
    stage, wanted = Stage(), 1
    at_work: set[str] = set()

    def command(task: StepTask) -> None:
        nonlocal wanted
        at_work.add(threading.current_thread().name)
        if task.index <= 10:
            assert len(at_work) == 1
        if task.index == 10 and task.step.name == "third":
            wanted = 3
        if task.index > 10:
            wait_until(lambda: len(at_work) == 3)

    given = lanes(3, command)
    executor(stage, given, lanes_wanted=lambda: wanted).run(*arguments(STEPS, *IDS))
    assert stage.report.completed == 60
    assert len(at_work) == 3


def test_resting_lanes_take_the_place_of_one_that_ended():
    """One lane is wanted and the first has no connection: the next one works."""
    stage = Stage()
    given = lanes(3)
    given[0].session.refuses = NoConnectionError("too many clients")
    executor(stage, given, lanes_wanted=lambda: 1).run(*arguments(STEPS, *IDS))
    assert [len(lane.ran) for lane in given] == [0, 60, 0]


@pytest.fixture
def hard_stop_on_signal() -> Iterator[None]:
    """Let SIGUSR1 do what a second signal does to the thread that waits."""

    def handle(number: int, frame: object) -> None:
        raise HardStop

    before = signal.signal(signal.SIGUSR1, handle)
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.usefixtures("hard_stop_on_signal")
def test_a_second_signal_cancels_every_lane_and_ends_those_that_go_on():
    """Statements are cancelled; where that ends nothing the sessions are."""
    stage = Stage()
    released = threading.Event()
    terminated: list[int] = []
    inside = threading.Barrier(2, timeout=60, action=lambda: os.kill(os.getpid(), signal.SIGUSR1))

    def command(task: StepTask) -> None:
        inside.wait()
        released.wait(30)
        raise HardStop

    def terminate(pids: Sequence[int]) -> None:
        terminated.extend(pids)
        released.set()

    given = lanes(2, command)
    with pytest.raises(HardStop):
        ThreadedExecutor(stage.parts, lanes=given, terminate=terminate).run(*arguments(STEPS, *IDS))
    assert sorted(terminated) == sorted(lane.session.backend_pid for lane in given)
    assert all(lane.session.cancelled for lane in given)
    assert stage.report.completed == 0
    assert stage.report.left == 0, "whoever knows what was due counts it"
