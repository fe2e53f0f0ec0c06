"""How many steps a run that was asked to stop has left."""

from __future__ import annotations

import pytest

from tests.support.project import Project
from upgrader.events import Event, StepFinished
from upgrader.model import Outcome
from upgrader.runner.options import UpgradeOptions
from upgrader.runner.stop import StopToken


@pytest.mark.parametrize("completed", [1, 2, 3, 4])
def test_steps_that_completed_are_not_left(project: Project, completed: int):
    """Wherever the signal comes: the step in progress is finished, and counts as done."""
    project.create_workspaces("a", "b")
    project.fast("1.0.0", 1, "One")
    project.fast("1.0.0", 2, "Two")
    project.workspace("1.0.0", 3, "Three", "select 1")
    stop, finished = StopToken(), []

    def stop_after(event: Event) -> None:
        if isinstance(event, StepFinished):
            finished.append(event)
            if len(finished) == completed:
                stop.request("SIGTERM")

    report = project.api(emit=stop_after, stop=stop).upgrade(UpgradeOptions())
    assert report.outcome is Outcome.INTERRUPTED
    assert (report.completed, report.left) == (completed, 4 - completed)
