"""What the planner is told of the database."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from upgrader.model import Progress, Quarantine


class Source(StrEnum):
    """Where workspaces come from."""

    LISTED = "listed"  # a table or a provider that is there
    ABSENT = "absent"  # no workspace table and no provider


@dataclass(frozen=True, slots=True)
class Member:
    """A workspace and how far it is. `status` is for messages; None where there is none.

    Attributes:
        quarantine: why it is set aside; None where it is not.
    """

    workspace_id: str
    progress: Progress
    status: str | None = None
    quarantine: Quarantine | None = None


@dataclass(frozen=True, eq=False)
class DatabaseState:
    """How far the database is, as read at one moment.

    Attributes:
        instance: the instance's progress.
        members: the workspaces in scope, in the order in which they are run. Reading a member twice must
            give the same progress object: the planner keeps its book by identity.
        others: the workspaces out of scope (by status), in the same order.
        quarantined: the workspaces that would be in scope and are set aside, in the same order: nothing runs
            on them and no barrier waits for them. Each has its `quarantine`.
        is_first: there is no history yet. The readers of the state then give the instance and every
            workspace an enrolment at the beginning, so the planner need not treat this apart.
        source: whether there is a workspace table or provider at all.
        source_description: names the table or provider, for messages: `table core.workspace`.
    """

    instance: Progress
    members: Sequence[Member] = ()
    others: Sequence[Member] = ()
    quarantined: Sequence[Member] = ()
    is_first: bool = False
    source: Source = Source.LISTED
    source_description: str = "table core.workspace"
    statuses: Sequence[str] = field(default=("ACTIVE", "SUSPENDED"))
