"""Upgrades that are started at the same moment: one runs, the others say so or wait."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

from tests.reliability.stage import UPGRADE, Stage

_HEAD_START = 0.15  # for the forks: all begin at one moment after it


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Two and four upgrades in turn, with and without waiting."""
    option = metafunc.config.getoption("--at-once", default=None)
    times = option or int(os.environ.get("UPGRADER_TEST_AT_ONCE", "20"))
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
    try:
        _start_together(stage, count, waits=waits)
    except BaseException:
        note(kind="at-once", count=count, waits=waits, failed=True)
        raise
    note(kind="at-once", count=count, waits=waits)


def _start_together(stage: Stage, count: int, *, waits: bool) -> None:
    arguments = (*UPGRADE, "--wait-lock", "60") if waits else UPGRADE
    with stage.database(batch=0.1) as url:
        begin_at = time.monotonic() + _HEAD_START
        started = [stage.launcher.start(url, *arguments, begin_at=begin_at) for _ in range(count)]
        ended = [stage.launcher.wait(run) for run in started]
        stage.check_end(url)
    codes = sorted(run.code if run.code is not None else -1 for run in ended)
    assert codes == ([0] * count if waits else [0] + [3] * (count - 1)), ended
    completing = [
        run for run in ended if any("complete_step" in boundary.text for boundary in run.boundaries)
    ]
    assert len(completing) == 1
    for run in ended:
        if run.code == 3:
            assert "error: another upgrade is running: database session pid " in run.stderr
            assert "hint: wait for it (--wait-lock SECONDS)" in run.stderr
