"""The workspaces of a plan, grouped by the progress that they share."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from upgrader.model import Progress
    from upgrader.sequence.plan import PlanOptions
    from upgrader.sequence.state import Member

Key = int
"""The identity of a progress: one look-up serves every workspace that shares it."""


class Roster:
    """Workspaces in order: those that may run, and those that are left alone and hold the barrier.

    Attributes:
        free: the workspaces that may run.
        held: the workspaces that are left alone in this run.
    """

    def __init__(self, *, free: Sequence[Member], held: Sequence[Member] = ()) -> None:
        self.free = free
        self.held = held
        self._found: dict[frozenset[Key], Sequence[Member]] = {}

    @classmethod
    def of(cls, members: Sequence[Member], *, options: PlanOptions) -> Roster:
        """Part those that may run from those that are left alone."""
        held = [member for member in members if _is_held(member, options)]
        if not held:
            return cls(free=members)
        ids = {member.workspace_id for member in held}
        return cls(free=[member for member in members if member.workspace_id not in ids], held=held)

    def only(self, workspace_ids: Collection[str]) -> Roster:
        """Give the part that was selected; who is held stays."""
        return Roster(
            free=[member for member in self.free if member.workspace_id in workspace_ids], held=self.held
        )

    @cached_property
    def progresses(self) -> dict[Key, Progress]:
        """Each progress once, by its key."""
        return {id(member.progress): member.progress for member in (*self.free, *self.held)}

    @cached_property
    def free_counts(self) -> Counter[Key]:
        """How many of those that may run share each progress."""
        return Counter(id(member.progress) for member in self.free)

    def free_at(self, keys: Collection[Key]) -> Sequence[Member]:
        """Give those that may run and have one of these progresses, in order."""
        wanted = frozenset(self.free_counts).intersection(keys)
        if len(wanted) == len(self.free_counts):
            return self.free
        if wanted not in self._found:
            self._found[wanted] = [member for member in self.free if id(member.progress) in wanted]
        return self._found[wanted]

    def held_at(self, keys: Collection[Key]) -> Sequence[Member]:
        """Give those that are left alone and have one of these progresses, in order."""
        return [member for member in self.held if id(member.progress) in keys]


def _is_held(member: Member, options: PlanOptions) -> bool:
    if member.workspace_id in options.attempted:
        return True
    return options.under_way and not options.unenrolled_run_all and member.progress.enrolment is None
