"""Runs that are killed, and run again until they are through: nothing is lost and nothing happens twice."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress

import psycopg
import pytest

from tests.reliability.boundaries import (
    COMMAND,
    CONTROL,
    LOCK,
    OWN,
    SIGKILL,
    TERMINATE,
    Kill,
    kind_of,
)
from tests.reliability.cases import BOUNDARIES, MOMENTS, Case, spread
from tests.reliability.harness import Ended
from tests.reliability.stage import UPGRADE, Stage, check_terminated

_TARGETS = (OWN, OWN, OWN, LOCK, LOCK, CONTROL, COMMAND)
_AGAIN = 0.3
_SESSIONS = """
select pid from pg_stat_activity where datname = current_database() and application_name like 'upgrader/%'
"""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test for each kill."""
    spread(metafunc, MOMENTS if metafunc.function is test_killed_at_a_moment else BOUNDARIES)


def test_killed_at_a_boundary(case: Case, stage: Stage, note: Callable[..., None]) -> None:
    """A run that is ended at any boundary is taken up where it was."""
    chance = case.random()
    at = case.boundary(len(stage.boundaries))
    kills = [Kill(case.how, at, chance.choice(_TARGETS))]
    while chance.random() < _AGAIN:
        kills.append(Kill(chance.choice((SIGKILL, TERMINATE)), chance.randint(1, len(stage.boundaries)), OWN))
    runs: list[Ended] = []
    try:
        with stage.database() as url:
            runs = stage.finish(url, kills)
        assert runs[0].kill is not None, f"boundary {at} was not reached"
    except BaseException:
        case.tell(BOUNDARIES, kills)
        note(kind="boundary", how=case.how, failed=True)
        raise
    first = runs[0].kill
    note(
        kind="boundary",
        how=case.how,
        point=first.point,
        target=kills[0].target if kills[0].target != OWN else first.role,
        message=kind_of(first),
        at=at,
        of=len(stage.boundaries),
        kills=sum(run.kill is not None for run in runs),
        runs=len(runs),
        codes=[run.code for run in runs],
    )


def test_killed_at_a_moment(case: Case, stage: Stage, note: Callable[..., None]) -> None:
    """A run that is ended at a random moment, from another process, is taken up where it was."""
    chance = case.random()
    delay = stage.seconds * (case.number + chance.random()) / case.count
    try:
        with stage.database() as url:
            run = stage.launcher.start(url, *UPGRADE)
            time.sleep(delay)
            is_killed = _kill_from_outside(case.how, run.pid, url, chance)
            ended = stage.launcher.wait(run)
            if case.how == TERMINATE:
                check_terminated(ended)
            else:
                assert ended.code in (-9, 0), ended
            runs = stage.finish(url, [])
    except BaseException:
        case.tell(MOMENTS, delay)
        note(kind="moment", how=case.how, failed=True)
        raise
    note(
        kind="moment",
        how=case.how,
        kills=int(is_killed and ended.code != 0),
        runs=1 + len(runs),
        codes=[ended.code, *(r.code for r in runs)],
    )


def _kill_from_outside(how: str, pid: int, url: str, chance: random.Random) -> bool:
    """Kill the process, or one of its sessions; tell whether it was still there."""
    if how == SIGKILL:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return True
        return False
    with psycopg.connect(url, autocommit=True) as connection:
        give_up = time.monotonic() + 0.5
        while time.monotonic() < give_up:
            found = connection.execute(_SESSIONS).fetchall()
            if found:
                connection.execute("select pg_terminate_backend(%s)", chance.choice(found))
                return True
            time.sleep(0.002)
    return False
