"""A downgrade from beginning to end: survey, plan, take the newest version of the plan back, and again.

Like an upgrade it carries nothing from one round to the next but what was tried in this run, and, where a
number of steps was asked for, which steps these are.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import psycopg

from upgrader.errors import OperatorError
from upgrader.events import Notice, VersionStarted
from upgrader.history.steps_back import StepsBack
from upgrader.model import Direction, Outcome, Progress
from upgrader.runner.looking import look, prepare, take_barrier
from upgrader.runner.options import DowngradeOptions, down_options
from upgrader.runner.reporting import reporting
from upgrader.runner.result import RunReport
from upgrader.runner.step_task import StepTask
from upgrader.runner.through import lower_through, raise_through
from upgrader.runner.upgrade import RunParts
from upgrader.sequence.down_plan import DownPlan
from upgrader.sequence.plan import PlannedVersion, StopReason
from upgrader.sequence.way_down import make_way_down
from upgrader.survey import Survey


class DowngradeRun:
    """One run of `downgrade` that keeps what it does."""

    def __init__(self, parts: RunParts, options: DowngradeOptions, report: RunReport) -> None:
        """Take the parts; nothing is done yet."""
        self._parts = parts
        self._options = options
        self._report = report
        self._names: frozenset[str] | None = None
        self._attempted: set[str] = set()
        self._under_way = False
        self._survey: Survey  # what was read last
        self._plan: DownPlan  # what follows from it
        self._due = 0  # reverted steps, once the version at hand is taken back

    def execute(self) -> RunReport:
        """Run until the plan is empty or something holds it. The run lock is held already.

        A run that is cut off has its error in the report.

        Raises:
            LayoutError, WorkspaceSourceError: refused before anything ran.
            OperatorError: something else is to be taken back than was confirmed.
        """
        report, parts = self._report, self._parts
        with reporting(report, emit=parts.emit, stop=parts.stop, is_under_way=lambda: self._under_way):
            prepare(parts)
            self._walk()
        if report.outcome is Outcome.INTERRUPTED and not report.left:
            report.left = max(0, self._due - report.completed)
        return report

    def _walk(self) -> None:
        self._names = self._unfinished_names()
        self._look()
        self._begin()
        if self._plan.refusals:
            self._report.outcome, self._report.refusals = Outcome.REFUSED, self._plan.refusals
            return
        self._settle_steps()
        if self._options.selection.is_filtered:
            self._walk_filtered()
        else:
            self._walk_all()
        self._finish()

    def _walk_all(self) -> None:
        while not self._is_over() and not self._plan.is_empty:
            if not self._take_back(self._plan.versions[0]):
                self._plan = replace(self._plan, stop=None, versions=self._plan.versions[1:])
                return
            self._look()

    def _walk_filtered(self) -> None:
        """Take one segment back; what is left for an unfiltered run is told."""
        for version in self._plan.versions:
            self._run_segment(version)
        self._plan = replace(self._plan, versions=())

    def _unfinished_names(self) -> frozenset[str] | None:
        if self._options.steps is None:
            return None
        names = self._steps_back.unfinished(self._options.steps)
        if names is not None:
            self._parts.emit(Notice(f"going on with a downgrade by {len(names)} steps that was cut off"))
        return names

    def _settle_steps(self) -> None:
        """Keep which steps a number of steps means: after the first one of them it would mean others."""
        if self._options.steps is not None and self._names is None and not self._plan.is_empty:
            self._names = frozenset(step.name for step in self._plan.steps)
            self._steps_back.begin(self._options.steps, self._names)

    @property
    def _steps_back(self) -> StepsBack:
        return StepsBack(self._parts.lock.driver, self._parts.settings.schema)

    def _begin(self) -> None:
        report, plan = self._report, self._plan
        report.target = plan.target
        report.stop, report.quarantined = plan.stop, plan.quarantined
        report.warnings.extend(plan.warnings)
        report.is_first = self._survey.state.is_first
        for warning in plan.warnings:
            self._parts.emit(Notice(warning, "warning"))
        confirmed = self._options.confirmed
        if confirmed is not None and not confirmed.issuperset(step.name for step in plan.steps):
            raise OperatorError(
                "the way back is another one than was confirmed: nothing was taken back",
                hint="somebody was at work in between: look at `upgrader plan --down`, then run it again",
            )

    def _look(self, *, at_barrier: bool = False) -> None:
        parts = self._parts
        if hasattr(self, "_survey"):
            del self._survey, self._plan
        self._survey = look(parts, at_barrier=at_barrier)
        options = down_options(
            self._options,
            parts.settings,
            names=self._names,
            attempted=frozenset(self._attempted),
            under_way=self._under_way,
        )
        self._plan = make_way_down(parts.sequence, self._survey.state, options)

    def _is_over(self) -> bool:
        return (
            self._parts.stop.requested
            or bool(self._plan.refusals)
            or self._report.too_many_failures is not None
            or (self._options.fail_fast and bool(self._report.failures))
        )

    def _take_back(self, current: PlannedVersion) -> bool:
        """Take back what is next of a version: its segment, or its instance steps once that is through.

        Between the two everything is read again, while nobody is enrolling a workspace: one that is being made
        in the newer shape would otherwise be missed. False if an instance step failed or the run is to stop.
        """
        if current.tasks:
            self._run_segment(current)
            return not self._parts.stop.requested
        if not take_barrier(self._parts):
            self._report.left += current.step_count
            return False
        try:
            self._look(at_barrier=True)
        finally:
            self._parts.lock.release_barrier()
        following = self._plan.versions[0] if self._plan.versions else None
        if self._is_over() or following is None or following.version != current.version or following.tasks:
            return not self._parts.stop.requested
        return self._run_instance(following)

    def _start(self, current: PlannedVersion, *, only: frozenset[str] | None = None) -> None:
        parts, state = self._parts, self._survey.state
        parts.lock.check()
        lower_through(state, parts.sequence, version=current.version, store=parts.store, only=only)
        self._under_way = True
        self._due = self._report.completed + current.step_count

    def _run_segment(self, current: PlannedVersion) -> None:
        parts, survey = self._parts, self._survey
        parts.emit(VersionStarted(current.version, len(current.instance_steps), len(current.tasks)))
        chosen = frozenset(task.workspace_id for task in current.tasks)
        self._start(current, only=chosen if self._options.selection.is_filtered else None)
        members = (*survey.state.members, *survey.state.others)
        progress: dict[str, Progress] = {member.workspace_id: member.progress for member in members}
        self._attempted |= parts.executor.run(
            current.version, current.tasks, survey.everyone, progress.__getitem__
        )
        if parts.stop.requested:
            self._report.left += len(current.instance_steps)

    def _run_instance(self, current: PlannedVersion) -> bool:
        parts = self._parts
        if current.version not in self._report.segments:
            parts.emit(VersionStarted(current.version, len(current.instance_steps), 0))
        self._start(current)
        for number, step in enumerate(current.instance_steps):
            if parts.stop.requested:
                self._report.left += current.step_count - number
                return False
            parts.lock.check()
            result = parts.steps.run(StepTask(step=step, direction=Direction.DOWN))
            self._report.add(result)
            if not result.is_completed:
                return False
        return not parts.stop.requested

    def _finish(self) -> None:
        report, parts, plan, state = self._report, self._parts, self._plan, self._survey.state
        if not state.is_first:
            application = parts.settings.app_version
            raise_through(state, parts.sequence, application=application, store=parts.store)
        report.stop = plan.stop
        if self._under_way and not parts.settings.unenrolled_run_all:
            report.unenrolled = [
                member.workspace_id for member in state.members if member.progress.enrolment is None
            ]
        if parts.stop.requested:
            report.left += sum(version.step_count for version in plan.versions)
        report.outcome = self._outcome(plan)
        if report.outcome is Outcome.DONE and not plan.steps and self._options.steps is not None:
            # All of it is taken back and recorded. Were a connection that is lost here told as a failure, its repeat
            # would take the next steps back.
            with suppress(psycopg.Error):
                self._steps_back.end()

    def _outcome(self, plan: DownPlan) -> Outcome:
        """Where several apply: failed, interrupted, refused, done."""
        report = self._report
        if report.has_failed(is_stopping=self._parts.stop.requested):
            return Outcome.FAILED
        if self._parts.stop.requested:
            return Outcome.INTERRUPTED
        if plan.refusals:
            report.refusals = plan.refusals
            return Outcome.REFUSED
        if report.unenrolled:
            return Outcome.REFUSED
        is_through = plan.stop is None or plan.stop.reason is StopReason.FILTERED
        return Outcome.DONE if is_through else Outcome.REFUSED
