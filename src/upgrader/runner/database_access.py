"""Opens what runs and readings need on one database: connections, store, lock, workspace source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from upgrader.backfill.options import BackfillOptions
from upgrader.database.aside import AsideConnection
from upgrader.database.connect import Connector
from upgrader.database.failures import translating
from upgrader.database.session import CommandSession
from upgrader.errors import PreflightError
from upgrader.events import EventSink, Notice, PreflightFound, ignore_events
from upgrader.history.run_lock import RunLock
from upgrader.history.sql_store import SqlHistoryStore
from upgrader.model import (
    Direction,
    FailureLimit,
    Jobs,
    Order,
    PreflightCheck,
    PreflightFinding,
    PreflightLevel,
)
from upgrader.preflight.look import MARKS_NEED, Inspector, PreflightReport
from upgrader.preflight.query import Question
from upgrader.redaction import Redactor, clean_error_text
from upgrader.runner.auto_lanes import most_lanes
from upgrader.runner.backfill_control import BackfillControl
from upgrader.runner.executors import Lanes, make_executor
from upgrader.runner.given_settings import run_settings, workspace_source
from upgrader.runner.lock_watch import WATCH_SETTINGS, LockWatch
from upgrader.runner.result import RunReport
from upgrader.runner.segment import SegmentExecutor
from upgrader.runner.step_parts import CommandFactory, StepParts
from upgrader.runner.step_runner import StepRunner
from upgrader.runner.stop import StopToken
from upgrader.runner.timeouts import session_settings
from upgrader.runner.upgrade import RunParts
from upgrader.runner.workspace_walk import SegmentParts
from upgrader.sequence.sequence import StepSequence
from upgrader.settings import Settings, require_database_url
from upgrader.settings.database_url import EMBEDDED_PREFIX, embedded_path
from upgrader.version import ApplicationVersion
from upgrader.workspaces import TableSource


@dataclass
class OpenRun:
    """The connections of a run: the lock's, that of the history and of the watch, the commands'.

    Attributes:
        at_end: takes what is to be called when the run is over, while its connections are still there.
    """

    run_id: str
    lock: RunLock
    control: CommandSession
    session: CommandSession
    store: SqlHistoryStore
    description: str
    watch: LockWatch
    asks: AsideConnection
    findings: tuple[PreflightFinding, ...] = ()
    more_sessions: tuple[CommandSession, ...] = ()
    jobs: Jobs = field(default_factory=Jobs)
    at_end: Callable[[Callable[[], None]], object] = field(default=lambda _: None)

    @property
    def sessions(self) -> tuple[CommandSession, ...]:
        """The sessions of the lanes; the first one is also that of instance steps and surveys."""
        return (self.session, *self.more_sessions)


@dataclass(frozen=True)
class Reading:
    """One connection that only reads, with the store on it."""

    session: CommandSession
    store: SqlHistoryStore
    description: str


class ExecutorFactory(Protocol):
    """Makes what takes the workspaces of a run: on other machines, for example."""

    def __call__(self, segment: SegmentParts, run: OpenRun, steps: StepParts) -> SegmentExecutor:
        """Make it; it may register with the run what is to be done at its end."""


class DatabaseAccess:
    """The way to one database, as settings describe it."""

    def __init__(
        self,
        settings: Settings,
        *,
        app_version: ApplicationVersion,
        emit: EventSink = ignore_events,
        stop: StopToken | None = None,
    ) -> None:
        """Open nothing yet.

        Raises:
            SettingsError: no database is named.
        """
        self.settings = settings
        self.app_version = app_version
        self.emit = emit
        self.stop = stop or StopToken()
        self.source = workspace_source(settings)
        self.run_settings = run_settings(settings, app_version)
        self._url = require_database_url(settings)
        self.redactor = Redactor().with_secrets(*settings.secrets)
        self._cancel: Callable[[], None] | None = None

    def cancel(self) -> None:
        """Ask the server to end the statement in progress; for a second signal."""
        if self._cancel is not None:
            self._cancel()

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """Open a connection that only reads; takes no lock."""
        with ExitStack() as stack:
            connector = self.connector(stack, "upgrader")
            session = CommandSession(connector)
            stack.callback(session.close)
            store = SqlHistoryStore(lambda: session.driver, self.settings.history_schema)
            yield Reading(session, store, connector.description)

    @contextmanager
    def run(
        self, wait_lock_seconds: float = 0.0, *, only_marks: bool = False, jobs: Jobs | None = None
    ) -> Iterator[OpenRun]:
        """Open a run: its lock is held, its fence free of the last run, its connections ready.

        Args:
            jobs: how many workspaces are worked on at a time; lanes after the first open their connection when
                they need it.
            only_marks: no command is going to run: less is looked at beforehand.

        Raises:
            LockHeldError: another run is at work.
            PreflightError: the database is not fit for a run.
        """
        run_id = uuid4().hex[:12]
        with ExitStack() as stack:
            stack.enter_context(translating())
            connector = self.connector(stack, f"upgrader/{run_id}")
            lock = RunLock(
                connector,
                self.settings.history_schema,
                run_id=run_id,
                emit=self.emit,
                redact=self.redactor.redact,
            )
            stack.callback(lock.close)
            jobs = jobs or Jobs()
            inspector = self._inspector(only_marks=only_marks, lanes=jobs.count or 1)
            # Before the lock: one that a proxy hands to somebody else would stay there.
            findings = self._admitted(inspector.before_the_lock(lock.driver, connector))
            lock.acquire(wait_seconds=wait_lock_seconds, is_stopping=lambda: self.stop.requested)
            # Another name: what is done on it says nothing of whether the run is silent.
            controlling = replace(connector, application_name=f"{connector.application_name}/control")
            control = CommandSession(controlling, on_connect=lock.on_connect)
            stack.callback(control.close)
            # The control connection is not opened yet.
            lanes = jobs.count or most_lanes(inspector.connections_left(lock.driver) - 1)
            first, *more = self._lane_sessions(stack, connector, lanes, on_connect=lock.on_connect)
            store = SqlHistoryStore(lambda: control.driver, self.settings.history_schema)
            findings += self._admitted(inspector.under_the_lock(lock.driver))
            # Once this run has the fence while it still has the lock, no other one begins before its end.
            control.open()
            lock.check()
            asks = AsideConnection(control.driver, settings=WATCH_SETTINGS)
            watch = LockWatch(asks, self.emit, self.stop, self.redactor.redact)
            stack.callback(watch.close)
            yield OpenRun(
                run_id,
                lock,
                control,
                first,
                store,
                connector.description,
                watch,
                asks,
                findings,
                tuple(more),
                jobs,
                stack.callback,
            )

    def _lane_sessions(
        self, stack: ExitStack, connector: Connector, count: int, *, on_connect: str
    ) -> list[CommandSession]:
        """Make the sessions of commands, which a second signal cancels; each connects when it is needed."""
        commanding = replace(connector, settings=session_settings(self.run_settings), keeps_date_style=True)
        sessions = [CommandSession(commanding, on_connect=on_connect) for _ in range(count)]
        for session in sessions:
            stack.callback(session.close)
        self._cancel = lambda: cancel_all(sessions)
        stack.callback(setattr, self, "_cancel", None)
        return sessions

    def preflight(self) -> PreflightReport:
        """Look at the database as before a run; writes nothing, takes no lock."""
        with ExitStack() as stack:
            connector = self.connector(stack, "upgrader")
            driver = stack.enter_context(connector.connect())
            lanes = self.run_settings.jobs.count or 1
            return self._inspector(lanes=lanes).alone(driver, connector)

    def report(self, run: OpenRun, *, dry_run: bool, direction: Direction = Direction.UP) -> RunReport:
        """Begin the report of a run."""
        return RunReport(
            run_id=run.run_id,
            database=run.description,
            app_version=self.app_version.text,
            dry_run=dry_run,
            started_at=datetime.now(UTC),
            direction=direction,
            preflight=run.findings,
            jobs=run.jobs.text,
        )

    def parts(
        self,
        run: OpenRun,
        report: RunReport,
        *,
        sequence: StepSequence,
        commands: CommandFactory,
        verbose: bool = False,
        is_watched: bool = False,
        limit: FailureLimit | None = None,
        backfill: BackfillOptions | None = None,
        repeats: bool = False,
        order: Order | None = None,
        make_runner: Callable[[StepParts], StepRunner] = StepRunner,
        executor: ExecutorFactory | None = None,
    ) -> RunParts:
        """Put together what a run works with; the report says which way it goes.

        Args:
            is_watched: emit the statements without being verbose.
            repeats: completed steps are run again.
            order: in which order workspaces have their turn; None: what the settings say.
            executor: makes what takes the workspaces, in the place of lanes of this process.
        """
        is_down = report.direction is Direction.DOWN
        given = replace(
            self._step_parts(run, commands, is_down=is_down, verbose=verbose, is_watched=is_watched),
            run_id=run.run_id,
            backfill=backfill or BackfillOptions(),
            rereads_state=run.lock.has_waited,
            repeats=repeats,
        )
        steps = make_runner(given)
        segment = SegmentParts(
            report=report,
            emit=self.emit,
            stop=self.stop,
            check_lock=run.lock.check,
            limit=limit or self.run_settings.max_failures,
            direction=report.direction,
            find_holders=run.lock.workspace_holders,
        )
        more = [make_runner(replace(given, session=session)) for session in run.more_sessions]
        lanes = Lanes(
            (steps, *more),
            terminate=run.lock.terminate,
            control=lambda: run.control.driver,
            asks=run.asks,
            own=(f"upgrader/{run.run_id}", f"upgrader/{run.run_id}/control"),
            is_auto=run.jobs.is_auto,
        )
        executing = make_executor(
            segment,
            lanes,
            order=order or self.run_settings.order,
            given=executor(segment, run, given) if executor else None,
        )
        return RunParts(
            lock=run.lock,
            store=run.store,
            steps=steps,
            executor=executing,
            source=self.source,
            sequence=sequence,
            settings=self.run_settings,
            emit=self.emit,
            stop=self.stop,
        )

    def _step_parts(
        self, run: OpenRun, commands: CommandFactory, *, is_down: bool, verbose: bool, is_watched: bool
    ) -> StepParts:
        def wait(seconds: float) -> bool:
            run.lock.check()
            return self.stop.wait(seconds)

        # On the way down nobody is left out for a status: a shape that stayed behind would be lost from sight.
        return StepParts(
            session=run.session,
            store=run.store,
            commands=commands,
            source=self.source.of_any_status() if is_down else self.source,
            settings=self.run_settings,
            emit=self.emit,
            stop=self.stop,
            redact=lambda text: clean_error_text(text, redactor=self.redactor),
            verbose=verbose,
            is_watched=is_watched,
            check_lock=run.lock.check,
            watch=run.watch,
            backfill_control=BackfillControl.of_run(
                run.run_id,
                asks=lambda: AsideConnection(run.control.driver, settings=WATCH_SETTINGS),
                schema=self.settings.history_schema,
                limits=self.run_settings.brake,
                emit=self.emit,
                wait=wait,
            ),
        )

    def _inspector(self, *, only_marks: bool = False, lanes: int = 1) -> Inspector:
        settings = self.settings.preflight
        left_out = frozenset(PreflightCheck) - MARKS_NEED if only_marks else frozenset()
        return Inspector(
            Question(
                self.settings.history_schema,
                self.source.table if isinstance(self.source, TableSource) else None,
                settings.long_transaction_seconds,
            ),
            ignore=left_out.union(settings.ignore),
            redact=lambda text: clean_error_text(text, redactor=self.redactor),
            lanes=lanes,
        )

    def _admitted(self, findings: tuple[PreflightFinding, ...]) -> tuple[PreflightFinding, ...]:
        """Tell the operator of warnings, and give the findings back.

        Raises:
            PreflightError: one of them refuses the run.
        """
        if any(finding.level is PreflightLevel.REFUSE for finding in findings):
            raise PreflightError(findings)
        for finding in findings:
            if finding.level is PreflightLevel.WARN:
                self.emit(PreflightFound(finding))
        return findings

    @contextmanager
    def _server(self) -> Iterator[str]:
        """Give the URL of the server, which is started where it is the embedded one."""
        if not self._url.startswith(EMBEDDED_PREFIX):
            yield self._url
            return
        from upgrader.database.embedded import embedded_server

        with embedded_server(
            Path(embedded_path(self._url)), notify=lambda message: self.emit(Notice(message))
        ) as uri:
            yield uri

    def connector(self, stack: ExitStack, application_name: str) -> Connector:
        """Give what opens connections; an embedded server runs until the stack is closed."""
        url = stack.enter_context(self._server())
        # The folder of the embedded server's socket tells nobody anything.
        label = self._url if self._url.startswith(EMBEDDED_PREFIX) else None
        return Connector(url, application_name, self.settings.connect_timeout_seconds, label)


def cancel_all(sessions: Iterable[CommandSession]) -> None:
    """Ask the server to end the statements in progress; safe in a signal handler."""
    for session in sessions:
        with suppress(Exception):  # one that is gone just now has nothing in progress
            session.cancel()
