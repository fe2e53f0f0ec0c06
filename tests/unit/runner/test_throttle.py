"""How many lanes a run works with: simulated databases that can do so and so much at a time."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upgrader.model import Pressure
from upgrader.runner.throttle import LANES_AT_FIRST, LANES_AT_MOST, Throttle, Window

WINDOW_SECONDS = 2.0


@dataclass
class Database:
    """Works on up to `capacity` workspaces at full speed; what goes beyond shares that speed.

    Attributes:
        noise: of one workspace's time, and
        window_noise: of all in one window: standard deviations of its logarithm.
    """

    capacity: float
    seconds: float = 0.05
    noise: float = 0.0
    window_noise: float = 0.0
    pressure: Callable[[int, int], Pressure] = lambda _window, _lanes: Pressure()
    dice: random.Random = field(default_factory=lambda: random.Random(1))

    def windows(self, throttle: Throttle, count: int, *, begun: int = 0) -> list[int]:
        """Work for so many windows; give the lanes that were wanted after each."""
        return [self._window(throttle, begun + number) for number in range(count)]

    def _window(self, throttle: Throttle, number: int) -> int:
        lanes = throttle.lanes
        each = (
            self.seconds * max(1.0, lanes / self.capacity) * math.exp(self.dice.gauss(0, self.window_noise))
        )
        ended = min(200, int(WINDOW_SECONDS * lanes / each))
        times = [each * math.exp(self.dice.gauss(0, self.noise)) for _ in range(ended)]
        return throttle.observe(Window(times, self.pressure(number, lanes)))


def changes(lanes: list[int]) -> int:
    return sum(before != after for before, after in pairwise(lanes))


@pytest.mark.parametrize("capacity", range(1, 17))
def test_it_settles_where_more_lanes_bring_nothing(capacity: int) -> None:
    """A database that can do so many at a time gets as many, one more or less, and soon."""
    seen = Database(capacity).windows(Throttle(), 300)
    assert abs(median(seen[100:]) - capacity) <= 1
    assert max(seen[:12]) >= min(capacity, LANES_AT_MOST) - 1
    assert changes(seen[100:]) <= 20


@pytest.mark.parametrize("capacity", range(1, 17))
def test_noise_does_not_lead_it_astray(capacity: int) -> None:
    """Workspaces that differ as much as they take, and windows that differ by a twentieth: the same end."""
    ends = []
    for seed in range(5):
        database = Database(capacity, noise=0.5, window_noise=0.05, dice=random.Random(seed))
        seen = database.windows(Throttle(), 300)
        ends.append(median(seen[100:]))
        assert changes(seen[100:]) <= 30
    assert abs(median(ends) - capacity) <= 1
    assert max(abs(end - capacity) for end in ends) <= 2


def test_it_goes_as_high_as_it_may_where_that_brings_something() -> None:
    """Where nothing is shared the maximum is reached, and never passed."""
    for maximum in (1, 2, 3, 5, 31, 32):
        seen = Database(1_000).windows(Throttle(maximum=maximum), 200)
        assert max(seen) == maximum
        assert median(seen[20:]) == maximum


def test_it_starts_with_two_and_doubles() -> None:
    """The first look takes two windows, each doubling as many."""
    throttle = Throttle()
    assert throttle.lanes == LANES_AT_FIRST
    seen = Database(1_000).windows(throttle, 8)
    assert seen == [2, 4, 4, 8, 8, 16, 16, 32]


def test_where_nothing_ends_it_stays() -> None:
    """Workspaces that take longer than a window say nothing until they end."""
    throttle = Throttle()
    assert {throttle.observe(Window()) for _ in range(1_000)} == {LANES_AT_FIRST}


def test_slow_workspaces_are_followed_too() -> None:
    """Of workspaces of half a minute each, the first few say where to go."""
    throttle, dice, owed = Throttle(maximum=8), random.Random(1), 0.0
    seen = []
    for _ in range(300):
        owed += WINDOW_SECONDS * throttle.lanes / 30
        ended, owed = int(owed), owed - int(owed)
        seen.append(throttle.observe(Window([30 * math.exp(dice.gauss(0, 0.1)) for _ in range(ended)])))
    assert seen[-1] == 8


@pytest.mark.parametrize(
    "suffering",
    [
        Pressure(lock_waits=3, active_sessions=5, replication_lag_bytes=0),
        Pressure(lock_waits=0, active_sessions=60, replication_lag_bytes=0),
        Pressure(lock_waits=0, active_sessions=5, replication_lag_bytes=10**9),
        Pressure(lanes_waiting=9),
    ],
)
def test_it_goes_down_within_two_windows_of_a_database_that_suffers(suffering: Pressure) -> None:
    """By half each time, to one where it does not help; and says why."""
    well = Pressure(lanes_waiting=0, lock_waits=0, active_sessions=5, replication_lag_bytes=0)
    throttle = Throttle(maximum=16)
    database = Database(1_000, pressure=lambda window, _: suffering if window >= 40 else well)
    before = database.windows(throttle, 40)
    assert before[-1] == 16
    after = database.windows(throttle, 10, begun=40)
    assert after[:4] == [16, 8, 8, 4]
    assert after[-1] == 1
    assert throttle.reason


def test_one_high_reading_says_nothing() -> None:
    """One session that waits a moment for a lock, now and then, costs no lane."""
    throttle = Throttle(maximum=8)
    database = Database(1_000, pressure=lambda window, _: Pressure(lock_waits=int(window % 3 == 0)))
    assert database.windows(throttle, 100)[-1] == 8


def test_what_is_there_from_the_beginning_is_usual() -> None:
    """A busy database with a standby that is always behind is worked on like any other."""
    busy = Pressure(lock_waits=4, active_sessions=80, replication_lag_bytes=5 * 10**9)
    assert Database(1_000, pressure=lambda *_: busy).windows(Throttle(maximum=8), 50)[-1] == 8


def test_what_stays_high_becomes_usual_in_some_minutes() -> None:
    """An application that has more to do than before does not hold the run at one lane for ever."""
    throttle = Throttle(maximum=8)
    database = Database(1_000, pressure=lambda window, _: Pressure(active_sessions=5 if window < 20 else 40))
    seen = database.windows(throttle, 600)
    assert min(seen[20:60]) == 1
    assert seen[-1] == 8


def test_it_does_not_go_up_and_down_for_ever() -> None:
    """Where five lanes make others wait for locks, it tries them again rarely, and less and less."""
    throttle = Throttle()
    database = Database(1_000, pressure=lambda _, lanes: Pressure(lock_waits=2 if lanes > 4 else 0))
    seen = database.windows(throttle, 600)
    late = seen[200:]
    assert sum(lanes > 4 for lanes in late) / len(late) < 0.1
    assert changes(late) <= 40
    assert sum(late) / len(late) >= 2


def test_lanes_that_wait_for_each_other_become_one() -> None:
    """Steps that all take one lock are no faster together, and one after the other they do not wait."""
    throttle = Throttle()
    database = Database(1, pressure=lambda _, lanes: Pressure(lanes_waiting=lanes - 1))
    seen = database.windows(throttle, 300)
    assert 1 in seen[:3]
    assert sum(lanes == 1 for lanes in seen[100:]) / 200 > 0.8


def test_other_work_is_measured_anew_with_the_lanes_that_were_found() -> None:
    """The next version's workspaces say nothing of those before; the lanes stay until they were compared."""
    throttle = Throttle()
    Database(6).windows(throttle, 60)
    before = throttle.lanes
    throttle.begin_anew()
    assert throttle.lanes == before
    assert abs(median(Database(3, seconds=1.0).windows(throttle, 300)[150:]) - 3) <= 1


pressures = st.builds(
    Pressure,
    lanes_waiting=st.none() | st.integers(0, 40),
    lock_waits=st.none() | st.integers(0, 1_000),
    active_sessions=st.none() | st.integers(0, 10_000),
    replication_lag_bytes=st.none() | st.integers(0, 10**13),
)


@given(
    st.integers(-1, 40),
    st.lists(st.tuples(st.lists(st.floats(0, 1e6), max_size=5), pressures, st.booleans()), max_size=60),
)
def test_it_never_leaves_its_bounds(maximum: int, windows: list[tuple[list[float], Pressure, bool]]) -> None:
    """Whatever is read, and whatever ends: one lane at least, the maximum at most."""
    throttle = Throttle(maximum=maximum)
    for seconds_each, pressure, is_anew in windows:
        if is_anew:
            throttle.begin_anew()
        assert 1 <= throttle.observe(Window(seconds_each, pressure)) <= max(1, maximum)
