"""When jobs are due, over changes of the clocks and for several workers."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upgrader.worker.scheduling.cron import CronExpression
from upgrader.worker.scheduling.triggers import CronTicks, IntervalTicks, Manual, Trigger, latest_between

BERLIN = "Europe/Berlin"


def _next(trigger: Trigger, moment: datetime, count: int) -> list[datetime]:
    found: list[datetime] = []
    for _ in range(count):
        due = trigger.next_after(found[-1] if found else moment)
        assert due is not None
        found.append(due)
    return found


def _shown(expression: str, zone: str, day: str, count: int) -> list[str]:
    start = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone))
    ticks = _next(CronTicks(expression, zone), start - timedelta(seconds=1), count)
    return [due.astimezone(ZoneInfo(zone)).strftime("%d. %H:%M %z") for due in ticks]


def test_every_thirty_seconds_is_not_every_second() -> None:
    """The documents' heartbeat: seconds stand first."""
    start = datetime(2026, 11, 20, tzinfo=UTC)
    ticks = _next(CronTicks("*/30 * * * * *", "UTC"), start, 3)
    assert [due - start for due in ticks] == [timedelta(seconds=30 * n) for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("expression", "ticks"),
    [
        (CronExpression.EVERY_30_SECONDS, ["20. 10:30:30", "20. 10:31:00", "20. 10:31:30"]),
        (CronExpression.EVERY_MINUTE, ["20. 10:31:00", "20. 10:32:00", "20. 10:33:00"]),
        (CronExpression.EVERY_5_MINUTES, ["20. 10:35:00", "20. 10:40:00", "20. 10:45:00"]),
        (CronExpression.EVERY_HOUR, ["20. 11:00:00", "20. 12:00:00", "20. 13:00:00"]),
        (CronExpression.EVERY_DAY_AT_3AM, ["21. 03:00:00", "22. 03:00:00", "23. 03:00:00"]),
        (CronExpression.EVERY_WEEKDAY, ["23. 00:00:00", "24. 00:00:00", "25. 00:00:00"]),
        (CronExpression.EVERY_WEEKEND, ["21. 00:00:00", "22. 00:00:00", "28. 00:00:00"]),
        ("*/5 * * * *", ["20. 10:35:00", "20. 10:40:00", "20. 10:45:00"]),
    ],
)
def test_named_expressions_come_when_their_names_say(expression: str, ticks: list[str]) -> None:
    """From half past ten on a Friday."""
    start = datetime(2026, 11, 20, 10, 30, 0, 1, tzinfo=UTC)
    assert [f"{due:%d. %H:%M:%S}" for due in _next(CronTicks(expression, "UTC"), start, 3)] == ticks


def test_without_a_time_zone_it_is_the_systems() -> None:
    """As TZ says, where it does."""
    program = (
        "from datetime import UTC, datetime; from upgrader.worker.scheduling.triggers import CronTicks;"
        "print(CronTicks('0 3 * * *').next_after(datetime(2026, 11, 20, tzinfo=UTC)).isoformat())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "TZ": "Asia/Tokyo"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "2026-11-20T18:00:00+00:00"


def test_weekdays_come_on_their_day() -> None:
    """0 is Sunday: the 22nd of November 2026."""
    (due,) = _next(CronTicks("0 12 * * 0", "UTC"), datetime(2026, 11, 20, tzinfo=UTC), 1)
    assert due == datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_a_time_that_is_left_out_comes_as_much_later() -> None:
    assert _shown("30 2 * * *", BERLIN, "2026-03-28", 3) == [
        "28. 02:30 +0100",
        "29. 03:30 +0200",
        "30. 02:30 +0200",
    ]


def test_a_midnight_that_is_left_out_is_no_day_without_a_tick() -> None:
    """In São Paulo clocks went forward at midnight."""
    assert _shown("0 0 * * *", "America/Sao_Paulo", "2018-11-03", 3) == [
        "03. 00:00 -0300",
        "04. 01:00 -0200",
        "05. 00:00 -0200",
    ]


def test_a_time_that_comes_twice_counts_once() -> None:
    assert _shown("30 2 * * *", BERLIN, "2026-10-24", 3) == [
        "24. 02:30 +0200",
        "25. 02:30 +0200",
        "26. 02:30 +0100",
    ]


def test_every_hour_is_every_hour_also_as_clocks_go_back() -> None:
    assert _shown("0 * * * *", BERLIN, "2026-10-25", 5)[2:] == [
        "25. 02:00 +0200",
        "25. 02:00 +0100",
        "25. 03:00 +0100",
    ]


@pytest.mark.parametrize("expression", ["30 2 * * *", "0 */2 * * *", "*/20 1-3 * * *", "15 * * * *"])
@pytest.mark.parametrize("day", ["2026-03-28T20:00", "2026-10-24T20:00"])
def test_whoever_asks_at_whatever_moment_is_told_the_same_ticks(expression: str, day: str) -> None:
    """Workers that start at different moments agree on the ticks around a change of the clocks."""
    trigger, start = CronTicks(expression, BERLIN), datetime.fromisoformat(day).replace(tzinfo=UTC)
    end = start + timedelta(hours=10)
    ticks, due = [], trigger.next_after(start)
    while due is not None and due <= end:
        ticks.append(due)
        due = trigger.next_after(due)
    for minutes in range(0, 600, 7):
        moment = start + timedelta(minutes=minutes)
        expected = next((tick for tick in ticks if tick > moment), None)
        if expected is not None:
            assert trigger.next_after(moment) == expected, moment


def test_what_never_comes_never_comes() -> None:
    assert CronTicks("0 0 30 2 *", "UTC").next_after(datetime(2026, 1, 1, tzinfo=UTC)) is None
    assert Manual().next_after(datetime(2026, 1, 1, tzinfo=UTC)) is None


@given(
    st.floats(0.1, 100_000),
    st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),
    st.integers(0, 50),
)
def test_intervals_are_the_same_for_all_workers(seconds: float, moment: datetime, later: int) -> None:
    """Two workers that begin at different moments name the same ticks; each lies after the one before."""
    trigger = IntervalTicks(seconds)
    ticks = _next(trigger, moment, 6)
    assert all(one < two for one, two in pairwise([moment, *ticks]))
    between = moment + (ticks[-1] - moment) * later / 51
    other = IntervalTicks(seconds)  # a worker that has started later
    assert other.next_after(between) == next(tick for tick in ticks if tick > between)


@pytest.mark.parametrize(
    ("seconds", "ticks"),
    [
        (30, ["10:30:30", "10:31:00", "10:31:30"]),
        (300, ["10:35:00", "10:40:00", "10:45:00"]),
        (86_400, ["00:00:00"] * 3),
        (2.5, ["10:30:07", "10:30:10", "10:30:12"]),
    ],
)
def test_intervals_are_counted_from_the_epoch(seconds: float, ticks: list[str]) -> None:
    """Not from the start of a worker: every 300 seconds is at :00, :05, …"""
    start = datetime(2026, 11, 20, 10, 30, 7, 1, tzinfo=UTC)
    assert [f"{due:%H:%M:%S}" for due in _next(IntervalTicks(seconds), start, 3)] == ticks


@pytest.mark.parametrize("seconds", [0.1, 0.7, 1, 30, 86_400])
def test_intervals_are_as_long_as_they_should(seconds: float) -> None:
    ticks = _next(IntervalTicks(seconds), datetime(2026, 11, 20, 10, 0, 0, 1, tzinfo=UTC), 50)
    gaps = [(two - one).total_seconds() for one, two in pairwise(ticks)]
    assert gaps == pytest.approx([seconds] * len(gaps), abs=2e-6)


def test_of_what_was_missed_the_latest_is_found() -> None:
    """A night of ticks of every second is not gone through one by one."""
    calls = 0

    class Counted:
        description = ""

        def next_after(self, moment: datetime) -> datetime | None:
            nonlocal calls
            calls += 1
            return IntervalTicks(1).next_after(moment)

    start = datetime(2026, 11, 20, 22, tzinfo=UTC)
    end = start + timedelta(hours=8, microseconds=5)
    assert latest_between(Counted(), start, end) == start + timedelta(hours=8)
    assert calls < 70
    assert latest_between(CronTicks("0 3 * * *", "UTC"), start, end) == start + timedelta(hours=5)
    assert latest_between(CronTicks("0 12 * * *", "UTC"), start, end) is None
    assert latest_between(IntervalTicks(3600), start, start) is None
