"""Runs the rules that need a scratch database: the sequence, drift, round trips, and the lint of what was executed.

base ─┬─ copy ─> whole sequence ─┬─> drift (the models in another one)
      │                          └─> statements ─┐
      └─ copy ─> round trips ────────> those of the way down ─> squawk
"""

from __future__ import annotations

from dataclasses import dataclass, field

from upgrader.check.base import Base, lay_base
from upgrader.check.book import CheckBook
from upgrader.check.drift import find_drift
from upgrader.check.lint_rules import check_statements
from upgrader.check.live import LiveDatabase
from upgrader.check.round_trip import find_broken_round_trips
from upgrader.check.rule import Need
from upgrader.check.rules import ROUND_TRIP, RULES, SCHEMA_DRIFT, SEQUENCE_FAILS
from upgrader.check.scratch import Scratch, open_scratch
from upgrader.check.sequence_run import SequenceResult, Subject, run_sequence
from upgrader.events import CheckMoved, Event, EventSink, Notice, StepStarted
from upgrader.lint.capture import StatementCapture
from upgrader.model import Direction, Scope, StepStatements
from upgrader.runner.stop import HardStop, StopToken

_SCRATCH_RULES = tuple(rule for rule in RULES.values() if rule.needs in (Need.SCRATCH, Need.SQUAWK))
_LINT_RULES = tuple(rule for rule in RULES.values() if rule.needs is Need.SQUAWK)
_NO_SCRATCH = "no scratch database; add --embedded or --scratch-url URL"
_NO_METADATA = "the settings name no metadata"
_NOT_COMPLETE = "the commands did not run to their end"


@dataclass
class ScratchCheck:
    """What is run in scratch databases.

    Attributes:
        subject: the settings and the commands.
        live: the live database, where there is one: only what is pending there is linted.
        emit: told what is done to the machine for an embedded server.
        stop: lets a signal end a run; what is left is not run.
    """

    book: CheckBook
    subject: Subject
    live: LiveDatabase | None
    emit: EventSink
    stop: StopToken
    _downs: list[StepStatements] = field(default_factory=list)

    def check(self, *, embedded: bool, url: str | None) -> None:
        """Run what is asked for, in databases that are gone afterwards.

        Raises:
            OperatorError: the scratch database cannot be used, or `prepare` fails.
            RunError: its server went away.
            HardStop: a signal came.
        """
        if not embedded and url is None:
            self.book.leave_out(_SCRATCH_RULES, _NO_SCRATCH)
            return
        if not self.book.wanted(_SCRATCH_RULES):
            return
        settings = self.subject.settings
        self.emit(CheckMoved("making a scratch database"))
        with open_scratch(settings, url=url, notify=lambda text: self.emit(Notice(text))) as scratch:
            self.book.scratch = scratch.description
            self._look(lay_base(scratch, settings), scratch)

    def _look(self, base: Base, scratch: Scratch) -> None:
        capture = StatementCapture(self._telling("trying"))
        sequence = run_sequence(base, self.subject, emit=capture, stop=self.stop)
        self._end_if_stopped()
        self.book.ran([SEQUENCE_FAILS], sequence.findings)
        self.book.note(sequence.left_out)
        self._note_dormant()
        self._compare(base, sequence)
        self._take_back(base)
        if self.book.wanted(_LINT_RULES):
            statements = (*capture.steps(), *self._downs)
            self.emit(CheckMoved("linting what was executed"))
            check_statements(
                self.book,
                statements,
                settings=self.subject.settings,
                scratch=scratch,
                scratch_url=sequence.url,
                live=self.live,
            )

    def _compare(self, base: Base, sequence: SequenceResult) -> None:
        settings = self.subject.settings
        if not settings.metadata and not settings.workspace_metadata:
            self.book.leave_out([SCHEMA_DRIFT], _NO_METADATA)
        elif not sequence.is_complete:
            self.book.leave_out([SCHEMA_DRIFT], _NOT_COMPLETE)
        elif self.book.wanted([SCHEMA_DRIFT]):
            self.emit(CheckMoved("comparing models and commands"))
            drift = find_drift(sequence, base=base, settings=settings)
            self.book.ran([SCHEMA_DRIFT], drift.findings)
            self.book.note(drift.left_out)

    def _take_back(self, base: Base) -> None:
        if not self.book.wanted([ROUND_TRIP]):
            return
        capture = StatementCapture(self._telling("taking back and forth"))
        trips = find_broken_round_trips(base, self.subject, emit=capture, stop=self.stop)
        self._end_if_stopped()
        self.book.ran([ROUND_TRIP], trips.findings)
        self.book.note(trips.left_out)
        self._downs.extend(one for one in capture.steps() if one.direction is Direction.DOWN)

    def _telling(self, what: str) -> EventSink:
        """Tell which step a run in a scratch database is at; its events are nobody's otherwise."""

        def tell(event: Event) -> None:
            if isinstance(event, StepStarted):
                self.emit(CheckMoved(f"{what} {event.step.name}{_where(event.scope)}"))

        return tell

    def _end_if_stopped(self) -> None:
        """A run that was cut off has told nothing of the commands."""
        if self.stop.requested:
            raise HardStop

    def _note_dormant(self) -> None:
        application, sequence = self.subject.app_version, self.subject.registry.sequence
        dormant = len(sequence) - len(sequence.covered_by(application))
        if dormant:
            self.book.note([_dormant_note(dormant, application.text)])


def _where(scope: Scope) -> str:
    return "" if scope.is_instance else f" in {scope}"


def _dormant_note(count: int, application: str) -> str:
    what = "1 dormant command was" if count == 1 else f"{count} dormant commands were"
    return f"{what} not run: app_version is {application}; --app-version looks further"
