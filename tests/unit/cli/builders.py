"""Values for the renderings, and an output whose streams can be looked at."""

from __future__ import annotations

import io
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from upgrader.cli.console import Output
from upgrader.cli.render.blocks import Block, to_text
from upgrader.command import CommandKind
from upgrader.model import Attempt, AttemptStatus, Outcome, Scope, Step
from upgrader.runner.result import RunReport, StepResult
from upgrader.version import ReleaseVersion

UUID = "2a7735f2-8fe0-5f50-b17a-0b07fea3e8c8"
STARTED = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Recorded(Output):
    """An output that keeps what is written."""

    def __init__(self, *, terminal: bool = False, **environment: str) -> None:
        kind = Terminal if terminal else io.StringIO
        self.out, self.err = kind(), kind()
        super().__init__(self.out, self.err, environment=environment)


def text(blocks: Iterable[Block], width: int | None = None) -> str:
    return to_text(blocks, width=width)


def step(
    class_name: str = "AddX",
    *,
    version: str = "1.0.0",
    kind: CommandKind = CommandKind.FAST,
    timestamp: int = 1,
    **rest: Any,
) -> Step:
    name = f"{version}_{class_name}_{timestamp}"
    return Step(name, kind, ReleaseVersion.parse(version), timestamp, class_name, **rest)


def workspace_step(class_name: str = "AddY", **rest: Any) -> Step:
    return step(class_name, kind=CommandKind.WORKSPACE, **rest)


def result(
    of: Step, scope: Scope | None = None, *, error: str | None = None, attempt: int = 1, seconds: float = 0.25
) -> StepResult:
    status = AttemptStatus.FAILED if error else AttemptStatus.COMPLETED
    return StepResult(of, scope or Scope(), attempt, status, seconds, error=error)


def run_report(*results: StepResult, outcome: Outcome = Outcome.DONE, **rest: Any) -> RunReport:
    report = RunReport("f00", "app@db/app", "1.1.0", False, STARTED, outcome=outcome, seconds=1.5, **rest)
    for one in results:
        report.add(one)
    return report


def attempt(name: str = "1.0.0_AddX_1", workspace_id: str | None = None, **rest: Any) -> Attempt:
    values: dict[str, Any] = {
        "name": name,
        "kind": "fast-instance",
        "version": "1.0.0",
        "scope": Scope(workspace_id),
        "status": AttemptStatus.COMPLETED,
        "attempt": 1,
        "executed_by_version": "1.1.0",
        "checksum": "v1:00",
        "started_at": STARTED,
        "finished_at": STARTED,
        "id": 7,
    }
    return Attempt(**{**values, **rest})
