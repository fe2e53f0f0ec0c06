"""`--jobs auto` between the events of a run and the throttle."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from tests.unit.cli.builders import Clock
from upgrader.events import Event, LanesChanged, SegmentStarted, WorkspaceFinished
from upgrader.model import Pressure, Workspace
from upgrader.runner.auto_lanes import WINDOW_SECONDS, AutoLanes, most_lanes
from upgrader.runner.result import RunReport
from upgrader.runner.throttle import Throttle
from upgrader.version import ReleaseVersion

V1 = ReleaseVersion.parse("1.0.0")


class Run:
    """A run that chooses its lanes, with a clock that is moved by hand."""

    def __init__(self, *, maximum: int = 32) -> None:
        self.clock, self.seen, self.looks = Clock(), list[Event](), 0
        self.pressure = Pressure(lock_waits=0)
        self.report = RunReport("f00", "db", "1.0.0", False, datetime(2026, 1, 1, tzinfo=UTC))
        self.auto = AutoLanes(
            Throttle(maximum=maximum),
            read=self.look,
            report=self.report,
            emit=self.seen.append,
            clock=self.clock,
        )
        self.emit = self.auto.listening(self.seen.append)

    def look(self) -> Pressure:
        self.looks += 1
        return self.pressure

    def window(self, seconds_each: float = 0.1, count: int = 50) -> int:
        """Let so many workspaces end at the end of a window; give the lanes after it."""
        self.clock.now += WINDOW_SECONDS
        for _ in range(count):
            self.emit(WorkspaceFinished(V1, Workspace("a"), 1, 100, "done", seconds_each))
        self.auto.look()
        return self.auto.wanted()


def test_it_looks_at_the_server_before_anything_runs_and_not_when_it_is_asked() -> None:
    """So that it knows what is usual; lanes may ask as often as they like."""
    run = Run()
    with run.auto.looking():
        assert run.looks == 1
        assert [run.auto.wanted() for _ in range(100)] == [2] * 100
        assert run.looks == 1
    assert not [one for one in threading.enumerate() if one.name == "upgrader-auto"]


def test_a_change_is_told_and_kept_in_the_report() -> None:
    """Up where throughput rises, down where the database suffers; the highest and the last are kept."""
    run = Run()
    run.auto.look()
    lanes = [run.window() for _ in range(6)]
    assert lanes == [2, 4, 4, 8, 8, 16]
    run.pressure = Pressure(lock_waits=9)
    assert [run.window() for _ in range(2)] == [16, 8]
    told = [(event.before, event.lanes) for event in run.seen if isinstance(event, LanesChanged)]
    assert told == [(2, 4), (4, 8), (8, 16), (16, 8)]
    assert (run.report.highest_lanes, run.report.last_lanes) == (16, 8)


def test_what_began_with_other_lanes_does_not_count() -> None:
    """Workspaces that were on their way when the lanes changed say nothing of the new ones."""
    run = Run()
    run.auto.look()
    assert [run.window() for _ in range(2)] == [2, 4]
    assert [run.window(seconds_each=WINDOW_SECONDS + 0.1) for _ in range(1)] == [4]
    assert [run.window() for _ in range(2)] == [4, 8]


def test_a_new_segment_is_measured_anew() -> None:
    """What the next version's workspaces take is not compared with those of this one."""
    run = Run()
    run.auto.look()
    assert [run.window() for _ in range(2)] == [2, 4]
    run.emit(SegmentStarted(V1, 100))
    assert [run.window(seconds_each=1.0, count=9) for _ in range(2)] == [4, 8]


def test_what_failed_says_nothing() -> None:
    """A workspace that fails at once, or waits for a lock until it fails, is no measure."""
    run = Run()
    for _ in range(10):
        run.clock.now += WINDOW_SECONDS
        for _ in range(50):
            run.emit(WorkspaceFinished(V1, Workspace("a"), 1, 100, "failed", 0.01))
        run.auto.look()
        assert run.auto.wanted() == 2


@pytest.mark.parametrize(("left", "most"), [(100, 32), (34, 32), (33, 31), (4, 2), (3, 1), (2, 1), (0, 1)])
def test_two_connections_are_left_to_others(left: int, most: int) -> None:
    """And there is one lane at least."""
    assert most_lanes(left) == most
