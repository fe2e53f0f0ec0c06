"""`--jobs`: several workspaces at a time, under the rules of one."""

from __future__ import annotations

from tests.support.project import Project
from tests.support.results import attempts
from upgrader.model import Jobs, Outcome
from upgrader.runner.options import UpgradeOptions
from upgrader.runner.result import RunReport

IDS = [f"w{number:02}" for number in range(12)]
# Waits until four workspaces of the step are at work at a time.
MEET = """
import threading
import builtins
barrier = builtins.__dict__.setdefault("upgrader_test_barrier", threading.Barrier(4, timeout=60))
if ctx.index <= 4:
    barrier.wait()
"""
SEEN = """
ctx.connection.execute(text(
    "insert into public.seen select current_schema(), pg_backend_pid(), count(*) from pg_stat_activity"
    " where datname = current_database() and application_name like 'upgrader%'"
))
"""


def upgrade(project: Project, jobs: int, **options) -> RunReport:
    return project.api().upgrade(UpgradeOptions(jobs=Jobs(jobs), **options))


def test_each_workspace_on_one_connection_and_never_more_than_n_and_two(project: Project):
    """Four are at work at a time; each has its steps in order on a session of its own."""
    project.create_workspaces(*IDS)
    project.fast("1.0.0", 1, "F1", "create table public.seen (workspace text, pid int, sessions int)")
    project.workspace("1.0.0", 2, "W2", MEET + SEEN)
    project.workspace("1.0.0", 3, "W3", "create table made (n int)")
    project.fast("1.1.0", 4, "F4")
    project.workspace("1.1.0", 5, "W5", "insert into made values (1)")

    report = upgrade(project, 4)

    assert report.outcome is Outcome.DONE
    assert report.completed == 2 + 3 * len(IDS)
    done = attempts(project)
    assert sorted((step, id_) for step, id_, _, _ in done if step in ("W2", "W3", "W5")) == [
        (step, id_) for step in ("W2", "W3", "W5") for id_ in IDS
    ]
    for id_ in IDS:
        assert [step for step, scope, _, _ in done if scope == id_] == ["W2", "W3", "W5"]
    names = [step for step, *_ in done]
    assert names.index("F4") > max(place for place, name in enumerate(names) if name == "W3"), "the barrier"
    assert project.query("select count(distinct pid), max(sessions) from seen") == [(4, 6)]
