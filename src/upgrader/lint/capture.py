"""Collects the statements of commands while they run: a sink of a run's events."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from upgrader.events import Event, EventSink, StatementExecuted, StepStarted, ignore_events
from upgrader.model import CapturedStatement, Direction, Scope, Step, StepStatements

MOST_OF_A_STEP = 1000
"""How many different statements of one step are kept."""
MOST_OF_A_LINE = 50
"""How many different statements of one line are kept: a backfill may write its values into the text."""
LONGEST_STATEMENT = 100_000
"""Characters; a longer statement is not kept."""

_READ = re.compile(r"\s*(?:select|show|values|table)\b", re.IGNORECASE)
_SAVEPOINT = re.compile(r"\s*(?:savepoint|release|rollback\s+to)\b", re.IGNORECASE)

_Line = tuple[str | None, int | None]


@dataclass
class _Collected:
    """What was kept of one step in one direction. An entry of `statements` is only a key: the order is kept."""

    step: Step
    direction: Direction
    first_scope: Scope
    statements: dict[CapturedStatement, None] = field(default_factory=dict)
    of_line: Counter[_Line] = field(default_factory=Counter)
    first_lines: set[_Line] = field(default_factory=set)
    left_out: int = 0

    def add(self, statement: CapturedStatement, scope: Scope) -> None:
        line = (statement.file, statement.line)
        if scope == self.first_scope:
            self.first_lines.add(line)
        elif line in self.first_lines:
            return  # in the first workspace this line was seen at work
        if statement in self.statements:
            return
        if (
            len(self.statements) >= MOST_OF_A_STEP
            or self.of_line[line] >= MOST_OF_A_LINE
            or len(statement.text) > LONGEST_STATEMENT
        ):
            self.left_out += 1
            return
        self.statements[statement] = None
        self.of_line[line] += 1


class StatementCapture:
    """Keeps the different statements of each step, in order, with the lines that issued them.

    Statements are only emitted by a run that is watched (`DatabaseAccess.parts(is_watched=True)`) or verbose.
    Of a workspace step those of the first workspace that ran it are kept, and of the others what comes from
    lines that the first did not reach. Savepoints are left out, and what the product's helpers only read.
    Memory is bounded.
    """

    def __init__(self, forward: EventSink = ignore_events) -> None:
        """Collect nothing yet.

        Args:
            forward: is sent every event, too.
        """
        self._forward = forward
        self._known: dict[str, Step] = {}
        self._collected: dict[tuple[str, Direction], _Collected] = {}

    def __call__(self, event: Event) -> None:
        """Take note of an event."""
        match event:
            case StepStarted():
                self._known[event.step.name] = event.step
            case StatementExecuted():
                self._take(event)
        self._forward(event)

    def steps(self) -> tuple[StepStatements, ...]:
        """Give what was collected, in the order in which the steps first executed something."""
        return tuple(
            StepStatements(one.step, one.direction, tuple(one.statements), one.left_out)
            for one in self._collected.values()
        )

    def _take(self, event: StatementExecuted) -> None:
        step = self._known.get(event.step_name)
        if step is None or _SAVEPOINT.match(event.statement):
            return
        if event.is_helped and _READ.match(event.statement):
            return
        collected = self._collected.setdefault(
            (step.name, event.direction), _Collected(step, event.direction, event.scope)
        )
        collected.add(
            CapturedStatement(
                event.statement,
                event.file,
                event.line,
                event.in_transaction,
                event.escapes_percent,
                event.is_helped,
                event.transaction,
            ),
            event.scope,
        )
