"""The verbs that only read the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from upgrader.database.failures import translating
from upgrader.history.store import AttemptFilter
from upgrader.model import Attempt
from upgrader.preflight.look import PreflightReport
from upgrader.runner.options import DowngradeOptions, UpgradeOptions, plan_options
from upgrader.runner.way_down import WayDownReport, plan_way_down
from upgrader.sequence.plan import Plan
from upgrader.sequence.planner import make_plan
from upgrader.status.build import StatusQuery, build_status
from upgrader.status.deferral import deferred_since
from upgrader.status.report import StatusReport
from upgrader.status.running import find_running
from upgrader.status.waiting import StatusPoll, StatusWait, ignore_polls
from upgrader.survey import Survey, take_survey

if TYPE_CHECKING:
    from datetime import datetime

    from upgrader.model import Step
    from upgrader.status.explanation import Explanation, Subject


from upgrader.api.foundation import Foundation


@dataclass(frozen=True)
class PlanReport:
    """A plan with what it was made from."""

    plan: Plan
    survey: Survey
    options: UpgradeOptions
    database: str
    app_version: str


class Looking(Foundation):
    """Reads how far everything is; writes nothing."""

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

    def plan_down(self, options: DowngradeOptions) -> WayDownReport:
        """Say what `downgrade` with the same options would take back; writes nothing, takes no lock."""
        return plan_way_down(self._access, self.registry.sequence, options)

    def preflight(self) -> PreflightReport:
        """Look for what would be in the way of a run; writes nothing, takes no lock."""
        with translating():
            return self._access.preflight()

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

    def deferred_since(self, deferred: Sequence[Step]) -> Mapping[str, datetime]:
        """Give from when each deferred slow step could have run, by name, where that is known; writes nothing."""
        with translating(), self._access.reading() as reading:
            return deferred_since(deferred, self.registry.sequence, reading.store)

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
