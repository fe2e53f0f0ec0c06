"""Downgrades that are killed: the same one again, or an upgrade, finds what was taken back and what was not."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from tests.reliability.boundaries import LOCK, OWN, SIGKILL, TERMINATE, Kill, kind_of
from tests.reliability.cases import DOWN, Case, spread
from tests.reliability.harness import Ended
from tests.reliability.stage import UPGRADE, Stage, check_ended
from tests.reliability.state import attempts_of, read_state

_TARGETS = (OWN, OWN, LOCK)
_AGAIN = 0.3
_OF_THE_INDEX = """
select status, direction from upgrader.history where name like '%IndexCustomers%' order by attempt
"""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test for each kill on each way."""
    if "case" in metafunc.fixturenames:
        spread(metafunc, DOWN)


def test_killed_at_a_boundary(case: Case, way_down: Stage, note: Callable[..., None]) -> None:
    """A downgrade that is ended at any boundary is gone on with, and an upgrade brings everything back."""
    chance = case.random()
    at = case.boundary(len(way_down.boundaries))
    kills = [Kill(case.how, at, chance.choice(_TARGETS))]
    while chance.random() < _AGAIN:
        kills.append(
            Kill(chance.choice((SIGKILL, TERMINATE)), chance.randint(1, len(way_down.boundaries)), OWN)
        )
    runs: list[Ended] = []
    try:
        with way_down.database() as url:
            runs = way_down.finish(url, kills)
            _upgrade_again(way_down, url)
        assert runs[0].kill is not None, f"boundary {at} was not reached"
    except BaseException:
        case.tell(DOWN, kills)
        note(kind="downgrade", how=case.how, failed=True)
        raise
    first = runs[0].kill
    note(
        kind="downgrade",
        how=case.how,
        point=first.point,
        target=kills[0].target if kills[0].target != OWN else first.role,
        message=kind_of(first),
        at=at,
        of=len(way_down.boundaries),
        kills=sum(run.kill is not None for run in runs),
        runs=len(runs),
        codes=[run.code for run in runs],
    )


def test_upgrade_after_a_killed_downgrade(case: Case, way_down: Stage, note: Callable[..., None]) -> None:
    """Whoever changes their mind after a killed downgrade upgrades, and may take all of it back later."""
    kill = Kill(case.how, case.boundary(len(way_down.boundaries)))
    try:
        with way_down.database() as url:
            run = way_down.launcher.run(url, *way_down.arguments, kill=kill)
            check_ended(run, kill)
            _upgrade_again(way_down, url)
            down = way_down.launcher.run(url, *way_down.arguments)
            assert down.code == 0, down
            found = read_state(url)
    except BaseException:
        case.tell(DOWN, kill)
        raise
    assert {row[:2] for row in found.structure} == {row[:2] for row in way_down.wanted.structure}
    assert found.scopes == way_down.wanted.scopes
    note(
        kind="downgrade-then-upgrade", how=case.how, kills=int(run.kill is not None), runs=3, codes=[run.code]
    )


def _upgrade_again(way_down: Stage, url: str) -> None:
    again = way_down.launcher.run(url, *UPGRADE)
    assert again.code == 0, again
    state = read_state(url)
    assert all(open_ == 0 for *_, open_, _, _ in state.scopes), state.scopes
    assert {scope[-1] for scope in state.scopes} == {"1.3.0"}


@pytest.mark.parametrize("then", ["downgrade", "upgrade"])
def test_killed_while_an_index_is_dropped(way_down: Stage, then: str) -> None:
    """A `running` row of a way down is told from one of the way up: either way it is gone through again."""
    kill = Kill(SIGKILL, text="drop index concurrently")
    if "--to" not in way_down.arguments:
        pytest.skip("the last steps have no such index")
    with way_down.database() as url:
        assert way_down.launcher.run(url, *way_down.arguments, kill=kill).code == -9
        with psycopg.connect(url, autocommit=True) as connection:
            assert connection.execute(_OF_THE_INDEX).fetchall() == [("completed", "up"), ("running", "down")]
        if then == "upgrade":
            _upgrade_again(way_down, url)
            assert attempts_of(url, "IndexCustomers", "instance") == 3
        else:
            way_down.finish(url, [])
            _upgrade_again(way_down, url)
