"""Everything that the planner of the way down looks at, gathered once."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from upgrader.sequence.completed import CompletedNames, version_of
from upgrader.sequence.down_plan import DownOptions, UnfinishedStep
from upgrader.sequence.presence import is_there, is_unfinished
from upgrader.sequence.roster import Key, Roster
from upgrader.sequence.state import DatabaseState, Member

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from upgrader.model import AttemptStatus, Progress, Step
    from upgrader.sequence.sequence import StepSequence
    from upgrader.version import ReleaseVersion


@dataclass(frozen=True, eq=False)
class VersionDescent:
    """What is to be taken back of one version.

    Attributes:
        instance_steps: newest first.
        segment: workspace steps, newest first, by progress.
    """

    version: ReleaseVersion
    instance_steps: tuple[Step, ...]
    segment: Mapping[Key, tuple[Step, ...]]


@dataclass(frozen=True, eq=False)
class Descent:
    """The sequence, the database and what is asked for, with what follows from them.

    Attributes:
        sequence: everything that is loaded, dormant steps included.
    """

    sequence: StepSequence
    state: DatabaseState
    options: DownOptions

    @cached_property
    def everyone(self) -> DatabaseState:
        """The database with every workspace in scope, whatever its status."""
        others = (member for member in self.state.others if member.quarantine is None)
        return replace(self.state, members=[*self.state.members, *others], others=())

    @cached_property
    def roster(self) -> Roster:
        """The workspaces: those that were tried in this run already are left alone."""
        tried, everyone = self.options.attempted, self.everyone.members
        if not tried:
            return Roster(free=everyone)
        return Roster(
            free=[member for member in everyone if member.workspace_id not in tried],
            held=[member for member in everyone if member.workspace_id in tried],
        )

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """What is to be taken back somewhere, newest first."""
        newest_first = reversed(self.sequence.steps)
        there = [step for step in newest_first if any(is_there(step, one) for one in self._scopes_of(step))]
        options = self.options
        if options.names is not None:
            return tuple(step for step in there if step.name in options.names)
        if options.to is not None:
            return tuple(step for step in there if step.version > options.to)
        return tuple(there[: options.steps])

    @cached_property
    def versions(self) -> tuple[VersionDescent, ...]:
        """The same by version, newest first."""
        by_version: dict[ReleaseVersion, list[Step]] = defaultdict(list)
        for step in self.steps:
            by_version[step.version].append(step)
        return tuple(self._descent(version, steps) for version, steps in by_version.items())

    @cached_property
    def completed(self) -> CompletedNames:
        """What the history says was completed."""
        return CompletedNames(self.state)

    @property
    def unknown_names(self) -> Iterator[tuple[str, ReleaseVersion]]:
        """The names on the way that are done, or half taken back, and not in the code, ascending."""
        half = {name for progress in self._everything for name in progress.half_reverted}
        found = {**self.completed.versions, **{name: version_of(name) for name in half}}
        known = [(name, version) for name, version in found.items() if version is not None]
        for name, version in sorted(known, key=lambda pair: (pair[1], pair[0])):
            if name not in self.sequence.by_name and self.is_on_the_way(version):
                yield name, version

    @property
    def unenrolled(self) -> tuple[Member, ...]:
        """Workspaces in scope of which nobody has said what shape they are in."""
        if self.options.unenrolled_run_all:
            return ()
        return tuple(member for member in self.state.members if member.progress.enrolment is None)

    @cached_property
    def unfinished(self) -> tuple[UnfinishedStep, ...]:
        """What is half done, newest first."""
        return tuple(one for step in self.steps for one in self._unfinished(step))

    def is_on_the_way(self, version: ReleaseVersion) -> bool:
        """Tell whether steps of a version that the code does not have would have to be taken back, too."""
        if self.options.to is not None:
            return version > self.options.to
        if self.options.names is not None and not self.steps:
            return False  # a run that planned these has come to its end
        return not self.steps or version >= self.steps[-1].version

    @cached_property
    def _everything(self) -> tuple[Progress, ...]:
        return (self.state.instance, *self.roster.progresses.values())

    def _scopes_of(self, step: Step) -> Sequence[Progress]:
        return tuple(self.roster.progresses.values()) if step.is_workspace else (self.state.instance,)

    def _descent(self, version: ReleaseVersion, steps: list[Step]) -> VersionDescent:
        wanted = [step for step in steps if step.is_workspace]
        segment: dict[Key, tuple[Step, ...]] = {}
        for key, progress in self.roster.progresses.items():
            there = tuple(step for step in wanted if is_there(step, progress))
            if there:
                segment[key] = there
        return VersionDescent(version, tuple(step for step in steps if not step.is_workspace), segment)

    def _unfinished(self, step: Step) -> Iterator[UnfinishedStep]:
        if not step.is_workspace:
            if is_unfinished(step, self.state.instance):
                yield UnfinishedStep(step, self.state.instance.open[step.name])
            return
        counts: Counter[AttemptStatus] = Counter()
        for key, progress in self.roster.progresses.items():
            if is_unfinished(step, progress):
                counts[progress.open[step.name]] += self._counts[key]
        for status, count in sorted(counts.items()):
            yield UnfinishedStep(step, status, count)

    @cached_property
    def _counts(self) -> Counter[Key]:
        return Counter(id(member.progress) for member in self.everyone.members)
