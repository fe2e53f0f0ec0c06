"""Writes down what steps execute while they are tried: each statement with its parameters, up to a limit."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg

from upgrader.database.opaque import OpaqueKind, opaque_parts
from upgrader.events import Event, StatementExecuted
from upgrader.lint.outside_transaction import outside_only
from upgrader.model import Scope, Step, Workspace
from upgrader.runner.script import Phase, ScriptStatement, ScriptStep
from upgrader.runner.step_parts import StepParts
from upgrader.runner.step_runner import StepRunner

MOST_OF_A_MIGRATION = 3
"""How many statements of one text and line of a data migration are shown; they differ in their values only."""
MOST_OF_A_STEP = 10_000
MOST_CHARACTERS = 10_000_000
"""Of one step: what is more is counted and not shown."""

_READ = re.compile(r"\s*(?:select|show|values|table)\b", re.IGNORECASE)
_SAVEPOINT = re.compile(r"\s*(?P<what>savepoint|release|rollback\s+to)\b", re.IGNORECASE)
_TRANSACTION = {"savepoint": "BEGIN", "release": "COMMIT", "rollback to": "ROLLBACK"}


@dataclass
class _Page:
    """What one step in one scope has executed so far."""

    step: Step
    workspace: Workspace | None
    others: tuple[str, ...]
    settings: Mapping[str, str]
    migration_settings: Mapping[str, str]
    statements: list[ScriptStatement] = field(default_factory=list)
    alike: Counter[tuple[str, str | None, int | None]] = field(default_factory=Counter)
    characters: int = 0
    left_out: int = 0
    depth: int = 0
    problem: str | None = None
    has_failed: bool = False

    def close(self) -> ScriptStep:
        return ScriptStep(
            self.step,
            self.workspace,
            tuple(self.statements),
            self.others,
            self.settings,
            self.migration_settings,
            self.left_out,
            self.problem,
            self.has_failed,
        )


class ScriptBook:
    """One page for each step in each scope.

    Attributes:
        phase: which part of the command is at work.
        is_paused: nothing is written: a step is only done once more, so that others can build on it.
        is_recording: what cannot run inside a transaction is let pass by.
        is_proving: everything is let pass by: a proof that a real run gives before its transaction.
    """

    def __init__(self) -> None:
        """Begin with no page."""
        self._pages: dict[tuple[str, Scope], _Page] = {}
        self._cursor: psycopg.ClientCursor[Any] | None = None
        self.phase = Phase.COMMAND
        self.is_paused = False
        self.is_recording = False
        self.is_proving = False

    def open(
        self,
        step: Step,
        workspace: Workspace | None,
        *,
        others: tuple[str, ...],
        settings: Mapping[str, str],
        migration_settings: Mapping[str, str],
        driver: psycopg.Connection,
    ) -> None:
        """Begin the page of a step; what it executes from here on is written there.

        Args:
            driver: the connection on which it runs: it knows how to write values.
        """
        scope = Scope(workspace.id if workspace else None)
        self._pages[step.name, scope] = _Page(step, workspace, others, settings, migration_settings)
        self._cursor = psycopg.ClientCursor(driver)
        self.phase = Phase.COMMAND

    def note(self, step: Step, scope: Scope, problem: str, *, has_failed: bool = False) -> None:
        """Write down why the page of a step is not whole.

        Args:
            has_failed: the step itself fails; else its last statement was refused only because something is
                not there that a real run has made by then.
        """
        page = self._pages[step.name, scope]
        page.problem, page.has_failed = problem, has_failed
        if not has_failed and page.statements and page.statements[-1].has_failed:
            page.statements[-1] = replace(page.statements[-1], was_executed=False, has_failed=False)

    def listening_runner(self, parts: StepParts) -> StepRunner:
        """Make a runner whose statements are written down here; everything else is told as before."""
        forward = parts.emit

        def emit(event: Event) -> None:
            if isinstance(event, StatementExecuted):
                self.write(event)
            else:
                forward(event)

        return StepRunner(replace(parts, emit=emit, is_watched=True))

    def write(self, event: StatementExecuted) -> None:
        """Write a statement down."""
        page = self._pages.get((event.step_name, event.scope))
        if page is None or self.is_paused or (event.is_helped and _READ.match(event.statement)):
            return
        ends = self._transaction(page, event)
        if ends in ("COMMIT", "ROLLBACK") and page.statements and page.statements[-1].sql == "BEGIN":
            page.statements.pop()  # of this transaction nothing is shown
            return
        for sql in [ends] if ends else self._written(event):
            self._add(page, event, sql)

    def steps(self) -> tuple[ScriptStep, ...]:
        """Give all pages, in order."""
        return tuple(page.close() for page in self._pages.values())

    def _add(self, page: _Page, event: StatementExecuted, sql: str) -> None:
        key = (event.statement, event.file, event.line)
        page.alike[key] += 1
        is_one_of_many = self.phase is Phase.DATA_MIGRATION and page.alike[key] > MOST_OF_A_MIGRATION
        page.characters += len(sql)
        if is_one_of_many or len(page.statements) >= MOST_OF_A_STEP or page.characters > MOST_CHARACTERS:
            page.left_out += 1
            return
        passed_by = self.is_proving or (self.is_recording and outside_only(event.statement) is not None)
        page.statements.append(
            ScriptStatement(sql, event.file, event.line, self.phase, not passed_by, event.has_failed)
        )

    def _transaction(self, page: _Page, event: StatementExecuted) -> str:
        """Name the end or the beginning of a transaction of a data migration, which is a savepoint here."""
        match = _SAVEPOINT.match(event.statement) if self.phase is Phase.DATA_MIGRATION else None
        if match is None:
            return ""
        what = " ".join(match["what"].lower().split())
        page.depth += 1 if what == "savepoint" else 0
        is_outermost = page.depth == 1
        page.depth -= 0 if what == "savepoint" else 1
        return _TRANSACTION[what] if is_outermost else ""

    def _written(self, event: StatementExecuted) -> Iterator[str]:
        """Give the statement with its parameters in it, one for each set of them."""
        sets = event.parameters if isinstance(event.parameters, list) else [event.parameters]
        for parameters in sets:
            yield _without_semicolon(self._with_values(event, parameters))

    def _with_values(self, event: StatementExecuted, parameters: Any) -> str:
        if not event.escapes_percent or self._cursor is None:
            return event.statement
        try:
            return self._cursor.mogrify(event.statement.encode(), parameters)
        except Exception:  # a value of a kind that only the server-side protocol can take
            return event.statement


def _without_semicolon(sql: str) -> str:
    """Take semicolons and blanks from the end; a comment there gets its end of line."""
    sql = sql.strip().rstrip(";").rstrip()
    *_, last = [None, *opaque_parts(sql)]
    if last is not None and last.kind is OpaqueKind.COMMENT and last.stop == len(sql):
        return sql + "\n"
    return sql
