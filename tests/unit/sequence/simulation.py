"""A database in memory that a plan is carried out on, step by step, with every barrier looked at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from upgrader.model import Progress, Step
from upgrader.sequence.plan import Plan, PlannedVersion, PlanOptions
from upgrader.sequence.sequence import StepSequence
from upgrader.sequence.state import DatabaseState, Member
from upgrader.version import ReleaseVersion


class BarrierCrossedError(AssertionError):
    """A step started before everything so far was done."""


class KilledError(Exception):
    """The run was killed between two steps."""


class Simulation:
    """Carry a plan out, with the rules of the barrier in their plainest form and nothing of the planner."""

    def __init__(self, sequence: StepSequence, state: DatabaseState, options: PlanOptions) -> None:
        due = sequence.covered_by(options.app_version)
        self.due = due if options.to is None else due.up_to(options.to)
        self.options = options
        self.instance = state.instance
        self.quarantined = state.quarantined
        self.members = {member.workspace_id: member.progress for member in state.members}
        self.ran: list[tuple[str | None, Step]] = []
        self.steps_left: int | None = None

    @property
    def state(self) -> DatabaseState:
        members = [Member(one, progress, "ACTIVE") for one, progress in self.members.items()]
        return DatabaseState(self.instance, members, quarantined=self.quarantined)

    def carry_out(self, plan: Plan, *, killed_after: int | None = None) -> None:
        """Run every step of a plan, or the first so many; each must be pending when its turn comes."""
        self.steps_left = killed_after
        try:
            for version in plan.versions:
                if not version.is_empty:
                    self.check_barrier(version.version)
                self._carry_out_version(version)
        except KilledError:
            return

    def _carry_out_version(self, planned: PlannedVersion) -> None:
        for step in planned.instance_steps:
            self.instance = self._run(step, self.instance, None)
        for task in planned.tasks:
            for step in task.steps:
                progress = self.members[task.workspace_id]
                self.members[task.workspace_id] = self._run(step, progress, task.workspace_id)

    def _run(self, step: Step, progress: Progress, workspace_id: str | None) -> Progress:
        assert not progress.is_done(step)
        if self.steps_left is not None:
            if self.steps_left == 0:
                raise KilledError
            self.steps_left -= 1
        self.ran.append((workspace_id, step))
        still_open = {name: status for name, status in progress.open.items() if name != step.name}
        return replace(progress, completed=progress.completed | {step.name}, open=still_open)

    def check_barrier(self, version: ReleaseVersion) -> None:
        """Look at the barrier before a version."""
        for step in self.due:
            if step.version < version and self._is_left(step) and not self._may_be_overtaken(step):
                raise BarrierCrossedError(f"{step.name} is left before {version}")

    def _is_left(self, step: Step) -> bool:
        scopes: Iterable[Progress] = self.members.values() if step.is_workspace else [self.instance]
        return any(not progress.is_done(step) for progress in scopes)

    def _may_be_overtaken(self, step: Step) -> bool:
        if not self.options.defer_slow or self.options.include_slow:
            return False
        return step.is_slow or (step.after_slow and self._has_slow_left(step.version))

    def _has_slow_left(self, version: ReleaseVersion) -> bool:
        slow = (step for step in self.due if step.is_slow and step.version == version)
        return any(not self.instance.is_done(step) for step in slow)


def positions(
    sequence: StepSequence, ran: Iterable[tuple[str | None, Step]]
) -> Mapping[str | None, list[int]]:
    """Give the places in the sequence of what ran, by scope, in the order of running."""
    places = {step.name: place for place, step in enumerate(sequence)}
    found: dict[str | None, list[int]] = {}
    for workspace_id, step in ran:
        found.setdefault(workspace_id, []).append(places[step.name])
    return found
