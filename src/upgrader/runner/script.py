"""What the pending steps would execute, as a value: the script that a DBA reviews."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from upgrader.model import Step, Workspace
from upgrader.runner.result import RunReport


class Phase(StrEnum):
    """Which part of a command issued a statement."""

    DATA_MIGRATION = "data-migration"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class ScriptStatement:
    """One statement, its parameters written into it.

    Attributes:
        sql: without a semicolon at its end. BEGIN, COMMIT and ROLLBACK stand for the transactions of a data
            migration.
        file: of the line that issued it, absolute; None where none is known.
        was_executed: False where it was let pass by because it cannot run inside a transaction, or was refused
            because it needs one that was.
        has_failed: the server refused it, and the command went on, or failed.
    """

    sql: str
    file: str | None
    line: int | None
    phase: Phase
    was_executed: bool = True
    has_failed: bool = False


@dataclass(frozen=True)
class ScriptStep:
    """One step in one scope.

    Attributes:
        workspace: None for an instance step.
        others: the further workspaces with the same pending steps, whose statements are not shown.
        settings: what the run sets for the step, by name, as SQL takes it.
        migration_settings: the same in each transaction of its data migration.
        left_out: how many statements are not shown.
        problem: why this is not all that the step executes; None where it is.
        has_failed: whether the step failed while the script was made.
    """

    step: Step
    workspace: Workspace | None
    statements: tuple[ScriptStatement, ...]
    others: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    migration_settings: Mapping[str, str] = field(default_factory=dict)
    left_out: int = 0
    problem: str | None = None
    has_failed: bool = False

    @property
    def depends_on_data(self) -> bool:
        """Whether it works with rows before its own transaction, moving them or looking through them."""
        return self.step.has_data_migration or any(
            one.phase is Phase.DATA_MIGRATION for one in self.statements
        )

    @property
    def was_executed(self) -> bool:
        """Whether every statement of it was executed while the script was made."""
        return all(statement.was_executed for statement in self.statements)


@dataclass(frozen=True)
class Script:
    """The whole script.

    Attributes:
        report: of the run that made it; its refusals, stop and warnings are those of the plan.
        server_version: as the server tells it.
        steps: in the order of the run.
        unseen: steps that would run and are not in the script, because it ended early.
    """

    report: RunReport
    server_version: str
    steps: tuple[ScriptStep, ...]
    unseen: tuple[Step, ...] = ()
