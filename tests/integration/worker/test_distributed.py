"""`--distributed`: the workspaces of a run done by workers, under the rules of one lane."""

from __future__ import annotations

from tests.support.distributed import distribute, worker_threads
from tests.support.project import Project
from tests.support.results import attempts
from upgrader.model import Outcome

IDS = [f"w{number:02}" for number in range(12)]


def done(project: Project, step: str) -> list[str]:
    """Give the workspaces in which a step is completed, each as often as it is."""
    rows = attempts(project, "completed")
    return sorted(scope for name, scope, _, _ in rows if name == step and scope is not None)


def test_segments_are_done_by_workers(project: Project):
    """Segments are done by workers, with barriers between them."""
    project.create_workspaces(*IDS)
    project.fast("1.0.0", 1, "F1", "create table public.seen (workspace text, pid int, sessions int)")
    project.workspace("1.0.0", 3, "W3", "create table made (n int)")
    project.fast("1.1.0", 4, "F4")
    project.workspace("1.1.0", 5, "W5", "insert into made values (1)")
    with worker_threads(project, 2):
        report = distribute(project)
    assert report.error is None
    assert report.outcome is Outcome.DONE
    assert report.completed == 2 + 2 * len(IDS)
    assert [done(project, step) for step in ("W3", "W5")] == [IDS] * 2
