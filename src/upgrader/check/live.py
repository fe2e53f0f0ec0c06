"""What the gate has to know of the live database after it has looked at the history."""

from __future__ import annotations

from dataclasses import dataclass

from upgrader.model import Step
from upgrader.runner.database_access import DatabaseAccess
from upgrader.sequence.state import DatabaseState


@dataclass(frozen=True)
class LiveDatabase:
    """The live database, as it was read.

    Attributes:
        access: opens another reading of it.
        server_version: as libpq gives it, 180004 for 18.4.
    """

    access: DatabaseAccess
    state: DatabaseState
    server_version: int

    def is_pending(self, step: Step) -> bool:
        """Tell whether a step is still to be run anywhere here; without a workspace yet, it is."""
        if not step.is_workspace:
            return not self.state.instance.is_done(step)
        progresses = {id(member.progress): member.progress for member in self.state.members}
        return not progresses or any(not progress.is_done(step) for progress in progresses.values())
