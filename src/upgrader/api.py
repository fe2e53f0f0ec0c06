"""The one place that wires the parts: what the CLI, the worker and applications call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from uuid import uuid4

from upgrader.database.connect import Connector
from upgrader.database.retry import RetryPolicy
from upgrader.database.session import CommandSession
from upgrader.events import EventSink, ignore_events, quiet
from upgrader.history.run_lock import RunLock
from upgrader.history.sql_store import SqlHistoryStore
from upgrader.history.store import AttemptFilter
from upgrader.model import Attempt
from upgrader.redaction import Redactor, clean_error_text
from upgrader.registry import Registry, load
from upgrader.runner.options import RunSettings, UpgradeOptions, plan_options
from upgrader.runner.result import RunReport
from upgrader.runner.segment import SequentialExecutor
from upgrader.runner.step_runner import StepRunner
from upgrader.runner.stop import StopToken
from upgrader.runner.upgrade import RunParts, UpgradeRun
from upgrader.sequence.plan import Plan
from upgrader.sequence.planner import make_plan
from upgrader.settings import MissingPolicy, Settings, UnenrolledPolicy, require_database_url
from upgrader.settings.database_url import embedded_path
from upgrader.survey import Survey, take_survey
from upgrader.version import ApplicationVersion
from upgrader.workspaces import ProviderSource, TableSource, WorkspaceSource

EMBEDDED = "embedded:"


@dataclass(frozen=True)
class PlanReport:
    """A plan with what it was made from."""

    plan: Plan
    survey: Survey
    options: UpgradeOptions
    database: str
    app_version: str


@dataclass
class _OpenRun:
    """The connections of a run: the lock's, the store's, the commands'."""

    run_id: str
    lock: RunLock
    control: CommandSession
    session: CommandSession
    store: SqlHistoryStore
    description: str


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
        self._redactor = Redactor().with_secrets(*settings.secrets)
        self._cancel: Callable[[], None] | None = None

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
        if self._cancel is not None:
            self._cancel()

    def upgrade(self, options: UpgradeOptions) -> RunReport:
        """Run `upgrade`.

        Raises:
            OperatorError: refused before anything ran.
            LockHeldError: another run is at work.
        """
        sequence = self.registry.sequence  # loading comes before the database is touched
        with self._run(options.wait_lock_seconds) as run:
            report = RunReport(
                run_id=run.run_id,
                database=run.description,
                app_version=self.app_version.text,
                dry_run=options.dry_run,
                started_at=datetime.now(UTC),
            )
            steps = self._step_runner(run, verbose=options.verbose)
            executor = SequentialExecutor(
                steps=steps,
                report=report,
                emit=self._emit,
                stop=self.stop,
                check_lock=run.lock.check,
                fail_fast=options.fail_fast,
            )
            parts = RunParts(
                run.lock,
                run.store,
                steps,
                executor,
                self._source,
                sequence,
                self._run_settings,
                self._emit,
                self.stop,
            )
            return UpgradeRun(parts, options, report).execute()

    def plan(self, options: UpgradeOptions) -> PlanReport:
        """Say what `upgrade` with the same options would run; writes nothing, takes no lock."""
        sequence = self.registry.sequence
        with self._reading() as (session, store, description):
            survey = take_survey(session=session, store=store, source=self._source)
        plan = make_plan(sequence, survey.state, plan_options(options, self._run_settings))
        return PlanReport(plan, survey, options, description, self.app_version.text)

    def history(self, wanted: AttemptFilter) -> Iterator[Attempt]:
        """Give attempts, newest first."""
        with self._reading() as (_, store, _):
            yield from store.attempts(wanted)

    @cached_property
    def _source(self) -> WorkspaceSource:
        settings = self.settings.workspaces
        if settings.provider is not None:
            return ProviderSource(settings.provider, tuple(settings.statuses))
        return TableSource(
            table=tuple(part for part in (settings.table.schema, settings.table.name) if part),
            id_column=settings.id_column,
            status_column=settings.status_column or "",
            statuses=tuple(settings.statuses),
            schema_column=settings.schema_column or "",
            name_column=settings.name_column or "",
            is_explicit="table" in settings.model_fields_set,
        )

    @property
    def _run_settings(self) -> RunSettings:
        settings = self.settings
        return RunSettings(
            app_version=self.app_version,
            schema=settings.history_schema,
            run_missing=settings.missing is MissingPolicy.RUN,
            unenrolled_run_all=settings.unenrolled_workspaces is UnenrolledPolicy.APPLY_ALL,
            oldest_supported=settings.oldest_supported,
            search_path_extra=settings.workspaces.search_path_extra,
            lock_timeout_seconds=settings.lock_timeout_seconds,
            retry=RetryPolicy(
                settings.lock_tries, settings.lock_retry_initial_seconds, settings.lock_retry_max_seconds
            ),
            dry_run_lock_seconds=settings.dry_run_lock_seconds,
            is_embedded=require_database_url(settings).startswith(EMBEDDED),
        )

    def _step_runner(self, run: _OpenRun, *, verbose: bool) -> StepRunner:
        return StepRunner(
            session=run.session,
            store=run.store,
            commands=self.registry,
            source=self._source,
            settings=self._run_settings,
            emit=self._emit,
            stop=self.stop,
            redact=lambda text: clean_error_text(text, redactor=self._redactor),
            verbose=verbose,
        )

    @contextmanager
    def _server(self) -> Iterator[str]:
        """Give the URL of the server, which is started where it is the embedded one."""
        url = require_database_url(self.settings)
        if not url.startswith(EMBEDDED):
            yield url
            return
        from upgrader.database.embedded import embedded_server

        with embedded_server(Path(embedded_path(url))) as uri:
            yield uri

    @contextmanager
    def _reading(self) -> Iterator[tuple[CommandSession, SqlHistoryStore, str]]:
        with ExitStack() as stack:
            connector = self._connector(stack, "upgrader")
            session = CommandSession(connector)
            stack.callback(session.close)
            store = SqlHistoryStore(lambda: session.driver, self.settings.history_schema)
            yield session, store, connector.description

    @contextmanager
    def _run(self, wait_lock_seconds: float) -> Iterator[_OpenRun]:
        """Open a run: its lock is held, its fence free of the last run, its connections ready."""
        run_id = uuid4().hex[:12]
        with ExitStack() as stack:
            connector = self._connector(stack, f"upgrader/{run_id}")
            lock = RunLock(connector, self.settings.history_schema, run_id=run_id, emit=self._emit)
            stack.callback(lock.close)
            lock.acquire(wait_seconds=wait_lock_seconds, is_stopping=lambda: self.stop.requested)
            control, session = (CommandSession(connector, on_connect=lock.on_connect) for _ in range(2))
            stack.callback(control.close)
            stack.callback(session.close)
            self._cancel = session.cancel
            stack.callback(setattr, self, "_cancel", None)
            store = SqlHistoryStore(lambda: control.driver, self.settings.history_schema)
            yield _OpenRun(run_id, lock, control, session, store, connector.description)

    def _connector(self, stack: ExitStack, application_name: str) -> Connector:
        url = stack.enter_context(self._server())
        return Connector(url, application_name, self.settings.connect_timeout_seconds)


__all__: Sequence[str] = ["PlanReport", "Upgrader"]
