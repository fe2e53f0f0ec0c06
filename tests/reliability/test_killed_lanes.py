"""Runs with `--jobs 4` that are killed: taken up, they come to the same end as one workspace after the other."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest

from tests.reliability.boundaries import (
    COMMAND,
    CONTROL,
    LOCK,
    OTHER,
    OWN,
    SIGKILL,
    TERMINATE,
    Boundary,
    Kill,
)
from tests.reliability.cases import LANES, LANES_MOMENT, Case, spread
from tests.reliability.killing import kill_at_a_moment, kill_at_boundaries
from tests.reliability.stage import Stage, check_ended

_TARGETS = (OWN, OWN, OTHER, LOCK, CONTROL, COMMAND)
_BY_ROLE = 0.4
_LANES = 4
_COMMIT_SECONDS = 0.6
_AT_WORK = 0.1


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test for each kill."""
    kinds = {test_killed_at_a_boundary: LANES, test_killed_at_a_moment: LANES_MOMENT}
    spread(metafunc, kinds.get(metafunc.function))


def test_killed_at_a_boundary(case: Case, lanes: Stage, note: Callable[..., None]) -> None:
    """A run of several lanes that is ended at any boundary of any session is taken up where it was."""
    chance = case.random()
    kills = case.kills(lanes.boundaries, _TARGETS)
    if chance.random() < _BY_ROLE:
        kills[0] = _kill_of_a_role(case.how, lanes.boundaries, chance)
    # Where the lanes wait for each other, a run sends fewer messages than another.
    kill_at_boundaries(case, lanes, note, kills, must_come=False)


def test_killed_at_a_moment(case: Case, lanes: Stage, note: Callable[..., None]) -> None:
    """A run of several lanes that is ended at a random moment, from another process, is taken up."""
    kill_at_a_moment(case, lanes, note)


def _kill_of_a_role(how: str, boundaries: Sequence[Boundary], chance: random.Random) -> Kill:
    """Choose among the sessions first: those of the lock and of the history send little."""
    role = chance.choice((LOCK, CONTROL, COMMAND))
    count = sum(boundary.role == role for boundary in boundaries)
    return Kill(how, chance.randint(1, count), chance.choice(_TARGETS), role)


@pytest.mark.parametrize("target", [OWN, OTHER, CONTROL, LOCK])
def test_session_that_is_ended_while_all_lanes_are_at_work(target: str, lanes: Stage) -> None:
    """Whichever it is: exit 1 and no failed step. Without lock or lane, each lane ends the step that it is at."""
    kill = Kill(TERMINATE, target=target, text="_RaisePrices_", occurrence=_LANES, delay=_AT_WORK)
    with lanes.database(commit=_COMMIT_SECONDS) as url:
        ended = lanes.launcher.run(url, *lanes.arguments, kill=kill)
        check_ended(ended, kill)
        assert ended.code == 1, ended
        if target != CONTROL:  # which is not needed before something is to be written down beside the steps
            completing = [pid for pid, _ in ended.completions_after_kill()]
            assert len(completing) == len(set(completing)) <= _LANES
        lanes.finish(url, [])


@pytest.mark.parametrize("how", [SIGKILL, TERMINATE])
def test_killed_again_and_again(how: str, lanes: Stage) -> None:
    """Runs that get a little further each come to the end all the same."""
    steps = max(1, len(lanes.boundaries) // 10)  # a lane that is ended lets the others go on for a while
    with lanes.database() as url:
        runs = lanes.finish(url, [Kill(how, steps, OWN) for _ in range(6)])
    assert sum(run.kill is not None for run in runs) >= 3
