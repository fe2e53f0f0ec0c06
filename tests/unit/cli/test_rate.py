"""How fast something goes, and how long the rest of it takes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.cli.builders import Clock
from upgrader.cli.rate import RateMeter, TimeLeft


def steady(clock: Clock, *, count: int, seconds: float, each: float = 1) -> RateMeter:
    """Give a meter that has seen `count` observations at equal distances."""
    meter = RateMeter(clock)
    for _ in range(count):
        clock.now += seconds
        meter.advance(each)
    return meter


def test_nothing_is_known_before_anything_is_done() -> None:
    """No rate, no guess; and no division by a time that has not passed."""
    clock = Clock()
    meter = RateMeter(clock)
    assert meter.left(10) is None
    meter.advance(5)
    assert (meter.overall_rate, meter.left(10)) == (0.0, None)
    clock.now = 60.0
    assert RateMeter(clock).left(10) is None


def test_nothing_left_takes_no_time() -> None:
    """Also where more was done than was thought there is."""
    meter = steady(Clock(), count=3, seconds=1.0)
    assert meter.left(0) == meter.left(-5) == TimeLeft(0.0, 0.0)


def test_it_is_wide_at_the_start_and_narrows_with_what_is_seen() -> None:
    """One observation says little, a thousand equal ones say much; the truth lies within all the time."""
    ratios = []
    for count in (1, 10, 100, 1_000):
        left = steady(Clock(), count=count, seconds=1.0).left(600)
        assert left is not None
        assert left.low_seconds <= 600 <= left.high_seconds
        ratios.append(left.high_seconds / left.low_seconds)
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[0] == pytest.approx(7.0)
    assert ratios[-1] < 1.1


def test_rates_that_disagree_are_the_bounds() -> None:
    """400 at ten a second, then 400 at one a second: what is left is told between the two."""
    clock = Clock()
    meter = steady(clock, count=400, seconds=0.1)
    for _ in range(400):
        clock.now += 1.0
        meter.advance()
    assert meter.recent_rate == pytest.approx(1.0)
    assert meter.overall_rate == pytest.approx(800 / 440)
    left = meter.left(100)
    assert left is not None
    assert left.low_seconds < 55.1
    assert left.high_seconds > 100


def test_a_batch_of_rows_is_one_observation() -> None:
    """Ten thousand rows at once say no more of how even the work is than one workspace does."""
    assert steady(Clock(), count=1, seconds=1.0, each=10_000).left(10_000) == steady(
        Clock(), count=1, seconds=1.0
    ).left(1)


def test_slow_work_has_a_recent_rate_too() -> None:
    """Of things that take a minute each, the last eight count."""
    clock = Clock()
    meter = steady(clock, count=20, seconds=10.0)
    for _ in range(20):
        clock.now += 60.0
        meter.advance()
    assert meter.recent_rate == pytest.approx(1 / 60)


@given(
    st.lists(st.tuples(st.floats(0, 1e5), st.integers(0, 10**9)), max_size=200),
    st.integers(-10, 10**12),
)
def test_the_bounds_are_in_order_finite_and_never_negative(
    seen: list[tuple[float, int]], remaining: int
) -> None:
    """Whatever comes, and however it comes."""
    clock = Clock()
    meter = RateMeter(clock)
    for seconds, count in seen:
        clock.now += seconds
        meter.advance(count)
        left = meter.left(remaining)
        if left is not None:
            assert 0 <= left.low_seconds <= left.high_seconds < math.inf
            assert left.text
    assert meter.done == sum(count for _, count in seen)


@given(
    st.integers(1, 500),
    st.floats(0.001, 120.0),
    st.floats(0.0, 1e6),
    st.floats(0.1, 1e6),
    st.integers(1, 10**6),
)
def test_a_stall_widens_the_range(
    count: int, seconds: float, stalled: float, more: float, remaining: int
) -> None:
    """Where nothing ends, the upper bound rises with every second, and the lower one does not fall."""
    clock = Clock()
    meter = steady(clock, count=count, seconds=seconds)
    clock.now += stalled
    before = meter.left(remaining)
    clock.now += more
    after = meter.left(remaining)
    assert before is not None
    assert after is not None
    assert after.high_seconds > before.high_seconds
    assert after.low_seconds >= before.low_seconds
    assert after.high_seconds - after.low_seconds > before.high_seconds - before.low_seconds


def test_it_remembers_no_more_than_a_window() -> None:
    """A million observations take the memory of a hundred."""
    meter = steady(Clock(), count=100_000, seconds=0.001)
    assert len(meter._points) < 100
    assert meter.recent_rate == pytest.approx(1_000, rel=0.05)


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [
        (0, 0, "less than a minute"),
        (20, 59, "less than a minute"),
        (30, 150, "up to 3 min"),
        (61, 119, "1-2 min"),
        (245, 350, "4-6 min"),
        (290, 310, "about 5 min"),
        (1_500, 2_300, "25-40 min"),
        (3_500, 3_700, "about 1 h"),
        (3_000, 6_900, "50-115 min"),
        (4_000, 10_000, "1-3 h"),
        (7_400, 7_900, "about 2 h"),
        (70_000, 200_000, "up to 3 days"),
        (90_000, 400_000, "1-5 days"),
        (300, 2_500, "more than 5 min"),
        (30, 86_400, "up to 24 h"),
    ],
)
def test_it_is_told_in_words(low: float, high: float, told: str) -> None:
    """No false precision: bounds outwards, one number where they are as good as one."""
    assert TimeLeft(low, high).text == told
