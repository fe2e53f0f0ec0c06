"""The one place that wires the parts: what the CLI, the worker and applications call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from upgrader.database.failures import translating
from upgrader.errors import OperatorError
from upgrader.events import EventSink, ignore_events, quiet
from upgrader.history.layout import bring_up_to_date
from upgrader.history.store import AttemptFilter
from upgrader.model import Attempt, Direction, FailureLimit
from upgrader.preflight.look import PreflightReport
from upgrader.registry import Registry, load
from upgrader.runner.database_access import DatabaseAccess, OpenRun, Reading
from upgrader.runner.enrolling import MarkReport, enrol_by_hand, write_baseline
from upgrader.runner.forgetting import forget_by_hand
from upgrader.runner.options import DowngradeOptions, UpgradeOptions, failure_limit, plan_options
from upgrader.runner.result import RunReport
from upgrader.runner.setting_aside import SettingAside, bring_back, set_aside
from upgrader.runner.stop import StopToken
from upgrader.runner.upgrade import UpgradeRun
from upgrader.runner.way_down import WayDownReport, plan_way_down
from upgrader.sequence.plan import Plan, Selection
from upgrader.sequence.planner import make_plan
from upgrader.sequence.sequence import StepSequence
from upgrader.settings import Settings
from upgrader.status.build import StatusQuery, build_status
from upgrader.status.report import StatusReport
from upgrader.status.running import find_running
from upgrader.status.waiting import StatusPoll, StatusWait, ignore_polls
from upgrader.survey import Survey, take_survey
from upgrader.version import ApplicationVersion, ReleaseVersion

if TYPE_CHECKING:
    from upgrader.check.options import CheckOptions
    from upgrader.check.report import CheckReport
    from upgrader.generate.autogenerate.generation import GeneratedCommands
    from upgrader.runner.script import Script
    from upgrader.status.explanation import Explanation, Subject


@dataclass(frozen=True)
class PlanReport:
    """A plan with what it was made from."""

    plan: Plan
    survey: Survey
    options: UpgradeOptions
    database: str
    app_version: str


class Upgrader:
    """The product as a Python object: one database, one set of commands."""

    def __init__(
        self,
        settings: Settings,
        *,
        base: Path | None = None,
        emit: EventSink = ignore_events,
        stop: StopToken | None = None,
    ) -> None:
        """Touch nothing yet.

        Args:
            settings: see `upgrader.settings.load_settings`.
            base: what relative command directories are relative to; the working directory by default.
            emit: told of everything that happens; never fails a run.
            stop: lets another thread or a signal handler end a run in good order.
        """
        self.settings = settings
        self.stop = stop or StopToken()
        self._base = base or Path.cwd()
        self._emit = quiet(emit)

    @cached_property
    def registry(self) -> Registry:
        """The loaded commands.

        Raises:
            LoadingError: with all problems at once.
        """
        return load(self.settings.commands, base=self._base)

    @property
    def app_version(self) -> ApplicationVersion:
        """The application's version: as set, else the highest one that there are commands of."""
        given = self.settings.application_version
        if given is not None:
            return given
        highest = self.registry.highest_version
        return ApplicationVersion.of(highest) if highest else ApplicationVersion.parse("0.0.0")

    def cancel(self) -> None:
        """Ask the server to end the statement in progress; for a second signal."""
        access: DatabaseAccess | None = self.__dict__.get(
            "_access"
        )  # nothing is in progress before it is made
        if access is not None:
            access.cancel()

    def upgrade(self, options: UpgradeOptions) -> RunReport:
        """Run `upgrade`.

        Raises:
            OperatorError: refused before anything ran.
            LockHeldError: another run is at work.
        """
        sequence = self.registry.sequence  # loading comes before the database is touched
        with self._access.run(options.wait_lock_seconds) as run:
            report = self._access.report(run, dry_run=options.dry_run)
            parts = self._access.parts(
                run,
                report,
                sequence=sequence,
                commands=self.registry,
                verbose=options.verbose,
                limit=options.failure_limit(self._access.run_settings),
            )
            if options.dry_run:
                from upgrader.runner.dry_run import DryRun  # a plain upgrade does not need it

                return DryRun(parts, options, report).execute()
            return UpgradeRun(parts, options, report).execute()

    def downgrade(self, options: DowngradeOptions) -> RunReport:
        """Take steps back, newest first: everything above a version, or a number of steps.

        Raises:
            OperatorError: refused before anything ran.
            LockHeldError: another run is at work.
        """
        from upgrader.runner.downgrade import DowngradeRun

        sequence = self.registry.sequence
        with self._access.run(options.wait_lock_seconds) as run:
            report = self._access.report(run, dry_run=options.dry_run, direction=Direction.DOWN)
            parts = self._access.parts(
                run,
                report,
                sequence=sequence,
                commands=self.registry,
                verbose=options.verbose,
                limit=options.failure_limit(self._access.run_settings),
            )
            if options.dry_run:
                from upgrader.runner.down_dry_run import DownDryRun

                return DownDryRun(parts, options, report).execute()
            return DowngradeRun(parts, options, report).execute()

    def sql(self, options: UpgradeOptions, *, shows_all_workspaces: bool = False) -> Script:
        """Give what `upgrade` with the same options would execute; tries it and rolls it back, like a dry run.

        Args:
            shows_all_workspaces: not only the first of those that have the same steps before them.

        Raises:
            LockHeldError: another run is at work.
        """
        from upgrader.runner.script_book import ScriptBook
        from upgrader.runner.script_run import ScriptRun

        sequence = self.registry.sequence
        book = ScriptBook()
        with self._access.run(options.wait_lock_seconds) as run:
            report = self._access.report(run, dry_run=True)
            parts = self._access.parts(
                run, report, sequence=sequence, commands=self.registry, make_runner=book.listening_runner
            )
            return ScriptRun(
                parts, options, report, book=book, shows_all_workspaces=shows_all_workspaces
            ).script()

    def plan_down(self, options: DowngradeOptions) -> WayDownReport:
        """Say what `downgrade` with the same options would take back; writes nothing, takes no lock."""
        return plan_way_down(self._access, self.registry.sequence, options)

    def run_workspace_command(
        self,
        name: str,
        *,
        selection: Selection | None = None,
        again: bool = False,
        verbose: bool = False,
        fail_fast: bool = False,
        max_failures: FailureLimit | None = None,
        wait_lock_seconds: float = 0.0,
    ) -> RunReport:
        """Run one workspace command where it is pending and everything before it is done.

        Args:
            name: its CLI name.
            again: run it where it is completed, too.
            max_failures: when to end early; by default what the settings say.

        Raises:
            OperatorError: there is no such command, or it is dormant.
            LockHeldError: another run is at work.
        """
        from upgrader.runner.workspace_run import WorkspaceRun, find_workspace_step

        sequence = self.registry.sequence
        step = find_workspace_step(sequence, name, sequence.covered_by(self.app_version))
        with self._access.run(wait_lock_seconds) as run:
            self._bring_up_to_date(run)
            report = self._access.report(run, dry_run=False)
            limit = failure_limit(self._access.run_settings, fail_fast=fail_fast, max_failures=max_failures)
            parts = self._access.parts(
                run, report, sequence=sequence, commands=self.registry, verbose=verbose, limit=limit
            )
            return WorkspaceRun(parts, step, selection or Selection(), report, again=again).execute()

    def baseline(
        self,
        version: ReleaseVersion,
        *,
        workspace_ids: Sequence[str] = (),
        wait_lock_seconds: float = 0.0,
    ) -> MarkReport:
        """Mark the database as being at `version`: every step at or below it counts as done.

        Args:
            workspace_ids: mark only these workspaces; by default the instance and every one.

        Raises:
            OperatorError: `version` is above `app_version`, or history says something else.
            LockHeldError: another run is at work.
        """
        knows_version = self.settings.app_version is not None or not self.registry.is_empty
        if knows_version and not self.app_version.covers(version):
            raise OperatorError(
                f"{version} is above app_version {self.app_version}",
                hint="give a version that the application has, or set app_version",
            )
        with self._access.run(wait_lock_seconds, only_marks=True) as run:
            self._bring_up_to_date(run)
            survey = take_survey(session=run.session, store=run.store, source=self._access.source)
            return write_baseline(
                version,
                survey=survey,
                store=run.store,
                executed_by=self.app_version.text,
                workspace_ids=workspace_ids,
            )

    def enroll(
        self, workspace_ids: Sequence[str], *, at: str = "current", wait_lock_seconds: float = 0.0
    ) -> MarkReport:
        """Enrol workspaces by hand.

        Args:
            workspace_ids: ids that are in the workspace table.
            at: `start`, `current` (where the instance stands), or a version.

        Raises:
            UnknownWorkspaceError: an id is not there; nothing is enrolled then.
            OperatorError: a workspace is enrolled at another version already.
            LockHeldError: another run is at work.
        """
        sequence = self.registry.sequence.covered_by(self.app_version)
        with self._access.run(wait_lock_seconds, only_marks=True) as run:
            self._bring_up_to_date(run)
            survey = take_survey(session=run.session, store=run.store, source=self._access.source)
            return enrol_by_hand(
                workspace_ids,
                at,
                survey=survey,
                sequence=sequence,
                driver=run.control.driver,
                schema=self.settings.history_schema,
            )

    def quarantine(self, workspace_ids: Sequence[str], *, reason: str) -> SettingAside:
        """Set workspaces aside: nothing runs on them, no barrier waits for them, every report names them.

        Needs no run lock: a run that is at work leaves them alone from its next look at the database on.

        Raises:
            UnknownWorkspaceError: an id is not there; nothing is changed then.
            OperatorError: the reason is empty.
            LockHeldError: there is no history yet, and a run is about to make it.
        """
        return set_aside(self._access, self.registry.sequence, workspace_ids, reason=reason)

    def release(self, workspace_ids: Sequence[str]) -> SettingAside:
        """Bring workspaces back that were set aside: what they missed runs before anything newer.

        Needs no run lock; excludes itself against a barrier that is being passed.

        Raises:
            OperatorError: a workspace is not set aside; nothing is changed then.
            RefusedError: the loaded commands do not reach down to where a workspace is.
        """
        return bring_back(self._access, self.registry.sequence, workspace_ids)

    def forget(self, workspace_ids: Sequence[str], *, wait_lock_seconds: float = 0.0) -> int:
        """End the history of workspaces that are deleted, so that their ids may be used again.

        Applications call `forget_workspace` instead, in the transaction that deletes the workspace.

        Raises:
            RefusedError: a workspace is still there.
            UnknownWorkspaceError: history knows nothing of an id.
            LockHeldError: another run is at work.
        """
        with self._access.run(wait_lock_seconds, only_marks=True) as run:
            self._bring_up_to_date(run)
            survey = take_survey(session=run.session, store=run.store, source=self._access.source)
            return forget_by_hand(workspace_ids, survey=survey, store=run.store)

    def autogenerate(
        self, *, name: str, version: ReleaseVersion, directory: Path, workspace_schema: str | None = None
    ) -> GeneratedCommands:
        """Compare the metadata of the settings with the database, and write what is missing as commands.

        The database is left as it is. Where nothing is different nothing is written.

        Args:
            workspace_schema: compare this workspace's schema with `workspace_metadata` instead.

        Raises:
            OperatorError: Alembic or the metadata is not there, commands are pending, or nothing can be written.
        """
        from upgrader.generate.autogenerate.generation import generate_commands, load_models, refuse_pending

        of_workspace = workspace_schema is not None
        models = load_models(self.settings, of_workspace=of_workspace)
        access = DatabaseAccess(
            self.settings, app_version=ApplicationVersion.of(version), emit=self._emit, stop=self.stop
        )
        sequence = self.registry.sequence if directory.is_dir() else StepSequence(())
        with translating(), access.reading() as reading:
            survey = take_survey(session=reading.session, store=reading.store, source=access.source)
            options = plan_options(UpgradeOptions(include_slow=True, allow_ahead=True), access.run_settings)
            highest = max((step.version for step in sequence), default=version)
            everything = replace(options, app_version=ApplicationVersion.of(max(highest, version)))
            refuse_pending(make_plan(sequence, survey.state, everything), of_workspace=of_workspace)
            return generate_commands(
                reading.session,
                access.source,
                self.settings,
                models,
                name=name,
                version=version,
                directory=directory,
                workspace_schema=workspace_schema,
            )

    def workspaces(self) -> Survey:
        """List the workspaces, in and out of scope, with how far each is; writes nothing."""
        with translating(), self._access.reading() as reading:
            return self._survey(reading)

    def plan(self, options: UpgradeOptions) -> PlanReport:
        """Say what `upgrade` with the same options would run; writes nothing, takes no lock."""
        sequence = self.registry.sequence
        with translating(), self._access.reading() as reading:
            survey = take_survey(session=reading.session, store=reading.store, source=self._access.source)
        plan = make_plan(sequence, survey.state, plan_options(options, self._access.run_settings))
        return PlanReport(plan, survey, options, reading.description, self.app_version.text)

    def preflight(self) -> PreflightReport:
        """Look for what would be in the way of a run; writes nothing, takes no lock."""
        with translating():
            return self._access.preflight()

    def check(self, options: CheckOptions) -> CheckReport:
        """Look for everything that can be wrong with the commands; writes nothing to the database.

        Raises:
            OperatorError: a rule is unknown, or a database that is named cannot be used.
        """
        from upgrader.check.gate import Gate  # no other verb needs it

        gate = Gate(
            self.settings,
            options,
            load=lambda: self.registry,
            app_version=lambda: self.app_version,
            access=lambda: self._access,
            emit=self._emit,
            stop=self.stop,
        )
        return gate.check()

    def history(self, wanted: AttemptFilter) -> Iterator[Attempt]:
        """Give attempts, newest first."""
        with translating(), self._access.reading() as reading:
            yield from reading.store.attempts(wanted)

    def status(self, *, workspace_ids: Sequence[str] = (), failed_only: bool = False) -> StatusReport:
        """Say how the instance and the workspaces are; writes nothing, takes no lock.

        Args:
            workspace_ids: only these; all in scope by default.
            failed_only: leave only the failed ones among the rows.

        Raises:
            UnknownWorkspaceError: an id is not there, or out of scope.
        """
        with translating(), self._status_reading(StatusQuery(tuple(workspace_ids), failed_only)) as look:
            return look()

    def why(self, name: str, *, subject: Subject | None = None) -> Explanation:
        """Say why a workspace or a step is not at the newest version; writes nothing, takes no lock.

        Args:
            name: a step's full name, class name, CLI name or timestamp, or a workspace's id.
            subject: which of the two it is; by default a step where there is one of that name.

        Raises:
            OperatorError: there is nothing of that name, or more than one step.
        """
        from upgrader.status.case import Case
        from upgrader.status.why import explain

        sequence = self.registry.sequence
        settings = self._access.run_settings
        with translating(), self._access.reading() as reading:
            running = find_running(reading.session.driver, reading.store, schema=settings.schema)
            survey = take_survey(session=reading.session, store=reading.store, source=self._access.source)
            options = plan_options(UpgradeOptions(), settings)
            case = Case(sequence, survey.state, options, reading.store, survey.everyone, running)
            return explain(case, name, subject=subject)

    def wait_until_good(
        self,
        seconds: float,
        *,
        include_slow: bool = False,
        workspace_ids: Sequence[str] = (),
        failed_only: bool = False,
        on_poll: Callable[[StatusPoll], None] = ignore_polls,
    ) -> StatusReport | None:
        """Look once a second until `StatusReport.is_good`, the time is over, or `stop` is requested.

        A server that is not there, or goes away, is waited for like everything else.

        Args:
            seconds: how long to wait; 0 looks once.
            include_slow: whether slow steps must be done, too.
            on_poll: told of each look.

        Returns:
            What was seen last; None where `stop` was requested before the database answered.

        Raises:
            DatabaseUnavailableError, RunError: the database did not answer when the time was over.
            OperatorError: waiting does not help: an unknown workspace, a history of a newer program.
        """
        query = StatusQuery(tuple(workspace_ids), failed_only)
        wait = StatusWait(lambda: self._status_reading(query), on_poll, self.stop.wait)
        return wait.until_good(seconds, include_slow=include_slow)

    @contextmanager
    def _status_reading(self, query: StatusQuery) -> Iterator[Callable[[], StatusReport]]:
        """Open a connection and give what looks at the database on it, as often as it is called."""
        sequence = self.registry.sequence
        settings = self._access.run_settings

        def look() -> StatusReport:
            # A run is looked for on both sides of the survey: what runs in it belongs to a living run, then.
            running = find_running(session.driver, store, schema=settings.schema)
            survey = take_survey(session=session, store=store, source=self._access.source)
            return build_status(
                survey,
                sequence,
                store=store,
                options=plan_options(UpgradeOptions(), settings),
                query=query,
                database=description,
                running=running or find_running(session.driver, store, schema=settings.schema),
            )

        with self._access.reading() as reading:
            session, store, description = reading.session, reading.store, reading.description
            yield look

    def _survey(self, reading: Reading) -> Survey:
        return take_survey(session=reading.session, store=reading.store, source=self._access.source)

    @cached_property
    def _access(self) -> DatabaseAccess:
        return DatabaseAccess(self.settings, app_version=self.app_version, emit=self._emit, stop=self.stop)

    def _bring_up_to_date(self, run: OpenRun) -> None:
        bring_up_to_date(run.lock.driver, self.settings.history_schema)
        run.lock.announce(self.app_version.text)


__all__: Sequence[str] = ["PlanReport", "Upgrader", "WayDownReport"]
