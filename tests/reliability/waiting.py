"""A run that waits for the lock of another one, which is killed: it begins when nothing is left of that."""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg

from tests.reliability.boundaries import CONNECTED, CONTROL, LOCK, SIGKILL, Boundary, Kill
from tests.reliability.harness import RUN_SECONDS, Ended, Running
from tests.reliability.stage import Stage, check_ended, tune

_LEFT_BY_A_KILLED_RUN = "left by a killed run, to finish"
_WORTH_A_WORD = 0.7  # seconds since the kill: the delay, a poll for the lock, two for the fence


def kill_while_another_waits(stage: Stage, url: str, kill: Kill) -> tuple[Ended, Ended, bool]:
    """Kill a run for whose lock another one waits, which therefore begins within a fraction of a second.

    Returns:
        The killed run, the other one, and whether that had to wait for what the first one had left.
    """
    first = stage.launcher.start(url, *stage.arguments, kill=kill)
    wait_for_boundary(first, lambda boundary: boundary.role == CONTROL)
    second = stage.launcher.start(url, *stage.arguments, "--wait-lock", "60")
    wait_for_boundary(first, lambda boundary: boundary.is_kill)
    pids = [int(boundary.text) for boundary in first.boundaries if boundary.point == CONNECTED]
    last_seen = _watch(url, pids)
    tune(url, commit=0.0, index=0.0)
    killed, next_one = stage.launcher.wait(first), stage.launcher.wait(second)
    check_ended(killed, kill)
    check_ended(next_one, None)
    begun = [boundary.moment for boundary in next_one.boundaries if boundary.role == CONTROL]
    assert begun[0] > last_seen, "began while something was still at work for the killed run"
    assert killed.kill is not None
    has_waited = last_seen - killed.kill.moment > _WORTH_A_WORD
    if has_waited and _lost_its_lock(kill):
        assert _LEFT_BY_A_KILLED_RUN in next_one.stderr
    return killed, next_one, has_waited


def _lost_its_lock(kill: Kill) -> bool:
    return kill.how == SIGKILL or kill.target == LOCK


def _watch(url: str, pids: list[int]) -> float:
    """Give the moment at which one of these sessions was seen last."""
    last_seen = 0.0
    with psycopg.connect(url, autocommit=True) as connection:
        while True:
            asked = time.monotonic()
            if not connection.execute("select from pg_stat_activity where pid = any(%s)", [pids]).fetchall():
                return last_seen
            last_seen = asked
            time.sleep(0.005)


def wait_for_boundary(run: Running, is_it: Callable[[Boundary], bool]) -> None:
    """Wait until a run has come to a boundary."""
    give_up = time.monotonic() + RUN_SECONDS
    while not any(is_it(boundary) for boundary in run.boundaries):
        assert time.monotonic() < give_up, "the run did not come to the boundary"
        time.sleep(0.005)
