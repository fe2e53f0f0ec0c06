"""What an explanation is made from: the database at one moment, and who holds which barrier."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from upgrader.model import AttemptStatus
from upgrader.sequence.missing import find_missing
from upgrader.sequence.pending import PendingSteps
from upgrader.sequence.planner import make_plan
from upgrader.sequence.situation import Situation
from upgrader.sequence.wording import counted
from upgrader.status.explanation import NAMED_AT_MOST, Cause, Reason, Try

if TYPE_CHECKING:
    from upgrader.history.store import AttemptFilter
    from upgrader.model import Attempt, Progress, Scope, Step, Workspace
    from upgrader.sequence.plan import Plan, PlanOptions
    from upgrader.sequence.sequence import StepSequence
    from upgrader.sequence.state import DatabaseState, Member
    from upgrader.status.running import RunningUpgrade
    from upgrader.version import ReleaseVersion

_CUT_OFF = (AttemptStatus.FAILED, AttemptStatus.INTERRUPTED)


class Attempts(Protocol):
    """The part of a history store that is asked; see there."""

    def latest_open(self, scopes: Iterable[Scope], *, step: str | None = None) -> Iterator[Attempt]:
        """Give the latest attempt of each step that was tried and is not completed, in these scopes."""

    def attempts(self, wanted: AttemptFilter) -> Iterator[Attempt]:
        """Give attempts, newest first."""


@dataclass(frozen=True, eq=False)
class Case:
    """The database at one moment, and what asks about it.

    Attributes:
        sequence: everything that is loaded.
        options: those of an `upgrade` without flags.
        workspaces: by id, for their names.
        running: the upgrade that is at work.
    """

    sequence: StepSequence
    state: DatabaseState
    options: PlanOptions
    attempts: Attempts
    workspaces: Mapping[str, Workspace] = field(default_factory=dict)
    running: RunningUpgrade | None = None

    @cached_property
    def due(self) -> StepSequence:
        """What `app_version` covers; a step that came after slow ones which are done is like any other."""
        return self.sequence.released(self.state.instance).covered_by(self.options.app_version)

    @cached_property
    def pending(self) -> PendingSteps:
        """What is pending, by progress."""
        return PendingSteps(self.due)

    @cached_property
    def plan(self) -> Plan:
        """What an upgrade without flags would do."""
        return make_plan(self.sequence, self.state, self.options)

    @cached_property
    def situation(self) -> Situation:
        """What the planner sees."""
        return Situation(self.sequence, self.state, self.options)

    @cached_property
    def missing(self) -> Mapping[str, frozenset[str]]:
        """The missing steps by name, with the ids of the workspaces in which they are missing."""
        if self.options.run_missing:
            return {}
        found = find_missing(self.situation.due, self.state, completed=self.situation.completed)
        return {one.step.name: frozenset(one.workspace_ids) for one in found}

    def waits_for_slow(self, step: Step) -> tuple[Step, ...]:
        """Give the pending slow steps that a workspace step waits for; none where it waits for none."""
        if not step.after_slow or not step.is_workspace:
            return ()
        pending = self.pending.of(self.state.instance, workspace=False)
        return tuple(one for one in pending if one.is_slow and one.version == step.version)

    def comes_first(self, step: Step, progress: Progress) -> Step | None:
        """Give the first pending step of a workspace before `step` that does not wait for slow ones; None if none."""
        pending = self.pending.of(progress, workspace=True)
        before = (one for one in pending if one.sort_key < step.sort_key and not self.waits_for_slow(one))
        return next(before, None)

    def version_after(self, version: ReleaseVersion) -> ReleaseVersion | None:
        """Give the next version that has anything to run in any scope."""
        return next(
            (work.version for work in self.situation.works if work.version > version and work.is_wanted), None
        )

    def is_late(self, progress: Progress, version: ReleaseVersion) -> bool:
        """Tell whether the rest of the database has gone past a version that a workspace has not."""
        highest = self.situation.completed.highest_elsewhere(progress)
        return highest is not None and highest > version

    def status_of(self, step: Step, progress: Progress) -> AttemptStatus | None:
        """Give the status of the latest attempt at a step that is not done; a dead run's is interrupted."""
        status = progress.open.get(step.name)
        if status is AttemptStatus.RUNNING and self.running is None:
            return AttemptStatus.INTERRUPTED
        return status

    def has_failed(self, member: Member) -> bool:
        """Tell whether a workspace stands at a step that failed or was cut off."""
        steps = self.pending.of(member.progress, workspace=True)
        return bool(steps) and self.status_of(steps[0], member.progress) in _CUT_OFF

    def tries(self, step: Step, scopes: Sequence[Scope]) -> tuple[Try, ...]:
        """Read the latest attempts at a step in a few scopes."""
        return tuple(as_try(one) for one in self.attempts.latest_open(scopes, step=step.name))

    def holders(self, version: ReleaseVersion, *, but: str | None = None) -> Iterator[Reason]:
        """Give what holds the barrier before a version: instance steps, slow steps, workspaces.

        Args:
            but: the workspace that asks.
        """
        works = [work for work in self.situation.works if work.version < version]
        steps = [step for work in works for step in work.instance_steps]
        if steps:
            yield self._instance_steps(steps, f"the barrier before {version} is closed")
        slow = [step for work in works for step in work.deferred]
        if slow and not self.options.defer_slow:
            yield Reason(
                Cause.BEHIND_SLOW,
                f"the barrier before {version} is closed by {counted(len(slow), 'slow step')} that only "
                "--include-slow runs",
                steps=tuple(step.name for step in slow[:NAMED_AT_MOST]),
            )
        keys = {key for work in works for key in work.ready}
        behind = [m for m in self.state.members if id(m.progress) in keys and m.workspace_id != but]
        if behind:
            yield self._workspaces(behind, version, is_alone=but is None)

    def instance_before(self, step: Step) -> Iterator[Reason]:
        """Give the fast steps of a workspace step's own version that come before it and are not done."""
        works = [work for work in self.situation.works if work.version == step.version]
        steps = [one for work in works for one in work.instance_steps]
        if steps:
            yield self._instance_steps(steps, f"the instance comes first in {step.version}")

    def _instance_steps(self, steps: Sequence[Step], why: str) -> Reason:
        failed = [one for one in steps if self.status_of(one, self.state.instance) in _CUT_OFF]
        how = _failed(len(failed), len(steps))
        return Reason(
            Cause.BEHIND_INSTANCE,
            f"{why}: {counted(len(steps), 'instance step')} not done{how}",
            steps=tuple(
                step.name for step in (*failed, *(s for s in steps if s not in failed))[:NAMED_AT_MOST]
            ),
            failed_count=len(failed),
        )

    def _workspaces(self, behind: Sequence[Member], version: ReleaseVersion, *, is_alone: bool) -> Reason:
        failed = [member for member in behind if self.has_failed(member)]
        how = _failed(len(failed), len(behind))
        marked = {member.workspace_id for member in failed}
        first = [*failed, *(member for member in behind if member.workspace_id not in marked)][:NAMED_AT_MOST]
        count = counted(len(behind), "workspace" if is_alone else "other workspace")
        return Reason(
            Cause.BEHIND_WORKSPACES,
            f"the barrier before {version} is closed: {count} not through what comes before{how}",
            workspace_ids=tuple(member.workspace_id for member in first),
            workspace_count=len(behind),
            failed_count=len(failed),
        )


def _failed(count: int, of: int) -> str:
    if not count:
        return ", and none of them failed: a run takes them along" if of > 1 else ", and a run takes it along"
    return f", {count:,} of them failed" if of > 1 else ", it failed"


def as_try(attempt: Attempt) -> Try:
    """Give what is told of an attempt."""
    return Try(
        workspace_id=attempt.scope.workspace_id,
        step=attempt.name,
        attempt=attempt.attempt,
        at=attempt.finished_at or attempt.started_at,
        executed_by_version=attempt.executed_by_version,
        error=attempt.error_message,
    )
