"""Filters: one segment, for the workspaces that were selected."""

import pytest

from tests.support.project import Project
from tests.support.results import attempts, has_history, snapshot
from upgrader.model import Outcome
from upgrader.runner.options import UpgradeOptions
from upgrader.runner.result import RunReport
from upgrader.sequence.plan import Selection


@pytest.fixture
def five(project: Project) -> Project:
    #   1.0.0 f1 │ w2  ║  1.1.0 f3 │ w4
    project.create_workspaces("a", "b", "c", "d", "e")
    project.create_workspaces("out", status="INACTIVE")
    project.fast("1.0.0", 1, "F1")
    project.workspace("1.0.0", 2, "W2")
    project.fast("1.1.0", 3, "F3")
    project.workspace("1.1.0", 4, "W4")
    return project


def upgrade(project: Project, *ids: str, start: str | None = None, limit: int | None = None) -> RunReport:
    return project.api().upgrade(UpgradeOptions(selection=Selection(ids, start, limit)))


def ran(project: Project, name: str) -> list[str | None]:
    return [workspace for step, workspace, _, _ in attempts(project) if step == name]


@pytest.mark.parametrize(
    ("ids", "start", "limit", "expected"),
    [
        (("d", "b"), None, None, ["b", "d"]),
        ((), "c", None, ["c", "d", "e"]),
        ((), None, 2, ["a", "b"]),
        ((), "b", 2, ["b", "c"]),
        (("a", "c", "e"), "b", 1, ["c"]),
        (("b", "b"), None, 1, ["b"]),
        ((), None, 99, ["a", "b", "c", "d", "e"]),
    ],
)
def test_filters_combine(
    five: Project, ids: tuple[str, ...], start: str | None, limit: int | None, expected: list[str]
):
    """Named ids, from a place on, the first so many of what is left."""
    report = upgrade(five, *ids, start=start, limit=limit)
    assert report.outcome is Outcome.DONE
    assert ran(five, "W2") == expected
    assert ran(five, "F1") == [None]


def test_one_segment_and_who_is_left_and_what_comes_next(five: Project):
    """A filtered run stops after its segment, exit 0, and says what an unfiltered run would do."""
    report = upgrade(five, "a", "b")
    assert ran(five, "F3") == []
    assert report.stop is not None
    assert report.stop.workspace_ids == ("c", "d", "e")
    assert "1.1.0" in report.stop.message


def test_count_limit_counts_the_selection_and_not_what_is_pending(five: Project):
    """The first two are the same two, whether or not something is pending on them."""
    upgrade(five, "a", "b")
    report = upgrade(five, limit=2)
    assert report.completed == 0
    assert ran(five, "W2") == ["a", "b"]
    assert upgrade(five, limit=3).completed == 1


def test_the_pending_instance_steps_run_once_their_barrier_is_open(five: Project):
    """When all workspaces are through the first version, a filter takes the next segment and what is before it."""
    upgrade(five, "a", "b")
    upgrade(five, start="c")
    report = upgrade(five, "b")
    assert report.outcome is Outcome.DONE
    assert (ran(five, "F3"), ran(five, "W4")) == ([None], ["b"])


@pytest.mark.parametrize("name", ["nobody", "out"])
def test_unknown_id_is_refused_before_anything_runs(five: Project, name: str):
    """An id that is not there or out of scope, beside one that is: nothing runs."""
    before = snapshot(five)
    report = upgrade(five, "a", name)
    assert report.outcome is Outcome.REFUSED
    assert name in report.refusals[0].message
    five.connect().execute("drop schema if exists upgrader cascade")
    assert snapshot(five) == before


def test_unknown_start_is_refused(five: Project):
    """The same for the place to start from."""
    report = upgrade(five, start="nobody")
    assert report.outcome is Outcome.REFUSED
    assert "nobody" in report.refusals[0].message


def test_slow_steps_hold_a_filtered_run_as_any_other(five: Project):
    """A deferred slow step before the segment stops a filtered run at the barrier."""
    five.slow("1.0.0", 9, "S9")
    upgrade(five, start="a")
    report = upgrade(five, "a")
    assert report.outcome is Outcome.STOPPED_AT_BARRIER
    assert ran(five, "W4") == []


def test_plan_takes_the_same_filters(five: Project):
    """The plan of a filter is what the run does."""
    found = five.api().plan(UpgradeOptions(selection=Selection(("b",), None, None))).plan
    assert [[task.workspace_id for task in version.tasks] for version in found.versions] == [["b"]]
    assert not has_history(five)
