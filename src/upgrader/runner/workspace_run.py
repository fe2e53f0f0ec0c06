"""`workspace run NAME`: one workspace command, where it is pending and everything before it is done."""

from __future__ import annotations

from collections.abc import Iterator

from upgrader.errors import OperatorError
from upgrader.events import Notice, VersionStarted
from upgrader.model import Outcome, Progress, Step
from upgrader.runner.reporting import reporting
from upgrader.runner.result import RunReport
from upgrader.runner.upgrade import RunParts
from upgrader.sequence.plan import Selection, WorkspaceTask
from upgrader.sequence.quarantined import find_quarantined
from upgrader.sequence.selection import select
from upgrader.sequence.sequence import StepSequence
from upgrader.sequence.state import Member
from upgrader.survey import Survey, take_survey


class WorkspaceRun:
    """Runs one step over workspaces, under the run lock, with attempts recorded as in an upgrade."""

    def __init__(
        self, parts: RunParts, step: Step, selection: Selection, report: RunReport, *, again: bool
    ) -> None:
        """Take the parts; nothing is done yet."""
        self._parts = parts
        self._step = step
        self._selection = selection
        self._report = report
        self._again = again

    def execute(self) -> RunReport:
        """Run the step where it may run."""
        parts = self._parts
        with reporting(self._report, emit=parts.emit, stop=parts.stop):
            self._walk()
        return self._report

    def _walk(self) -> None:
        parts, report = self._parts, self._report
        parts.store.interrupt_running()
        survey = take_survey(session=parts.steps.session, store=parts.store, source=parts.source)
        tasks = list(self._tasks(survey))
        report.quarantined = find_quarantined(
            parts.sequence.covered_by(parts.settings.app_version), survey.state
        )
        if report.refusals:
            report.outcome = Outcome.REFUSED
            return
        parts.emit(VersionStarted(self._step.version, 0, len(tasks)))
        progress = {member.workspace_id: member.progress for member in survey.state.members}
        parts.executor.run(self._step.version, tasks, survey.workspaces, progress.__getitem__)
        if report.failures or report.skipped:
            report.outcome = Outcome.FAILED
        elif parts.stop.requested:
            report.outcome = Outcome.INTERRUPTED

    def _tasks(self, survey: Survey) -> Iterator[WorkspaceTask]:
        selected = select(self._selection, survey.state)
        self._report.refusals = selected.refusals
        waiting = []
        before = _steps_before(self._parts.sequence, self._step)
        instance_is_ready = all(
            survey.state.instance.is_done(step) for step in before if not step.is_workspace
        )
        for member in survey.state.members:
            if member.workspace_id not in selected.workspace_ids or not self._is_wanted(member.progress):
                continue
            if instance_is_ready and _is_ready(member, before):
                yield WorkspaceTask(member.workspace_id, (self._step,))
            else:
                waiting.append(member.workspace_id)
        if waiting:
            self._tell_waiting(waiting)

    def _is_wanted(self, progress: Progress) -> bool:
        if progress.enrolment is None:
            return False
        return not progress.is_done(self._step) or (self._again and self._step.name in progress.completed)

    def _tell_waiting(self, waiting: list[str]) -> None:
        left_out = "1 workspace was" if len(waiting) == 1 else f"{len(waiting)} workspaces were"
        text = (
            f"{left_out} left out: something before {self._step.name} is pending there"
            f" ({', '.join(waiting[:10])}{' …' if len(waiting) > 10 else ''})"
        )
        self._report.warnings.append(text)
        self._parts.emit(Notice(text, "warning"))


def _steps_before(sequence: StepSequence, step: Step) -> list[Step]:
    """Give what has to be done before: all but slow steps of the same version, unless the step waits for them."""
    return [
        other
        for other in sequence
        if other.sort_key < step.sort_key
        and not (other.is_slow and other.version == step.version and not step.after_slow)
    ]


def _is_ready(member: Member, before: list[Step]) -> bool:
    return all(member.progress.is_done(step) for step in before if step.is_workspace)


def find_workspace_step(sequence: StepSequence, cli_name: str, due: StepSequence) -> Step:
    """Find a workspace command by its CLI name.

    Raises:
        OperatorError: there is none, or it is dormant.
    """
    found = next((step for step in sequence if step.cli_name == cli_name), None)
    if found is None:
        names = sorted(step.cli_name for step in sequence if step.cli_name)
        raise OperatorError(
            f"there is no workspace command {cli_name!r}",
            hint=f"there are: {', '.join(names)}"
            if names
            else "there are none; `upgrader list` shows all commands",
        )
    if found.name not in due.by_name:
        raise OperatorError(
            f"{found.name} is dormant: it belongs to a version above app_version",
            hint="set app_version once that version is deployed",
        )
    return found
