"""One step to run in one scope, and what may become of it beside an outcome."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from upgrader.model import Direction, Scope, Step, Workspace

if TYPE_CHECKING:
    from upgrader.runner.scope_transactions import ScopeTransactions


class LeftOut(Exception):  # noqa: N818 - not an error: the workspace went away since it was listed
    """The workspace is gone, or out of scope."""


class DoneElsewhere(Exception):  # noqa: N818 - not an error: a second runner did it
    """The step is done: another runner has come first."""


@dataclass(slots=True, eq=False)
class StepTask:
    """One step to run in one scope, or to take back there.

    One is made for each step in each workspace; frozen it would take four times as long.

    Attributes:
        workspace: None for an instance step.
        tried: whether there is an earlier attempt.
        is_first: whether it is the first step in this workspace in this segment: the workspace is looked at
            again right before it.
        is_resumed: whether somebody else may have been at work on the workspace since the survey.
        life: the life of the workspace's id in which it was planned; None where the run enrolled it itself.
        then: tells what comes next on this session, when the step is about to be completed; None where nobody
            knows.
        scope: where it runs.
        prepared: its transactions, where the step before on this session has made them ready.
    """

    step: Step
    workspace: Workspace | None = None
    index: int = 0
    total: int = 0
    tried: bool = False
    is_first: bool = False
    is_resumed: bool = False
    direction: Direction = Direction.UP
    life: int | None = None
    then: Callable[[], StepTask | None] | None = None
    scope: Scope = field(init=False)
    prepared: ScopeTransactions | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Put the scope together."""
        self.scope = Scope(self.workspace.id if self.workspace else None)

    @property
    def migrates_data(self) -> bool:
        """Whether `run_data_migration` comes first; there is none on the way down."""
        return self.step.has_data_migration and self.direction is Direction.UP
