"""What is left to do, version by version, before anybody asks about barriers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from upgrader.model import Step
from upgrader.sequence.pending import pending_steps
from upgrader.sequence.plan import PlannedVersion, PlanOptions
from upgrader.sequence.roster import Key, Roster
from upgrader.sequence.segment import SegmentTasks
from upgrader.sequence.sequence import StepSequence, VersionSteps

if TYPE_CHECKING:
    from upgrader.sequence.completed import CompletedNames
    from upgrader.sequence.state import DatabaseState, Member
    from upgrader.version import ReleaseVersion

StepsByKey = Mapping[Key, tuple[Step, ...]]


@dataclass(frozen=True, eq=False)
class VersionWork:
    """What is pending in one version.

    Attributes:
        instance_steps: those that would run.
        deferred: slow steps that would not.
        ready: workspace steps that may run, by progress.
        waiting: workspace steps that wait for the deferred slow steps, by progress.
    """

    version: ReleaseVersion
    roster: Roster
    completed: CompletedNames
    instance_steps: tuple[Step, ...] = ()
    deferred: tuple[Step, ...] = ()
    ready: StepsByKey = field(default_factory=dict)
    waiting: StepsByKey = field(default_factory=dict)

    @property
    def has_pending(self) -> bool:
        """Whether anything is left in it, in any scope."""
        return bool(self.instance_steps or self.deferred or self.ready or self.waiting)

    @property
    def is_wanted(self) -> bool:
        """Whether anything in it is due now, in any scope, those that are left alone included."""
        return bool(self.instance_steps or self.ready)

    @cached_property
    def is_runnable(self) -> bool:
        """Whether anything of it would run."""
        return bool(self.instance_steps) or any(key in self.roster.free_counts for key in self.ready)

    @cached_property
    def tasks(self) -> SegmentTasks:
        """The segment."""
        return SegmentTasks(self.roster.free_at(self.ready), steps=self.ready)

    @property
    def holders(self) -> Sequence[Member]:
        """Workspaces that are left alone with something to run in this version."""
        return self.roster.held_at(self.ready)

    def without_segment(self) -> VersionWork:
        """Give the instance's part."""
        return replace(self, ready={}, waiting={})

    def with_roster(self, roster: Roster) -> VersionWork:
        """Give the part of some of the workspaces."""
        return replace(self, roster=roster)

    def planned(self) -> PlannedVersion:
        """Give what a run that comes here would do."""
        return PlannedVersion(
            self.version,
            instance_steps=self.instance_steps,
            deferred=self.deferred,
            tasks=self.tasks,
            waiting=self.waiting_counts(),
            late=self._late(),
        )

    def waiting_counts(self) -> tuple[tuple[Step, int], ...]:
        """Give the steps that wait, each with the number of workspaces."""
        counts: dict[Step, int] = defaultdict(int)
        for key, steps in self.waiting.items():
            for step in steps:
                counts[step] += self.roster.free_counts.get(key, 0)
        found = [(step, count) for step, count in counts.items() if count]
        return tuple(sorted(found, key=lambda pair: pair[0].sort_key))

    def _late(self) -> tuple[str, ...]:
        late = {key for key in self.ready if key in self.roster.free_counts and self._is_overtaken(key)}
        return tuple(member.workspace_id for member in self.roster.free_at(late)) if late else ()

    def _is_overtaken(self, key: Key) -> bool:
        highest = self.completed.highest_elsewhere(self.roster.progresses[key])
        return highest is not None and highest > self.version


def find_work(
    due: StepSequence,
    state: DatabaseState,
    *,
    options: PlanOptions,
    roster: Roster,
    completed: CompletedNames,
) -> tuple[VersionWork, ...]:
    """Give the versions with anything pending in the instance or a workspace in scope, ascending."""
    segments = _pending_segments(due, roster)
    made = (
        _work_of(part, VersionWork(part.version, roster, completed), state, options, segments[part.version])
        for part in due.versions
    )
    return tuple(work for work in made if work.has_pending)


def _work_of(
    part: VersionSteps, empty: VersionWork, state: DatabaseState, options: PlanOptions, segment: StepsByKey
) -> VersionWork:
    pending = [step for step in part.instance if not state.instance.is_done(step)]
    deferred = tuple(step for step in pending if step.is_slow and not options.include_slow)
    waits = bool(deferred)
    return replace(
        empty,
        instance_steps=tuple(step for step in pending if options.include_slow or not step.is_slow),
        deferred=deferred,
        ready=_some(segment, waiting=False) if waits else segment,
        waiting=_some(segment, waiting=True) if waits else {},
    )


def _some(segment: StepsByKey, *, waiting: bool) -> StepsByKey:
    distinct = {id(steps): steps for steps in segment.values()}
    chosen = {
        key: tuple(step for step in steps if step.after_slow is waiting) for key, steps in distinct.items()
    }
    return {key: chosen[id(steps)] for key, steps in segment.items() if chosen[id(steps)]}


def _pending_segments(
    due: StepSequence, roster: Roster
) -> Mapping[ReleaseVersion, dict[Key, tuple[Step, ...]]]:
    segments: dict[ReleaseVersion, dict[Key, tuple[Step, ...]]] = defaultdict(dict)
    shared: dict[tuple[int, ...], tuple[Step, ...]] = {}  # by identity: hashing steps would cost more
    for key, progress in roster.progresses.items():
        for steps in _by_version(pending_steps(due, progress, workspace=True)):
            segments[steps[0].version][key] = shared.setdefault(tuple(map(id, steps)), steps)
    return segments


def _by_version(steps: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
    return (part.workspace for part in StepSequence(steps).versions)
