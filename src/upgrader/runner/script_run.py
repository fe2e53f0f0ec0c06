"""Makes the script of what an upgrade would execute: a dry run that writes everything down.

Of workspaces with the same pending steps the first one is tried, unless all are asked for. A step that runs
outside a transaction is tried like the others, except for the statements that cannot run inside one: they are
written down and let pass by.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from sqlalchemy import Connection

from upgrader.database.failures import is_connection_lost
from upgrader.database.leftovers import guarded
from upgrader.database.not_null import Nullable, proof
from upgrader.database.recording import recording
from upgrader.errors import ConnectionLostError
from upgrader.events import Notice, StepFinished, StepStarted
from upgrader.lint.outside_transaction import outside_only
from upgrader.model import AttemptStatus, Scope, Step, Workspace
from upgrader.runner.dry_run import DryRun
from upgrader.runner.options import UpgradeOptions
from upgrader.runner.result import RunReport, StepResult
from upgrader.runner.script import Phase, Script
from upgrader.runner.script_book import ScriptBook
from upgrader.runner.search_path import search_path_of
from upgrader.runner.step_task import LeftOut
from upgrader.runner.step_trial import StepTrial
from upgrader.runner.stop import HardStop
from upgrader.runner.timeouts import Timeouts, timeouts_of
from upgrader.runner.upgrade import RunParts
from upgrader.sequence.plan import PlannedVersion, WorkspaceTask

_PROOF = "upgrader_proof"


class RecordedTrial(StepTrial):
    """Tries steps, and has written down what is left out or shortened in a trial."""

    def __init__(self, *parts: Any, book: ScriptBook, **options: Any) -> None:
        """Take the parts, and where to write it down."""
        super().__init__(*parts, **options)
        self._book = book

    def _prove(self, connection: Connection, found: Nullable) -> None:
        super()._prove(connection, found)
        phase, self._book.phase, self._book.is_proving = self._book.phase, Phase.DATA_MIGRATION, True
        with recording(connection, lambda _: True):
            for statement in proof(found):
                for each in (f"savepoint {_PROOF}", statement, f"release savepoint {_PROOF}"):
                    connection.exec_driver_sql(each, execution_options={"no_parameters": True})
        self._book.phase, self._book.is_proving = phase, False

    def _migrate_data(
        self, command: object, step: Step, workspace: Workspace | None, connection: Connection
    ) -> None:
        self._book.phase = Phase.DATA_MIGRATION
        try:
            super()._migrate_data(command, step, workspace, connection)
        finally:
            self._book.phase = Phase.COMMAND


class ScriptRun(DryRun):
    """One run of `sql`."""

    def __init__(
        self,
        parts: RunParts,
        options: UpgradeOptions,
        report: RunReport,
        *,
        book: ScriptBook,
        shows_all_workspaces: bool = False,
    ) -> None:
        """Take the parts; nothing is done yet.

        Args:
            book: is told of the statements by the sink of the parts.
        """
        super().__init__(parts, options, report)
        self._book = book
        self._make_step_trial = partial(RecordedTrial, book=book)
        self._shows_all_workspaces = shows_all_workspaces
        self._planned: Sequence[PlannedVersion] = ()
        self._others: dict[tuple[str, str], tuple[str, ...]] = {}

    def script(self) -> Script:
        """Try the plan and give what it executed; nothing is kept.

        Raises:
            OperatorError: refused before anything was tried.
        """
        report = self.execute()
        steps = self._book.steps()
        written = {page.step.name for page in steps}
        planned = (step for version in self._planned for step in _steps_of(version))
        unseen = tuple(dict.fromkeys(step for step in planned if step.name not in written))
        version = self._parts.lock.driver.info.parameter_status("server_version") or ""
        return Script(report, version, steps, unseen)

    def _walk(self, versions: Sequence[PlannedVersion]) -> None:
        self._planned = versions if self._shows_all_workspaces else [self._abridged(one) for one in versions]
        super()._walk(self._planned)

    def _abridged(self, version: PlannedVersion) -> PlannedVersion:
        """Leave one workspace of those that have the same steps before them."""
        alike: dict[tuple[Step, ...], list[WorkspaceTask]] = defaultdict(list)
        for task in version.tasks:
            alike[task.steps].append(task)
        firsts = []
        for first, *others in alike.values():
            self._others[version.version.text, first.workspace_id] = tuple(one.workspace_id for one in others)
            firsts.append(first)
        return replace(version, tasks=firsts)

    def _start_anew(self) -> None:
        self._book.is_paused = True
        try:
            super()._start_anew()
        finally:
            self._book.is_paused = False

    def _try_step(
        self, step: Step, workspace: Workspace | None, index: int, total: int, *, is_kept: bool
    ) -> StepResult | None:
        self._open_page(step, workspace)
        if not step.transactional:
            return self._record(step, workspace, index, total)
        scope = Scope(workspace.id if workspace else None)
        result = super()._try_step(step, workspace, index, total, is_kept=is_kept)
        if result is None:
            reasons = (
                one.reason for one in reversed(self._report.not_simulated) if one.step.name == step.name
            )
            self._book.note(step, scope, next(reasons, "it was not tried"))
        elif result.error is not None:
            self._book.note(step, scope, result.error, has_failed=True)
        elif (sample := self._excuses.sample_of(step)) is not None:
            self._book.note(step, scope, sample)
        return result

    def _record(self, step: Step, workspace: Workspace | None, index: int, total: int) -> StepResult | None:
        """Try a step that runs outside a transaction, without the statements that cannot run inside one."""
        # Later steps that need what is not done here are excused.
        self._excuses.leave_out(step, "it runs outside a transaction")
        scope = Scope(workspace.id if workspace else None)
        self._parts.emit(StepStarted(step, scope, 0))
        self._book.is_recording = True
        try:
            with recording(self._trial.connection, lambda text: outside_only(text) is not None):
                self._step_trial.run(step, workspace, index, total)
        except (HardStop, ConnectionLostError):
            raise
        except BaseException as error:
            if is_connection_lost(self._parts.steps.session.driver):
                raise ConnectionLostError("the server ended the connection while a step was tried") from error
            self._book.note(step, scope, self._parts.steps.failure_text(guarded(error)))
            if workspace is not None:
                raise LeftOut from error  # its transaction is aborted: nothing more of this workspace
            return None
        finally:
            self._book.is_recording = False
        self._parts.emit(StepFinished(step, scope, 0, AttemptStatus.COMPLETED, 0.0, None))
        return StepResult(step, scope, 0, AttemptStatus.COMPLETED, 0.0)

    def _open_page(self, step: Step, workspace: Workspace | None) -> None:
        others = self._others.get((step.version.text, workspace.id), ()) if workspace else ()
        self._book.open(
            step,
            workspace,
            others=others,
            settings=self._settings_of(step, workspace),
            migration_settings={**self._search_path(workspace), **self._timeouts_of(step).migration},
            driver=self._parts.steps.session.driver,
        )

    def _settings_of(self, step: Step, workspace: Workspace | None) -> dict[str, str]:
        """Give what a real run sets for a step."""
        timeouts = self._timeouts_of(step)
        own = timeouts.transactional if step.transactional else timeouts.autocommit
        return {**self._search_path(workspace), **own}

    def _timeouts_of(self, step: Step) -> Timeouts:
        return timeouts_of(step, self._parts.settings)

    def _search_path(self, workspace: Workspace | None) -> dict[str, str]:
        return search_path_of(workspace, self._parts.settings.search_path_extra)

    def _end_early(self, last: PlannedVersion | None, at: PlannedVersion) -> None:
        self._report.simulated_to = last.version if last else None
        text = (
            f"the script ends within {at.version}: making more of it would hold more locks, or block others"
            " longer, than it may; make it on a copy of the database to see all of it"
        )
        self._report.warnings.append(text)
        self._parts.emit(Notice(text, "warning"))


def _steps_of(version: PlannedVersion) -> Sequence[Step]:
    return [*version.instance_steps, *(step for task in version.tasks for step in task.steps)]
