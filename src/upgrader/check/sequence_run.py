"""Runs every command on a scratch database, which proves that they run, and leaves the schema that they make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from upgrader.check.base import Base
from upgrader.check.failed_step import failure_finding, refusal_finding, run_error_finding
from upgrader.database.failures import translating
from upgrader.errors import OperatorError, WorkspaceSourceError
from upgrader.events import EventSink, ignore_events
from upgrader.history.layout import bring_up_to_date
from upgrader.model import AttemptStatus, FailureLimit, Finding, Outcome, Workspace
from upgrader.registry import Registry
from upgrader.runner.database_access import DatabaseAccess, OpenRun
from upgrader.runner.enrolling import write_baseline
from upgrader.runner.options import UpgradeOptions
from upgrader.runner.result import RunReport
from upgrader.runner.step_parts import StepParts
from upgrader.runner.step_runner import StepRunner
from upgrader.runner.stop import StopToken
from upgrader.runner.upgrade import UpgradeRun
from upgrader.sequence.sequence import StepSequence
from upgrader.settings import MissingPolicy, Settings, UnenrolledPolicy
from upgrader.survey import take_survey
from upgrader.version import ApplicationVersion
from upgrader.workspaces import NoWorkspaces, WorkspaceListing

MakeRunner = Callable[[StepParts, WorkspaceListing], StepRunner]


@dataclass(frozen=True)
class Subject:
    """What is checked.

    Attributes:
        settings: the product's own; the database in them is not touched.
    """

    settings: Settings
    registry: Registry
    app_version: ApplicationVersion


@dataclass(frozen=True)
class SequenceResult:
    """The sequence, run from beginning to end on a scratch database.

    Attributes:
        url: of the database in which it ran, as the commands left it.
        is_complete: whether every step was completed.
        left_out: what could not be tried, a sentence each.
        workspaces: those on which workspace commands ran, and those that are out of scope.
        report: the run, as `upgrade` tells it.
    """

    url: str
    is_complete: bool
    findings: tuple[Finding, ...]
    left_out: tuple[str, ...]
    workspaces: WorkspaceListing
    report: RunReport

    @property
    def sample(self) -> Workspace | None:
        """The workspace that stands for all; None where there is none with a schema of its own."""
        return sample_of(self.workspaces)


def sample_of(workspaces: WorkspaceListing) -> Workspace | None:
    """Give the first workspace that has a schema of its own; None without."""
    return next((workspace for workspace in workspaces.in_scope if workspace.schema), None)


def run_sequence(
    base: Base,
    subject: Subject,
    *,
    emit: EventSink = ignore_events,
    stop: StopToken | None = None,
    make_runner: MakeRunner | None = None,
) -> SequenceResult:
    """Run all steps up to the application's version, slow ones too, on a copy of the base.

    Workspace commands run on the workspaces of the base; where it has none, they are left out.

    Args:
        emit: told of everything that happens, each statement with its line too.
        stop: lets a signal end it; what has run by then is told.
        make_runner: makes what runs the steps; it is handed the workspaces of the base, too.

    Raises:
        OperatorError: the base version is above the application's, or the workspaces cannot be listed.
        RunError: the server went away.
    """
    url = base.copy()
    access = DatabaseAccess(
        _for_scratch(subject.settings, url), app_version=subject.app_version, emit=emit, stop=stop
    )
    with access.run() as run, translating():
        bring_up_to_date(run.lock.driver, subject.settings.history_schema)
        run.lock.announce(subject.app_version.text)
        listing, left_out = _list_workspaces(access, run, subject)
        sequence = subject.registry.sequence
        if left_out:
            access.source = NoWorkspaces()
            sequence = StepSequence.of(step for step in sequence if not step.is_workspace)
        _mark_base(access, run, subject)
        report = access.report(run, dry_run=False)
        parts = access.parts(
            run,
            report,
            sequence=sequence,
            commands=subject.registry,
            is_watched=True,
            limit=FailureLimit(count=1),
            make_runner=lambda parts: make_runner(parts, listing) if make_runner else StepRunner(parts),
        )
        UpgradeRun(parts, UpgradeOptions(include_slow=True), report).execute()
    return SequenceResult(
        url=url,
        is_complete=report.outcome is Outcome.DONE,
        findings=tuple(_findings(report, base)),
        left_out=left_out,
        workspaces=listing,
        report=report,
    )


def _for_scratch(settings: Settings, url: str) -> Settings:
    """Point the settings at the scratch database; nothing in it is too old or unknown."""
    changes = {
        "database_url": url,
        "oldest_supported": None,
        "missing": MissingPolicy.RUN,
        "unenrolled_workspaces": UnenrolledPolicy.APPLY_ALL,
    }
    return settings.model_copy(update=changes)


def _list_workspaces(
    access: DatabaseAccess, run: OpenRun, subject: Subject
) -> tuple[WorkspaceListing, tuple[str, ...]]:
    """Give the workspaces of the base, and a sentence where workspace commands cannot be tried."""
    try:
        listing = access.source.listing(run.session)
    except WorkspaceSourceError as error:
        listing, reason = WorkspaceListing(exists=False), error.message
    else:
        reason = f"the base has no workspace in the {access.source.description}"
    due = subject.registry.sequence.covered_by(subject.app_version)
    if listing.in_scope or not any(step.is_workspace for step in due):
        return listing, ()
    how = "let `prepare` in [tool.upgrader.check] make one"
    return listing, (f"workspace commands were not tried: {reason}; {how}",)


def _mark_base(access: DatabaseAccess, run: OpenRun, subject: Subject) -> None:
    """Let every command at or below the base version count as done."""
    version = subject.settings.check.base_version
    if version is None:
        return
    if not subject.app_version.covers(version):
        raise OperatorError(
            f"base_version {version} is above app_version {subject.app_version}",
            hint="correct base_version in [tool.upgrader.check]",
        )
    survey = take_survey(session=run.session, store=run.store, source=access.source)
    write_baseline(version, survey=survey, store=run.store, executed_by=subject.app_version.text)


def _findings(report: RunReport, base: Base) -> list[Finding]:
    failed = [result for result in report.failures if result.status is AttemptStatus.FAILED]
    for result in failed:
        if result.error and result.error.startswith("KeyboardInterrupt"):
            raise KeyboardInterrupt  # a step takes whatever is raised in it for its own failure
    is_embedded = base.scratch.is_embedded
    found = [failure_finding(result, is_embedded=is_embedded) for result in failed]
    found += [refusal_finding(refusal) for refusal in report.refusals]
    if report.error is not None and not found:
        found.append(run_error_finding(report.error))
    return found
