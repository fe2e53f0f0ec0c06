"""Steps with statements, as a capture gives them."""

from __future__ import annotations

from upgrader.command import CommandKind
from upgrader.lint.squawk import lint_steps
from upgrader.model import CapturedStatement, Direction, Finding, Step, StepStatements
from upgrader.version import ReleaseVersion

FILE = "/app/commands/v1_0_0/1_change.py"


def step(
    *statements: str | CapturedStatement,
    transactional: bool = True,
    direction: Direction = Direction.UP,
    kind: CommandKind = CommandKind.FAST,
    left_out: int = 0,
) -> StepStatements:
    """Give a step whose first statement was issued in line 10, the second in line 20, and so on."""
    return StepStatements(
        Step("1.0.0_Change_1", kind, ReleaseVersion.parse("1.0.0"), 1, "Change", transactional=transactional),
        direction,
        tuple(
            one
            if isinstance(one, CapturedStatement)
            else CapturedStatement(one, FILE, number * 10, in_transaction=transactional)
            for number, one in enumerate(statements, start=1)
        ),
        left_out,
    )


def lint(*steps: StepStatements, exclude: tuple[str, ...] = ()) -> list[Finding]:
    return lint_steps(steps, server_version=180004, exclude=exclude)


def told(*steps: StepStatements, exclude: tuple[str, ...] = ()) -> list[tuple[int | None, str]]:
    """Give line and rule of each finding."""
    return [(one.line, one.rule) for one in lint(*steps, exclude=exclude)]
