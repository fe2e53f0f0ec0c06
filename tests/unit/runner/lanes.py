"""Lanes without a database: steps whose commands are functions of the test."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from upgrader.model import AttemptStatus, FailureLimit, Progress, Workspace
from upgrader.runner.result import RunReport, StepResult
from upgrader.runner.step_task import StepTask
from upgrader.runner.stop import StopToken
from upgrader.runner.workspace_walk import SegmentParts
from upgrader.sequence.plan import WorkspaceTask
from upgrader.testing import RecordingSink
from upgrader.version import ReleaseVersion

VERSION = ReleaseVersion.parse("1.0.0")
Command = Callable[[StepTask], AttemptStatus | None]


class FakeSession:
    """A session that is only counted.

    Attributes:
        refuses: what opening it raises.
        ahead: the workspace and the step whose transaction is begun already.
    """

    def __init__(self) -> None:
        self.opened = self.cancelled = 0
        self.ahead: tuple[str, str] | None = None
        self.backend_pid = id(self)
        self.refuses: Exception | None = None

    def open_again(self) -> None:
        self.opened += 1
        if self.refuses is not None:
            raise self.refuses

    def settle(self) -> None:
        self.ahead = None

    def cancel(self) -> None:
        self.cancelled += 1


class FakeLane:
    """Runs a function for each step; keeps what it ran, and as which thread.

    What it is told to come next has to be what it runs next, unless the session was settled in between.
    """

    def __init__(self, command: Command) -> None:
        self.session = FakeSession()
        self.command = command
        self.ran: list[tuple[str, str]] = []
        self.threads: set[str] = set()

    def run(self, task: StepTask) -> StepResult:
        assert task.workspace is not None
        self.threads.add(threading.current_thread().name)
        ahead, self.session.ahead = self.session.ahead, None
        assert ahead in (None, (task.workspace.id, task.step.name))
        status = self.command(task) or AttemptStatus.COMPLETED
        upcoming = task.then() if task.then is not None and status is AttemptStatus.COMPLETED else None
        if upcoming is not None and upcoming.workspace is not None:
            self.session.ahead = (upcoming.workspace.id, upcoming.step.name)
        self.ran.append((task.workspace.id, task.step.name))
        return StepResult(task.step, task.scope, 1, status, 0.0, error=None)


class Stage:
    """What an executor is handed, and what it tells."""

    def __init__(self, *, limit: FailureLimit | None = None) -> None:
        self.sink = RecordingSink()
        self.stop = StopToken()
        self.report = RunReport("run", "db", "1.0.0", dry_run=False, started_at=datetime.now(UTC))
        self.checks = 0
        self.parts = SegmentParts(self.report, self.sink, self.stop, self.check_lock, limit or FailureLimit())

    def check_lock(self) -> None:
        self.checks += 1


def arguments(steps: Any, *ids: str) -> tuple[Any, ...]:
    """Give what `run()` of an executor is handed: every workspace has all the steps before it."""
    tasks = [WorkspaceTask(id_, tuple(steps)) for id_ in ids]
    workspaces = {id_: Workspace(id=id_, schema=None, display_name=None, status=None) for id_ in ids}
    return VERSION, tasks, workspaces, lambda _: Progress()


def fake_steps(*names: str) -> list[Any]:
    """Make steps in their order."""
    return [SimpleNamespace(name=name, sort_key=place) for place, name in enumerate(names)]
