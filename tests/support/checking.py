"""Runs the parts of the gate on a project, with an empty database as the scratch one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.support.project import Project
from upgrader.check.base import Base, lay_base
from upgrader.check.drift import DriftResult, find_drift
from upgrader.check.round_trip import RoundTripResult, find_broken_round_trips
from upgrader.check.scratch import open_scratch
from upgrader.check.sequence_run import SequenceResult, Subject, run_sequence
from upgrader.events import EventSink, ignore_events


@dataclass(frozen=True)
class Checking:
    """A project and the base on which it is checked."""

    subject: Subject
    base: Base

    def sequence(self, emit: EventSink = ignore_events) -> SequenceResult:
        """Run the sequence."""
        return run_sequence(self.base, self.subject, emit=emit)

    def drift(self) -> DriftResult:
        """Run the sequence and compare its schema with the models."""
        sequence = self.sequence()
        assert sequence.is_complete, sequence.findings
        return find_drift(sequence, base=self.base, settings=self.subject.settings)

    def round_trips(self) -> RoundTripResult:
        """Take each command back and do it again."""
        return find_broken_round_trips(self.base, self.subject)


@contextmanager
def checking(project: Project) -> Iterator[Checking]:
    """Open a scratch place at the project's database, which is empty and no longer the configured one."""
    project.configure(database_url=None)
    api = project.api()
    with open_scratch(api.settings, url=project.database_url) as scratch:
        subject = Subject(api.settings, api.registry, api.app_version)
        yield Checking(subject, lay_base(scratch, api.settings))
