"""Everything that the planner looks at, gathered once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from upgrader.sequence.completed import CompletedNames
from upgrader.sequence.roster import Roster
from upgrader.sequence.state import DatabaseState, Member, Source
from upgrader.sequence.work import VersionWork, find_work

if TYPE_CHECKING:
    from upgrader.sequence.plan import PlanOptions
    from upgrader.sequence.sequence import StepSequence, VersionSteps
    from upgrader.version import ReleaseVersion


@dataclass(frozen=True, eq=False)
class Situation:
    """The sequence, the database and the options, with what follows from them.

    Attributes:
        sequence: everything that is loaded, dormant steps included.
    """

    sequence: StepSequence
    state: DatabaseState
    options: PlanOptions

    @cached_property
    def due(self) -> StepSequence:
        """The part that this run is about: what `app_version` covers, up to `to`."""
        covered = self.sequence.covered_by(self.options.app_version)
        return covered if self.options.to is None else covered.up_to(self.options.to)

    @property
    def target(self) -> ReleaseVersion | None:
        """The version that a complete run reaches; None where nothing is due."""
        return self.due.steps[-1].version if self.due.steps else None

    @cached_property
    def completed(self) -> CompletedNames:
        """What the history says was completed."""
        return CompletedNames(self.state)

    @cached_property
    def roster(self) -> Roster:
        """The workspaces in scope."""
        return Roster.of(self.state.members, options=self.options)

    @cached_property
    def works(self) -> tuple[VersionWork, ...]:
        """The versions with anything pending, ascending."""
        return find_work(
            self.due, self.state, options=self.options, roster=self.roster, completed=self.completed
        )

    @property
    def is_anything_due(self) -> bool:
        """Whether anything is pending in scope that this run was asked to run."""
        return any(work.is_wanted for work in self.works)

    @cached_property
    def begun(self) -> ReleaseVersion | None:
        """The highest due version that any scope has begun."""
        return self.completed.highest_in_scope(up_to=self.target) if self.target else None

    @cached_property
    def segments(self) -> tuple[VersionSteps, ...]:
        """The due versions with workspace steps, without those that a baseline of the instance covers."""
        baseline = self.state.instance.enrolment
        return tuple(
            part
            for part in self.due.versions
            if part.workspace and not (baseline and baseline.covers(part.version))
        )

    @property
    def lacks_source(self) -> bool:
        """Whether there are segments and nothing to say which workspaces there are."""
        return self.state.source is Source.ABSENT and bool(self.segments)

    @property
    def unenrolled(self) -> tuple[Member, ...]:
        """Workspaces in scope that never entered and are not to be run on."""
        if self.options.unenrolled_run_all:
            return ()
        return tuple(member for member in self.state.members if member.progress.enrolment is None)
