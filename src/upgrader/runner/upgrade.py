"""An upgrade from beginning to end: survey, plan, run the first version of the plan, and again.

Nothing is carried over from one round to the next but what was tried in this run: each round reads the
truth again. That is how new workspaces are taken along, and how a barrier is checked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from upgrader.events import (
    EventSink,
    FirstUpgrade,
    Notice,
    VersionStarted,
)
from upgrader.history.run_lock import RunLock
from upgrader.history.sql_store import SqlHistoryStore
from upgrader.model import INSTANCE, Enrolment, Outcome, Scope
from upgrader.runner.looking import look, prepare, take_barrier
from upgrader.runner.options import RunSettings, UpgradeOptions, plan_options
from upgrader.runner.reporting import reporting
from upgrader.runner.result import RunReport
from upgrader.runner.segment import SegmentExecutor
from upgrader.runner.step_runner import StepRunner
from upgrader.runner.step_task import StepTask
from upgrader.runner.stop import StopToken
from upgrader.runner.through import raise_through
from upgrader.sequence.plan import Plan, PlannedVersion, StopReason
from upgrader.sequence.planner import make_plan
from upgrader.sequence.sequence import StepSequence
from upgrader.survey import Survey
from upgrader.version import ReleaseVersion
from upgrader.workspaces import WorkspaceSource


@dataclass
class RunParts:
    """What a run works with. The parts are made by `api`, or by a test."""

    lock: RunLock
    store: SqlHistoryStore
    steps: StepRunner
    executor: SegmentExecutor
    source: WorkspaceSource
    sequence: StepSequence
    settings: RunSettings
    emit: EventSink
    stop: StopToken


class UpgradeRun:
    """One run of `upgrade` that keeps what it does."""

    def __init__(self, parts: RunParts, options: UpgradeOptions, report: RunReport) -> None:
        """Take the parts; nothing is done yet."""
        self._parts = parts
        self._options = options
        self._report = report
        self._attempted: set[str] = set()
        self._under_way = False
        self._survey: Survey  # what was read last
        self._plan: Plan  # what follows from it
        self._due = 0  # completed steps, once the version at hand is through
        self._done_when_planned = 0

    def execute(self) -> RunReport:
        """Run until the plan is empty or something holds it. The run lock is held already.

        A run that is cut off has its error in the report.

        Raises:
            LayoutError, WorkspaceSourceError, UnknownWorkspaceError: refused before anything ran.
        """
        report, parts = self._report, self._parts
        with reporting(report, emit=parts.emit, stop=parts.stop, is_under_way=lambda: self._under_way):
            prepare(parts)
            self._walk()
        if report.outcome is Outcome.INTERRUPTED and not report.left:
            report.left = max(0, self._due - report.completed)
        return report

    def _walk(self) -> None:
        """Plan and run the first version of the plan, until nothing is left or something holds."""
        self._look()
        self._begin()
        if self._plan.refusals:
            self._report.outcome, self._report.refusals = Outcome.REFUSED, self._plan.refusals
            return
        if self._options.selection.is_filtered:
            self._walk_filtered()
            return
        passed: ReleaseVersion | None = None
        while not self._is_over() and (next_version := _first_version(self._plan)) is not None:
            if next_version != passed:
                self._pass_barrier()
                is_next = _first_version(self._plan) == next_version and not self._is_over()
                passed = next_version if is_next else None
                if passed is None:
                    continue
            if not self._run_first_version():
                self._plan = replace(self._plan, stop=None)
                break
            self._look()
        self._finish()

    def _run_first_version(self) -> bool:
        return self._run_version(next(version for version in self._plan.versions if not version.is_empty))

    def _walk_filtered(self) -> None:
        """Run one segment with what comes before it; what an unfiltered run would do next is told."""
        if not self._plan.is_empty:
            self._pass_barrier()
        if not self._plan.refusals:
            for version in self._plan.versions:
                if version.is_empty or self._parts.stop.requested:
                    continue
                if not self._run_version(version):
                    break
            self._plan = replace(self._plan, versions=_deferred_only(self._plan))
            self._done_when_planned = self._report.completed
        self._finish()

    def _begin(self) -> None:
        report, parts, survey, plan = self._report, self._parts, self._survey, self._plan
        report.target, report.quarantined = plan.target, plan.quarantined
        report.warnings.extend(plan.warnings)
        report.is_first = survey.state.is_first
        if survey.state.is_first and not plan.refusals:
            self._enrol_everything(survey)
        for warning in plan.warnings:
            parts.emit(Notice(warning, "warning"))

    def _enrol_everything(self, survey: Survey) -> None:
        parts = self._parts
        parts.emit(FirstUpgrade(count_tables(parts.lock), len(survey.rows)))
        rows = survey.rows
        new = [Scope(row.workspace_id) for row in rows if row.progress.enrolment == Enrolment()]
        parts.store.mark(
            Enrolment(), [INSTANCE, *new], label="enrolment", executed_by=parts.settings.app_version.text
        )

    def _look(self, *, at_barrier: bool = False) -> None:
        """Read the truth and plan anew."""
        parts = self._parts
        # What was read before goes first: two surveys of very many workspaces need twice the memory.
        if hasattr(self, "_survey"):
            del self._survey, self._plan
        survey = look(parts, at_barrier=at_barrier)
        self._done_when_planned = self._report.completed
        if not survey.state.is_first:
            application = parts.settings.app_version
            raise_through(survey.state, parts.sequence, application=application, store=parts.store)
        options = plan_options(
            self._options, parts.settings, attempted=frozenset(self._attempted), under_way=self._under_way
        )
        self._survey, self._plan = survey, make_plan(parts.sequence, survey.state, options)

    def _is_over(self) -> bool:
        return (
            self._parts.stop.requested
            or bool(self._plan.refusals)
            or self._report.too_many_failures is not None
            or (self._options.fail_fast and bool(self._report.failures))
        )

    def _pass_barrier(self) -> None:
        """Before a version begins: look once more while nobody is enrolling a workspace.

        A workspace that is being made in a transaction that is not committed yet would otherwise be missed.
        """
        if not take_barrier(self._parts):
            return
        try:
            self._look(at_barrier=True)
        finally:
            self._parts.lock.release_barrier()

    def _run_version(self, current: PlannedVersion) -> bool:
        """Run what is planned of one version; False if an instance step failed or the run is to stop."""
        parts = self._parts
        parts.emit(VersionStarted(current.version, len(current.instance_steps), len(current.tasks)))
        self._under_way = True
        self._report.late.update(dict.fromkeys(current.late))
        self._due = self._report.completed + current.step_count
        for number, step in enumerate(current.instance_steps):
            if parts.stop.requested:
                self._report.left += current.step_count - number
                return False
            parts.lock.check()
            result = parts.steps.run(StepTask(step=step, tried=self._survey.state.instance.was_tried(step)))
            self._report.add(result)
            if not result.is_completed:
                return False
        if current.tasks and not parts.stop.requested:
            self._run_segment(current)
        return not parts.stop.requested

    def _run_segment(self, current: PlannedVersion) -> None:
        parts, survey = self._parts, self._survey
        progress = {member.workspace_id: member.progress for member in survey.state.members}
        new = [
            Scope(task.workspace_id)
            for task in current.tasks
            if progress[task.workspace_id].enrolment is None
        ]
        if new:
            parts.store.mark(Enrolment(), new, label="enrolment", executed_by=parts.settings.app_version.text)
        self._attempted |= parts.executor.run(
            current.version, current.tasks, survey.workspaces, progress.__getitem__
        )

    def _finish(self) -> None:
        report, parts, survey, plan = self._report, self._parts, self._survey, self._plan
        report.deferred = plan.deferred
        report.stop = None if report.too_many_failures else plan.stop
        report.quarantined = plan.quarantined
        report.unenrolled = [
            member.workspace_id
            for member in survey.state.members
            if member.progress.enrolment is None and not parts.settings.unenrolled_run_all
        ]
        if parts.stop.requested and not report.left:
            done = report.completed - self._done_when_planned
            report.left = max(0, sum(version.step_count for version in plan.versions) - done)
        report.outcome = self._outcome(plan)

    def _outcome(self, plan: Plan) -> Outcome:
        """Where several apply: failed, interrupted, refused, stopped, done."""
        report = self._report
        if report.skipped or report.has_failed(is_stopping=self._parts.stop.requested):
            return Outcome.FAILED
        if self._parts.stop.requested:
            return Outcome.INTERRUPTED
        if plan.refusals:
            report.refusals = plan.refusals
            return Outcome.REFUSED
        if report.unenrolled:
            return Outcome.REFUSED
        if plan.stop is None or plan.stop.reason is StopReason.FILTERED:
            return Outcome.DONE
        if plan.stop.reason is StopReason.SLOW_DEFERRED:
            return Outcome.STOPPED_AT_BARRIER
        return Outcome.REFUSED


def _first_version(plan: Plan) -> ReleaseVersion | None:
    return next((version.version for version in plan.versions if not version.is_empty), None)


def _deferred_only(plan: Plan) -> list[PlannedVersion]:
    return [replace(version, instance_steps=(), tasks=()) for version in plan.versions if version.deferred]


def count_tables(lock: RunLock) -> int:
    """Count the tables of the database that are not PostgreSQL's, the history's or the workers', as far as visible."""
    row = lock.driver.execute(
        "select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where c.relkind in ('r', 'p') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'"
        " and not exists (select from pg_class m where m.relnamespace = n.oid and m.relname = 'history'"
        " and exists (select from pg_class t where t.relnamespace = n.oid and t.relname = 'scope'))"
        " and not exists (select from pg_class q where q.relnamespace = n.oid and q.relname = 'queue_layout')"
        " and not exists (select from pg_class m where m.relnamespace = n.oid and m.relname = 'tick'"
        " and exists (select from pg_class t where t.relnamespace = n.oid and t.relname = 'upgrade_status'))"
    ).fetchone()
    return int(row[0]) if row else 0
