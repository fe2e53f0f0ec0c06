"""Up, down, up: does each reversible command leave the schema as it was, and make the same again?

The sequence is run on a database of its own; right after a step is completed, it is taken back and done again in
a transaction that is rolled back, so that nothing a wrong `down` does reaches the next step. Only a command that
runs outside of a transaction is really taken back and done again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from upgrader.check.base import Base
from upgrader.check.catalog.compare import Difference, DifferenceKind, compare_catalogs
from upgrader.check.catalog.objects import Catalog
from upgrader.check.catalog.read import list_schemas, read_catalog
from upgrader.check.catalog.sentences import name_object, tell_change
from upgrader.check.failed_step import author_line, told
from upgrader.check.method_place import method_place
from upgrader.check.sequence_run import SequenceResult, Subject, run_sequence
from upgrader.check.trip import Trip, TripError
from upgrader.database.failures import database_error
from upgrader.events import EventSink, ignore_events
from upgrader.model import Finding, Step
from upgrader.runner.result import StepResult
from upgrader.runner.step_parts import StepParts
from upgrader.runner.step_runner import StepRunner
from upgrader.runner.step_task import StepTask
from upgrader.runner.stop import StopToken
from upgrader.workspaces import WorkspaceListing

ROUND_TRIP = "round-trip"

_SHOWN = 4
_NEW_ENUM_VALUE = "55P04"
_REMEDY = "let `down` undo all that `up` does, or leave it out: the command is irreversible then"


@dataclass(frozen=True)
class RoundTripResult:
    """What came of taking each reversible command back and doing it again.

    Attributes:
        tried: how many commands that was.
        left_out: what could not be tried, a sentence each.
    """

    findings: tuple[Finding, ...]
    tried: int = 0
    left_out: tuple[str, ...] = ()


@dataclass
class _Notes:
    findings: list[Finding] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    tried: int = 0


def find_broken_round_trips(
    base: Base, subject: Subject, *, emit: EventSink = ignore_events, stop: StopToken | None = None
) -> RoundTripResult:
    """Take each reversible command back and do it again, in order, on a copy of the base.

    Workspace commands are tried on one workspace. A command without a way down, and one whose `down` says that
    it cannot be taken back, is none of this check's business. Where the sequence itself fails, the commands
    after that are not tried: `run_sequence` tells why.

    Raises:
        OperatorError, RunError: as `run_sequence`.
    """
    notes = _Notes()

    def make_runner(parts: StepParts, workspaces: WorkspaceListing) -> StepRunner:
        return _RoundTripRunner(parts, workspaces, notes)

    sequence = run_sequence(base, subject, emit=emit, stop=stop, make_runner=make_runner)
    return RoundTripResult(
        tuple(notes.findings), notes.tried, (*sequence.left_out, *_not_reached(sequence), *notes.left_out)
    )


def _not_reached(sequence: SequenceResult) -> Sequence[str]:
    if sequence.is_complete:
        return ()
    failed = next((result.step.name for result in sequence.report.failures), None)
    where = f" from {failed} on" if failed else ""
    return (f"commands{where} were not taken back and done again: the sequence did not run to its end",)


class _RoundTripRunner(StepRunner):
    """Runs steps, and takes each back and does it again right after it."""

    def __init__(self, parts: StepParts, workspaces: WorkspaceListing, notes: _Notes) -> None:
        super().__init__(parts)
        self._notes = notes
        self._workspaces = workspaces
        self._sample = next(iter(workspaces.in_scope), None)
        self._last: tuple[bool, Catalog] | None = None

    def run(self, task: StepTask) -> StepResult:
        """Run a step; then, if it is one to be tried, take it back and do it again."""
        if not self._is_tried(task):
            self._last = None
            return super().run(task)
        before = self._before(task)
        result = super().run(task)
        if result.is_completed and not self.parts.stop.requested:
            self._notes.tried += 1
            self._try(task, before)
        else:
            self._last = None
        return result

    def _is_tried(self, task: StepTask) -> bool:
        if not task.step.reversible:
            return False
        return task.workspace is None or (self._sample is not None and task.workspace.id == self._sample.id)

    def _before(self, task: StepTask) -> Catalog:
        """Give the catalog before a step: what was read after the last one, where nothing came in between."""
        if self._last is not None and self._last[0] == task.step.is_workspace:
            return self._last[1]
        return self._read(task.step)

    def _read(self, step: Step) -> Catalog:
        driver = self.session.driver
        left_out = {self.parts.settings.schema}
        own = self._sample.schema if self._sample and step.is_workspace else None
        for workspace in (*self._workspaces.in_scope, *self._workspaces.out_of_scope):
            if workspace.schema is not None and workspace.schema != own:
                left_out.add(workspace.schema)
        return read_catalog(driver, [name for name in list_schemas(driver) if name not in left_out])

    def _try(self, task: StepTask, before: Catalog) -> None:
        after = self._read(task.step)
        self._last = (task.step.is_workspace, after)
        trip = Trip(self.parts, task, self._workspaces, lambda: self._read(task.step))
        try:
            if not task.step.transactional:
                self._last = None
            for catalog, expected, is_down in zip(
                trip.catalogs(), (before, after), (True, False), strict=False
            ):
                differences = compare_catalogs(expected, catalog)
                if differences:
                    self._note(task.step, _told_differences(differences, is_down=is_down))
                    break
        except TripError as error:
            self._fail(task.step, error)
        finally:
            trip.close()

    def _fail(self, step: Step, error: TripError) -> None:
        cause = error.cause
        found = database_error(cause)
        if found is not None and found.sqlstate == _NEW_ENUM_VALUE:
            self._notes.left_out.append(
                f"{step.name} was not taken back and done again: it uses an enum value that is new in its transaction"
            )
            return
        text = self.failure_text(cause)
        what = "`down` fails" if error.is_down else "`up` fails when it is done again after `down`"
        file, line = author_line(text, step)
        self._notes.findings.append(
            Finding(ROUND_TRIP, f"{what}: {told(text)}", _REMEDY, file=file, line=line, step=step.name)
        )

    def _note(self, step: Step, message: str) -> None:
        method = "down_on_workspace" if step.is_workspace else "down"
        file, line = method_place(self.parts.commands.create(step.name), method, step)
        self._notes.findings.append(
            Finding(ROUND_TRIP, message, _REMEDY, file=file, line=line, step=step.name)
        )


def _told_differences(differences: Sequence[Difference], *, is_down: bool) -> str:
    shown = [_told_difference(one, is_down=is_down) for one in differences[:_SHOWN]]
    if len(differences) > _SHOWN:
        shown.append(f"and {len(differences) - _SHOWN} more")
    lead = "`down` does not take back what `up` does" if is_down else "`up` after `down` makes something else"
    return f"{lead}: {'; '.join(shown)}"


def _told_difference(difference: Difference, *, is_down: bool) -> str:
    name = name_object(difference.found)
    if difference.kind is DifferenceKind.EXTRA:
        return f"the {name} is left behind" if is_down else f"the {name} is new"
    if difference.kind is DifferenceKind.MISSING:
        return f"the {name} is gone" if is_down else f"the {name} is missing"
    if is_down:
        return tell_change(difference, expected="before `up`", actual="after `down`")
    return tell_change(difference, expected="the first time", actual="the second time")
