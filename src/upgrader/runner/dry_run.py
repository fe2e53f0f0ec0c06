"""The dry run: what would fail, found in transactions that are rolled back, without hurting the application.

    version 1:  BEGIN · instance steps · workspace · workspace · …    effects are kept while both limits hold:
    barrier                                                           half of the lock table, and the time
    version 2:  instance steps · workspace · …                        that others may have to wait
    ROLLBACK

Where a limit is reached in the first version, each further workspace is undone before the next, and the
transaction is begun anew as often as it takes; in a later version the dry run ends there and says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from upgrader.database.failures import is_connection_lost
from upgrader.database.leftovers import guarded
from upgrader.database.trial import LockedTable, Trial
from upgrader.errors import ConnectionLostError
from upgrader.events import (
    FirstUpgrade,
    Notice,
    SegmentStarted,
    StepFinished,
    StepStarted,
    VersionStarted,
    WorkspaceFinished,
)
from upgrader.history.layout import bring_up_to_date
from upgrader.model import Direction, Outcome, Scope, Step, Workspace
from upgrader.runner.excuses import Excuses
from upgrader.runner.explanation import explaining
from upgrader.runner.options import DowngradeOptions, UpgradeOptions, plan_options
from upgrader.runner.reporting import reporting
from upgrader.runner.result import RunReport, StepResult, TableLock
from upgrader.runner.step_task import LeftOut
from upgrader.runner.step_trial import SCHEMA_MISSING, StepTrial
from upgrader.runner.stop import HardStop
from upgrader.runner.upgrade import RunParts, count_tables
from upgrader.sequence.down_plan import DownPlan
from upgrader.sequence.plan import Plan, PlannedVersion, StopReason, WorkspaceTask
from upgrader.sequence.planner import make_plan
from upgrader.survey import Survey, take_survey

_WATCH_EVERY = 25  # workspaces between two looks at a long list of locks
_LONG_LIST = 2000  # locks


class LimitReached(Exception):  # noqa: N818 - not an error: the dry run has seen what it may
    """The transaction may not last any longer."""


class DryRun:
    """One run of `upgrade --dry-run`."""

    def __init__(
        self, parts: RunParts, options: UpgradeOptions | DowngradeOptions, report: RunReport
    ) -> None:
        """Take the parts; nothing is done yet."""
        self._parts = parts
        self._options = options
        self._report = report
        self._make_step_trial: Callable[..., StepTrial] = StepTrial
        self._trial: Trial
        self._step_trial: StepTrial
        self._survey: Survey
        self._locks: dict[str, TableLock] = {}
        self._excuses = Excuses(report.not_simulated)
        self._undoing = False
        self._replayed: Sequence[Step] = ()  # done anew at the beginning of a new transaction
        self._limit = options.failure_limit(parts.settings)

    def execute(self) -> RunReport:
        """Try the plan, under the run lock; nothing is kept."""
        parts = self._parts
        with reporting(self._report, emit=parts.emit, stop=parts.stop):
            self._try()
        return self._report

    def _try(self) -> None:
        parts, report = self._parts, self._report
        self._check_layout()
        self._survey = take_survey(session=parts.steps.session, store=parts.store, source=parts.source)
        plan = self._make_plan()
        self._begin_report(plan)
        if plan.refusals:
            report.outcome, report.refusals = Outcome.REFUSED, plan.refusals
            return
        self._trial = Trial(parts.steps.session, parts.lock.driver)
        self._step_trial = self._make_step_trial(
            parts,
            self._options,
            report.direction,
            trial=self._trial,
            excuses=self._excuses,
            workspaces=self._survey.listing.in_scope,
        )
        try:
            self._walk([version for version in plan.versions if not version.is_empty])
        finally:
            self._note(self._trial.end())
            report.table_locks = sorted(self._locks.values(), key=lambda lock: -lock.seconds)
        report.outcome = self._outcome(plan)

    def _check_layout(self) -> None:
        """Make the history schema and undo it where there is none: a role that may not is found now."""
        bring_up_to_date(self._parts.lock.driver, self._parts.settings.schema, is_trial=True)

    def _make_plan(self) -> Plan | DownPlan:
        assert isinstance(self._options, UpgradeOptions)
        options = plan_options(self._options, self._parts.settings)
        plan = make_plan(self._parts.sequence, self._survey.state, options)
        self._report.deferred = plan.deferred
        return plan

    def _begin_report(self, plan: Plan | DownPlan) -> None:
        report, state = self._report, self._survey.state
        report.target, report.stop = plan.target, plan.stop
        report.quarantined = plan.quarantined
        report.warnings.extend(plan.warnings)
        report.is_first = state.is_first
        if state.is_first and not plan.refusals and report.direction is Direction.UP:
            self._parts.emit(FirstUpgrade(count_tables(self._parts.lock), len(self._survey.rows)))
        for warning in plan.warnings:
            self._parts.emit(Notice(warning, "warning"))

    def _walk(self, versions: Sequence[PlannedVersion]) -> None:
        self._trial.begin()
        for number, version in enumerate(versions):
            self._parts.emit(VersionStarted(version.version, len(version.instance_steps), len(version.tasks)))
            self._report.late.update(dict.fromkeys(version.late))
            try:
                self._try_version(version, may_restart=number == 0)
            except LimitReached:
                self._end_early(versions[number - 1] if number else None, version)
                return
            if self._report.failures or self._report.skipped or self._parts.stop.requested:
                # A real run would stop here too: at the step, or at the barrier behind the segment.
                has_more = number + 1 < len(versions) and not self._parts.stop.requested
                self._report.simulated_to = version.version if has_more else None
                return
            if number == 0 and self._undoing and len(versions) > 1:
                self._end_early(version, versions[1])
                return

    def _try_version(self, version: PlannedVersion, *, may_restart: bool) -> None:
        """Try one version; with `may_restart` workspaces are undone one by one once a limit is reached."""
        self._replayed = version.instance_steps
        if self._try_instance(version.instance_steps) and version.tasks:
            self._try_segment(version, may_restart=may_restart)

    def _try_segment(self, version: PlannedVersion, *, may_restart: bool) -> None:
        started, segment = time.perf_counter(), self._report.segment(version.version)
        segment.total += len(version.tasks)
        self._parts.emit(SegmentStarted(version.version, len(version.tasks)))
        for index, task in enumerate(version.tasks, start=1):
            left = len(version.tasks) - index + 1
            if self._parts.stop.requested or self._report.ends_early(
                segment, self._limit, left_workspaces=left
            ):
                self._report.left += sum(len(rest.steps) for rest in version.tasks[index - 1 :])
                break
            self._parts.lock.check()
            if self._is_limit_reached():
                if not may_restart:
                    raise LimitReached
                self._start_anew()
            self._try_workspace(version, task, index)
        self._parts.emit(segment.finished(time.perf_counter() - started))

    def _is_limit_reached(self) -> bool:
        too_many = self._trial.lock_count > self._trial.lock_capacity // 2
        return too_many or self._trial.blocking_seconds > self._parts.settings.dry_run_lock_seconds

    def _start_anew(self) -> None:
        """Let the application through, then do the instance steps again; from here on workspaces are undone."""
        self._undoing = True
        self._note(self._trial.end())
        self._trial.begin()
        for step in self._replayed:
            if step.transactional and not self._excuses.covers(step):
                began = time.monotonic()
                self._step_trial.run(step, None, 0, 0)
                self._trial.note_locks(began, is_kept=True)
        if self._is_limit_reached():
            raise LimitReached

    def _try_instance(self, steps: Sequence[Step]) -> bool:
        for step in steps:
            if self._parts.stop.requested:
                return False
            self._parts.lock.check()
            if self._is_limit_reached():
                raise LimitReached
            self._trial.set_savepoint()
            result = self._try_step(step, None, 0, 0, is_kept=True)
            if result is None:
                self._trial.back_to_savepoint()
            elif not result.is_completed:
                return False
            else:
                self._trial.keep_savepoint()
        return True

    def _try_workspace(self, version: PlannedVersion, task: WorkspaceTask, index: int) -> None:
        workspace = self._workspaces[task.workspace_id]
        started, total = time.perf_counter(), len(version.tasks)
        segment = self._report.segment(version.version)
        kept = self._trial.blocked_relations
        self._trial.set_savepoint()
        outcome, error = "done", None
        try:
            failure = self._try_steps(task, workspace, index, total)
        except LeftOut:
            outcome = "left-out"
            segment.left_out += 1
            self._trial.back_to_savepoint()
        else:
            outcome, error = segment.count(failure), failure.error if failure else None
            if failure is not None or self._undoing:
                self._undo_workspace(kept)
            else:
                self._trial.keep_savepoint()
        seconds = time.perf_counter() - started
        self._parts.emit(WorkspaceFinished(version.version, workspace, index, total, outcome, seconds, error))

    @property
    def _workspaces(self) -> Mapping[str, Workspace]:
        return self._survey.workspaces

    def _undo_workspace(self, kept: frozenset[int]) -> None:
        try:
            self._trial.back_to_savepoint()
            self._note(self._trial.release_workspace_locks(kept))
        except Exception:
            # What the command did to its transaction cannot be undone in place: begin anew.
            self._start_anew()

    def _try_steps(
        self, task: WorkspaceTask, workspace: Workspace, index: int, total: int
    ) -> StepResult | None:
        began = time.monotonic()
        current = self._look_again(workspace)
        for step in task.steps:
            result = self._try_step(step, current, index, total, is_kept=False)
            if result is None and step.transactional:
                raise LeftOut  # excused, and the rest of this workspace builds on it
            if result is not None and not result.is_completed:
                return result
        if self._trial.lock_count < _LONG_LIST or index % _WATCH_EVERY == 0:
            self._trial.note_locks(began, is_kept=not self._undoing)
        return None

    def _look_again(self, workspace: Workspace) -> Workspace:
        source = self._parts.steps.parts.source
        self._trial.set_search_path(workspace.schema)
        seen = source.read_probe(workspace, self._trial.probe(source.probe(workspace)))
        if seen.workspace is None:
            raise LeftOut
        if seen.workspace.schema != workspace.schema:
            return self._look_again(seen.workspace)
        if not seen.is_schema_usable:
            # Told as the failure of its first step.
            return Workspace(seen.workspace.id, None, seen.workspace.display_name, SCHEMA_MISSING)
        return seen.workspace

    def _try_step(
        self, step: Step, workspace: Workspace | None, index: int, total: int, *, is_kept: bool
    ) -> StepResult | None:
        """Try one step; None where it is not simulated."""
        if not step.transactional:
            self._excuses.leave_out(step, "it runs outside a transaction")
            return None
        scope, began, started = (
            Scope(workspace.id if workspace else None),
            time.monotonic(),
            time.perf_counter(),
        )
        self._parts.emit(StepStarted(step, scope, 0))
        done = self._report.direction.done
        status, text = done, None
        parts = self._parts.steps.parts
        pid = parts.session.backend_pid
        try:
            with explaining(parts.watch, pid, step=step, scope=scope, settings=parts.settings):
                self._step_trial.run(step, workspace, index, total)
        except (HardStop, ConnectionLostError):
            raise
        except BaseException as error:
            if self._is_lost():
                raise ConnectionLostError("the server ended the connection during the dry run") from error
            reason = self._excuses.reason(error, step)
            if reason is not None:
                self._excuses.leave_out(step, reason)
                return None
            status, text = self._parts.steps.end_of(guarded(error))
        if workspace is None and status is done:
            self._trial.note_locks(began, is_kept=is_kept)
        result = StepResult(step, scope, 0, status, time.perf_counter() - started, 1, text)
        self._report.add(result)
        self._parts.emit(StepFinished(step, scope, 0, status, result.seconds, text))
        return result

    def _end_early(self, last: PlannedVersion | None, at: PlannedVersion) -> None:
        self._report.simulated_to = last.version if last else None
        looked = f"up to the barrier after {last.version}" if last else self._at_least
        text = (
            f"the dry run looked {looked}: {at.version} would hold more locks, or block others longer, than"
            " it may; try it on a copy of the database to see all of it"
        )
        self._report.warnings.append(text)
        self._parts.emit(Notice(text, "warning"))

    _at_least = "not beyond its instance steps"  # where the first version is too long already

    def _is_lost(self) -> bool:
        return is_connection_lost(self._parts.steps.session.driver)

    def _note(self, released: Sequence[LockedTable]) -> None:
        """Add up locked tables; those of workspaces go by their name alone."""
        schemas = {workspace.schema for workspace in self._survey.workspaces.values()}
        for table in released:
            label = f"<workspace>.{table.name}" if table.schema in schemas else f"{table.schema}.{table.name}"
            known = self._locks.get(label)
            self._locks[label] = TableLock(
                label, max(table.seconds, known.seconds if known else 0.0), (known.count if known else 0) + 1
            )

    def _outcome(self, plan: Plan | DownPlan) -> Outcome:
        if self._report.failures or self._report.skipped:
            return Outcome.FAILED
        if self._parts.stop.requested:
            return Outcome.INTERRUPTED
        if plan.stop is None or plan.stop.reason is StopReason.FILTERED:
            return Outcome.DONE
        return Outcome.STOPPED_AT_BARRIER if plan.stop.reason is StopReason.SLOW_DEFERRED else Outcome.REFUSED
