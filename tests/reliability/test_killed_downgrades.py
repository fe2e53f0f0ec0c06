"""Downgrades that are killed: the same one again, or an upgrade, finds what was taken back and what was not."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from tests.reliability.boundaries import LOCK, OWN, SIGKILL, Kill
from tests.reliability.cases import DOWN, DOWN_THEN_UP, Case, spread
from tests.reliability.killing import kill_at_boundaries
from tests.reliability.stage import UPGRADE, Stage, check_ended
from tests.reliability.state import attempts_of, read_state

_TARGETS = (OWN, OWN, LOCK)
_OF_THE_INDEX = """
select status, direction from upgrader.history where name like '%IndexCustomers%' order by attempt
"""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test for each kill on each way."""
    kinds = {test_killed_at_a_boundary: DOWN, test_upgrade_after_a_killed_downgrade: DOWN_THEN_UP}
    spread(metafunc, kinds.get(metafunc.function))


def test_killed_at_a_boundary(case: Case, way_down: Stage, note: Callable[..., None]) -> None:
    """A downgrade that is ended at any boundary is gone on with, and an upgrade brings everything back."""
    kills = case.kills(way_down.boundaries, _TARGETS)
    kill_at_boundaries(case, way_down, note, kills, then=lambda url: _upgrade_again(way_down, url))


def test_upgrade_after_a_killed_downgrade(case: Case, way_down: Stage, note: Callable[..., None]) -> None:
    """Whoever changes their mind after a killed downgrade upgrades, and may take all of it back later."""
    kill = Kill(case.how, case.boundary(len(way_down.boundaries)))
    with case.noted(note, kill) as noted:
        with way_down.database() as url:
            run = way_down.launcher.run(url, *way_down.arguments, kill=kill)
            check_ended(run, kill)
            _upgrade_again(way_down, url)
            down = way_down.launcher.run(url, *way_down.arguments)
            assert down.code == 0, down
            found = read_state(url)
        assert {row[:2] for row in found.structure} == {row[:2] for row in way_down.wanted.structure}
        assert found.scopes == way_down.wanted.scopes
        noted.update(kills=int(run.kill is not None), runs=3, codes=[run.code])


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
