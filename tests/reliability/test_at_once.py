"""Upgrades that are started at the same moment: one runs, the others say so or wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.reliability.boundaries import COMMAND, CONTROL
from tests.reliability.harness import Ended
from tests.reliability.options import number_of
from tests.reliability.stage import Stage

_HEAD_START = 0.15  # for the forks: all begin at one moment after it


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Two and four upgrades in turn, with and without waiting; and two that wait, with several lanes each."""
    if metafunc.function is test_two_with_lanes_wait_for_each_other:
        times = number_of(metafunc.config, "--at-once-lanes", 4)
        metafunc.parametrize("number", range(times))
        return
    times = number_of(metafunc.config, "--at-once", 20)
    cases = [(number, 2 + 2 * (number % 2), bool(number // 2 % 2)) for number in range(times)]
    metafunc.parametrize(
        ("number", "count", "waits"),
        cases,
        ids=[f"{number}-{count}-{'waiting' if waits else 'leaving'}" for number, count, waits in cases],
    )


def test_one_runs_and_the_others_do_not(
    number: int, count: int, waits: bool, stage: Stage, note: Callable[..., None]
) -> None:
    """Every step is completed once; the others exit 3 naming the holder, or wait and find nothing to do."""
    with _noted(note, count=count, waits=waits, lanes=1):
        _start_together(stage, count, waits=waits)


def test_two_with_lanes_wait_for_each_other(number: int, lanes: Stage, note: Callable[..., None]) -> None:
    """Of two runs with several lanes each, the second begins when no lane of the first is at work any more."""
    with _noted(note, count=2, waits=True, lanes=4):
        first, second = _start_together(lanes, 2, waits=True)
        of_commands = [boundary.moment for boundary in first.boundaries if boundary.role == COMMAND]
        begun = [boundary.moment for boundary in second.boundaries if boundary.role == CONTROL]
        assert begun[0] > max(of_commands)


def _moments_of_commands(run: Ended) -> list[float]:
    return [boundary.moment for boundary in run.boundaries if "complete_step" in boundary.text]


@contextmanager
def _noted(note: Callable[..., None], **values: object) -> Iterator[None]:
    try:
        yield
    except BaseException:
        note(kind="at-once", failed=True, **values)
        raise
    note(kind="at-once", **values)


def _start_together(stage: Stage, count: int, *, waits: bool) -> list[Ended]:
    """Start runs at one moment, and check how they ended.

    Returns:
        The runs; the one that did the work comes first.
    """
    arguments = (*stage.arguments, "--wait-lock", "60") if waits else stage.arguments
    with stage.database(batch=0.1) as url:
        begin_at = time.monotonic() + _HEAD_START
        started = [stage.launcher.start(url, *arguments, begin_at=begin_at) for _ in range(count)]
        ended = [stage.launcher.wait(run) for run in started]
        stage.check_end(url)
    codes = sorted(run.code if run.code is not None else -1 for run in ended)
    assert codes == ([0] * count if waits else [0] + [3] * (count - 1)), ended
    ended.sort(key=lambda run: not _moments_of_commands(run))
    assert [bool(_moments_of_commands(run)) for run in ended] == [True] + [False] * (count - 1)
    for run in ended:
        if run.code == 3:
            assert "error: another upgrade is running: database session pid " in run.stderr
            assert "hint: wait for it (--wait-lock SECONDS)" in run.stderr
    return ended
