"""How large batches become on tables that are simulated: a cost per row, a fixed part, noise, jumps."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upgrader.backfill.options import BackfillOptions
from upgrader.backfill.pacing import FIRST_ROWS, GROWTH, MeasuredPacer, Pace

Cost = Callable[[int, float], float]
"""The seconds of a batch of so many rows that begins at such a time."""


@dataclass(frozen=True)
class Batch:
    """One batch of a simulation: when it began, how many rows it had, how long it took."""

    began: float
    rows: int
    seconds: float


def simulate(cost: Cost, *, seconds: float, pace: Pace | None = None, noise: float = 0.0) -> list[Batch]:
    """Walk for so long over a table; noise is the deviation of the time's logarithm."""
    chance = random.Random(4)
    pacer, now, batches = MeasuredPacer(pace or Pace()), 0.0, []
    while now < seconds:
        took = cost(pacer.rows, now) * chance.lognormvariate(0.0, noise)
        batches.append(Batch(now, pacer.rows, took))
        pacer.succeeded(rows=pacer.rows, seconds=took)
        now += took + pacer.pause_seconds()
    return batches


def rate(batches: list[Batch]) -> float:
    """Give the rows per second of work."""
    return sum(batch.rows for batch in batches) / sum(batch.seconds for batch in batches)


def begun_from(batches: list[Batch], seconds: float) -> list[Batch]:
    """Give the batches that began at this time or later."""
    return [batch for batch in batches if batch.began >= seconds]


def test_grows_to_the_target_time():
    """From 100 rows to 200 ms of 5 µs rows within the first second, and it stays there."""
    batches = simulate(lambda rows, _: rows * 5e-6, seconds=20)
    assert batches[0].rows == FIRST_ROWS
    assert {batch.rows for batch in begun_from(batches, 1.0)} == {40_000}
    assert all(batch.seconds <= 0.21 for batch in batches)


@pytest.mark.parametrize(
    ("fixed", "noise"), [(0.0, 0.1), (0.002, 0.1), (0.02, 0.2), (0.1, 0.1), (0.2, 0.0), (0.3, 0.0)]
)
def test_has_nine_tenths_of_its_best_rate_within_five_seconds(fixed: float, noise: float):
    """Also where each batch has a part that takes its time whatever its size."""
    batches = simulate(lambda rows, _: fixed + rows * 5e-6, seconds=60, noise=noise)
    best = rate(begun_from(batches, 10.0))
    in_time = [batch for batch in batches if 4.0 <= batch.began < 6.0]
    assert rate(in_time) >= 0.9 * best
    assert min(batch.rows for batch in in_time) >= 10_000


def test_long_fixed_part_leaves_the_rows_their_share():
    """Half the target is for rows where 300 ms are gone before the first of them: smaller batches take no less."""
    last = simulate(lambda rows, _: 0.3 + rows * 5e-6, seconds=30)[-1]
    assert last.rows == pytest.approx(20_000, rel=0.02)


def test_follows_a_jump_at_once():
    """Rows that cost ten times as much: one batch is too long, the next one is not."""
    batches = simulate(lambda rows, now: rows * (5e-6 if now < 10 else 5e-5), seconds=20)
    assert [batch.seconds > 0.25 for batch in begun_from(batches, 10.0)].count(True) <= 1
    assert batches[-1].rows == pytest.approx(4_000, rel=0.01)


def test_comes_back_after_one_stall():
    """One batch that stood still for three seconds costs two seconds of smaller ones."""
    stalled = False

    def cost(rows: int, now: float) -> float:
        nonlocal stalled
        stall, stalled = (3.0 if now >= 10 and not stalled else 0.0), stalled or now >= 10
        return 0.005 + rows * 5e-6 + stall

    batches = simulate(cost, seconds=20)
    before = next(batch.rows for batch in batches if batch.began >= 9)
    assert all(batch.rows >= 0.9 * before for batch in begun_from(batches, 15.0))


def test_is_calm_in_noise():
    """Times that vary by 30 % move the size by less, and their mean is the target."""
    batches = begun_from(simulate(lambda rows, _: rows * 5e-6, seconds=120, noise=0.3), 10.0)
    mean = sum(batch.seconds for batch in batches) / len(batches)
    sizes = [batch.rows for batch in batches]
    steps = [abs(later / earlier - 1) for earlier, later in pairwise(sizes)]
    assert mean == pytest.approx(0.2, rel=0.1)
    assert sum(steps) / len(steps) < 0.15


def test_rows_that_take_milliseconds_each():
    """A first batch that is too long already: the next ones are smaller."""
    batches = simulate(lambda rows, _: rows * 0.01, seconds=20)
    assert batches[-1].rows == pytest.approx(20, abs=1)
    assert all(batch.seconds <= 0.25 for batch in batches[2:])


def test_failure_halves_and_comes_back():
    """Each failure in a row halves the batch; a success begins to grow again."""
    pacer = MeasuredPacer(Pace())
    for _ in range(10):
        pacer.succeeded(rows=pacer.rows, seconds=pacer.rows * 5e-6)
    for rows in (20_000, 10_000, 5_000):
        assert pacer.failed("deadlock")
        assert pacer.rows == rows
    pacer.succeeded(rows=pacer.rows, seconds=pacer.rows * 5e-6)
    assert 5_000 < pacer.rows <= 7_500


def test_so_many_failures_in_a_row_are_the_end():
    """The last one that is allowed says so; a success in between begins to count anew."""
    pacer = MeasuredPacer(Pace(max_failures=3))
    assert [pacer.failed("lock timeout") for _ in range(2)] == [True, True]
    pacer.succeeded(rows=25, seconds=0.1)
    assert [pacer.failed("lock timeout") for _ in range(3)] == [True, True, False]


def test_halves_down_to_one_row():
    """Below the smallest size that is chosen by measurement, so that one bad row is found."""
    pacer = MeasuredPacer(Pace(min_rows=50, max_failures=100))
    for _ in range(20):
        pacer.failed("statement timeout")
    assert pacer.rows == 1


def test_fixed_size():
    """Whatever is measured; after failures it comes back to it by doubling."""
    pacer = MeasuredPacer(Pace(batch_rows=1_000, min_rows=5_000))
    for seconds in (10.0, 0.001):
        pacer.succeeded(rows=1_000, seconds=seconds)
        assert pacer.rows == 1_000
    for _ in range(2):
        pacer.failed("deadlock")
    seen = []
    for _ in range(3):
        seen.append(pacer.rows)
        pacer.succeeded(rows=pacer.rows, seconds=0.1)
    assert seen == [250, 500, 1_000]


@pytest.mark.parametrize("limit", [50.0, 3_000.0, 66_000.0])
def test_allowed_rate_is_exact_over_seconds(limit: float):
    """Work and rests together; no batch is more than a second's share."""
    pace = Pace(max_rows_per_second=limit)
    batches = simulate(lambda rows, _: 0.002 + rows * 5e-6, seconds=60, pace=pace, noise=0.2)
    assert max(batch.rows for batch in batches) <= limit
    for began in (5.0, 20.0, 40.0):
        inside = [batch for batch in batches if began <= batch.began < began + 10.0]
        assert sum(batch.rows for batch in inside) == pytest.approx(limit * 10.0, rel=0.12)


@pytest.mark.parametrize(("limit", "most"), [(50.0, 50), (3_000.0, 100), (66_000.0, 660)])
def test_allowed_rate_is_kept_by_small_batches(limit: float, most: int):
    """An even load: batches of a hundredth of a second's share, but no smaller than costs more than it spares."""
    pace = Pace(max_rows_per_second=limit, target_seconds=0.2)
    batches = simulate(lambda rows, _: 0.001 + rows * 5e-6, seconds=20, pace=pace)
    assert max(batch.rows for batch in batches) == most


def test_slow_stretch_is_caught_up_with_for_a_second_at_most():
    """A database that was slower than the allowed rate for a minute is not flooded afterwards."""
    pace = Pace(max_rows_per_second=10_000)
    batches = simulate(lambda rows, now: rows * (1e-3 if now < 60 else 5e-6), seconds=80, pace=pace)
    after = [batch for batch in batches if 62.0 <= batch.began < 72.0]
    assert sum(batch.rows for batch in after) <= 10_000 * 11.0


def test_pause_counts_towards_the_allowed_rate():
    """The longer of the two rests is kept, not their sum."""
    pacer = MeasuredPacer(Pace(batch_rows=100, pause_seconds=0.5, max_rows_per_second=100.0))
    pacer.succeeded(rows=100, seconds=0.25)
    assert pacer.pause_seconds() == pytest.approx(0.75)
    quick = MeasuredPacer(Pace(batch_rows=100, pause_seconds=0.5, max_rows_per_second=1_000.0))
    quick.succeeded(rows=100, seconds=0.05)
    assert quick.pause_seconds() == pytest.approx(0.5)


def test_flags_go_before_settings():
    """Zero is said, not left out: it turns a limit of the settings off."""
    settings = Pace(pause_seconds=0.5, max_rows_per_second=100.0, max_rows=5_000)
    assert settings.with_options(BackfillOptions()) == settings
    given = BackfillOptions(batch_size=7, pause_ms=0, max_rows_per_second=0.0)
    assert settings.with_options(given) == Pace(batch_rows=7, max_rows=5_000)
    assert settings.with_options(BackfillOptions(), author_rows=50).max_rows == 50
    assert settings.with_options(BackfillOptions(pause_ms=250)).pause_seconds == 0.25


def test_author_who_can_do_few_rows_at_a_time():
    """Fewer than the first probe, and than the smallest size: a batch is never larger."""
    pacer = MeasuredPacer(Pace().with_options(BackfillOptions(), author_rows=3))
    for _ in range(3):
        assert pacer.rows == 3
        pacer.succeeded(rows=3, seconds=0.001)


def test_rate_follows_the_last_seconds():
    """None before the first batch; rests count, and what is long ago does not."""
    pacer = MeasuredPacer(Pace(batch_rows=100, pause_seconds=0.9))
    assert pacer.rows_per_second is None
    for _ in range(3):
        pacer.succeeded(rows=100, seconds=0.1)
        assert pacer.rows_per_second == pytest.approx(100.0)
    for _ in range(30):
        pacer.succeeded(rows=100, seconds=1.1)
    assert pacer.rows_per_second == pytest.approx(50.0, rel=0.01)


_PACES = st.builds(
    Pace,
    target_seconds=st.floats(0.01, 10.0),
    min_rows=st.integers(1, 1_000),
    max_rows=st.integers(1_000, 1_000_000),
    pause_seconds=st.sampled_from([0.0, 0.05]),
    max_rows_per_second=st.one_of(st.none(), st.floats(0.5, 1e6)),
)


@given(pace=_PACES, times=st.lists(st.floats(0.0, 1e4), max_size=60))
def test_sizes_keep_their_bounds(pace: Pace, times: list[float]):
    """Whatever is measured, zero seconds too; only the allowed rate may ask for less than the smallest size."""
    pacer = MeasuredPacer(pace)
    before = pacer.rows
    for seconds in times:
        pacer.succeeded(rows=pacer.rows, seconds=seconds)
        assert pacer.rows <= pace.max_rows
        # A size is cut to whole rows; what is cut off counts when it grows.
        assert pacer.rows < max(pace.min_rows + 1, (before + 1) * GROWTH)
        floor = pace.min_rows if pace.max_rows_per_second is None else 1
        assert pacer.rows >= min(floor, pace.min_rows)
        assert pacer.pause_seconds() >= pace.pause_seconds
        before = pacer.rows


@given(
    pace=_PACES,
    outcomes=st.lists(st.one_of(st.none(), st.floats(0.0, 100.0)), max_size=80),
)
def test_failures_keep_the_bounds_too(pace: Pace, outcomes: list[float | None]):
    """One row is the least, half of the batch that failed."""
    pacer = MeasuredPacer(pace)
    for seconds in outcomes:
        if seconds is None:
            before = pacer.rows
            pacer.failed("deadlock")
            assert pacer.rows == max(1, before // 2)
        else:
            pacer.succeeded(rows=pacer.rows, seconds=seconds)
        assert 1 <= pacer.rows <= pace.max_rows


@given(per_row=st.floats(1e-7, 1e-2), fixed=st.floats(0.0, 1.0))
def test_every_table_is_settled_within_thirty_batches(per_row: float, fixed: float):
    """The part for the rows is what is left of the target, and half of it at the least."""
    pacer = MeasuredPacer(Pace(min_rows=1, max_rows=100_000_000))
    for _ in range(30):
        pacer.succeeded(rows=pacer.rows, seconds=fixed + pacer.rows * per_row)
    share = max(0.2 - fixed, 0.1)
    assert pacer.rows * per_row == pytest.approx(share, rel=0.25, abs=per_row)
