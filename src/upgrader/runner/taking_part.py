"""What one process works with that takes workspaces of a run whose coordinator is another process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from upgrader.backfill.options import BackfillOptions
from upgrader.database.aside import AsideConnection
from upgrader.database.connect import Connector
from upgrader.database.failures import translating
from upgrader.database.session import CommandSession
from upgrader.errors import PreflightError
from upgrader.events import EventSink
from upgrader.history.keys import LockKeys
from upgrader.history.sql_store import SqlHistoryStore
from upgrader.model import PreflightCheck, PreflightLevel
from upgrader.preflight.pooling import look_for_proxy
from upgrader.preflight.server import pooling_findings
from upgrader.redaction import clean_error_text
from upgrader.registry import Registry
from upgrader.runner.backfill_control import BackfillControl
from upgrader.runner.database_access import DatabaseAccess
from upgrader.runner.lock_watch import WATCH_SETTINGS, LockWatch
from upgrader.runner.options import RunSettings
from upgrader.runner.step_parts import StepParts
from upgrader.runner.step_runner import StepRunner
from upgrader.runner.stop import StopToken
from upgrader.runner.timeouts import session_settings

# A machine that is cut off is noticed by the server within so long, and by itself; its transaction ends with it.
CUT_OFF_SECONDS = 15
_QUICK = {
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "3",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": str(CUT_OFF_SECONDS * 1000),
}

_QUICK_CLIENT = {
    "keepalives_idle": "5",
    "keepalives_interval": "3",
    "keepalives_count": "3",
    "tcp_user_timeout": str(CUT_OFF_SECONDS * 1000),
}


@dataclass(frozen=True)
class PartOptions:
    """How a member does its part.

    Attributes:
        settings: of the run, as its coordinator has them.
        rereads_state: whether another run may have been at work since the coordinator's survey.
        admission: an SQL expression that is false where the member may begin nothing more.
        check: raises RunSupersededError where that is so.
    """

    settings: RunSettings
    backfill: BackfillOptions
    verbose: bool
    rereads_state: bool
    emit: EventSink
    stop: StopToken
    admission: str
    check: Callable[[], None]


@dataclass(frozen=True)
class Part:
    """The connections of a member, and what it runs steps with.

    Attributes:
        control: runs no command; the history is written on it.
        settings: what this process' own settings say of runs.
        source: where it finds workspaces.
    """

    run_id: str
    keys: LockKeys
    control: CommandSession
    registry: Registry
    settings: RunSettings
    source: str
    redact: Callable[[str], str]
    _access: DatabaseAccess
    _connector: Connector
    _stack: ExitStack

    def lanes(self, options: PartOptions) -> Callable[[], StepRunner]:
        """Give what makes lanes: step runners, each with a session of its own that is opened when needed."""
        asks = AsideConnection(self.control.driver, settings=WATCH_SETTINGS)
        watch = LockWatch(asks, options.emit, options.stop, self.redact)
        self._stack.callback(watch.close)
        connector = replace(
            self._connector,
            settings={**_QUICK, **session_settings(options.settings)},
            keeps_date_style=True,
        )
        parts = self._step_parts(options, watch)

        def make_lane() -> StepRunner:
            session = CommandSession(connector, on_connect=_fence(self.keys))
            self._stack.callback(session.close)
            return StepRunner(replace(parts, session=session))

        return make_lane

    def _step_parts(self, options: PartOptions, watch: LockWatch) -> StepParts:
        def wait(seconds: float) -> bool:
            options.check()
            return options.stop.wait(seconds)

        return StepParts(
            session=self.control,  # each lane has its own
            store=SqlHistoryStore(lambda: self.control.driver, self.keys.schema),
            commands=self.registry,
            source=self._access.source,
            settings=options.settings,
            emit=options.emit,
            stop=options.stop,
            redact=self.redact,
            verbose=options.verbose,
            run_id=self.run_id,
            backfill=options.backfill,
            rereads_state=options.rereads_state,
            check_lock=options.check,
            admission=options.admission,
            watch=watch,
            backfill_control=BackfillControl.of_run(
                self.run_id,
                asks=lambda: AsideConnection(self.control.driver, settings=WATCH_SETTINGS),
                schema=self.keys.schema,
                limits=options.settings.brake,
                emit=options.emit,
                wait=wait,
            ),
        )


@contextmanager
def open_part(access: DatabaseAccess, registry: Registry, *, run_id: str) -> Iterator[Part]:
    """Open the connection of a member's own statements; those of its lanes follow when they are needed.

    Raises:
        DatabaseUnavailableError: it cannot be opened.
        PreflightError: it leads through a proxy that takes sessions apart.
    """
    schema = access.settings.history_schema
    keys = LockKeys.of(schema)
    with ExitStack() as stack:
        stack.enter_context(translating())
        # The names of the coordinator's own: what a run does is one thing to whoever looks.
        connector = replace(access.connector(stack, f"upgrader/{run_id}"), libpq=_QUICK_CLIENT)
        controlling = replace(
            connector, application_name=f"{connector.application_name}/control", settings=_QUICK
        )
        _refuse_pooler(access, controlling)  # before any lock: one that ends up with others stays
        control = CommandSession(controlling, on_connect=_fence(keys))
        stack.callback(control.close)
        control.open()
        yield Part(
            run_id=run_id,
            keys=keys,
            control=control,
            registry=registry,
            settings=access.run_settings,
            source=repr(access.source),
            redact=lambda text: clean_error_text(text, redactor=access.redactor),
            _access=access,
            _connector=connector,
            _stack=stack,
        )


def _refuse_pooler(access: DatabaseAccess, connector: Connector) -> None:
    """Refuse a database that this process reaches only through a proxy that takes sessions apart."""
    if PreflightCheck.POOLING_PROXY in access.settings.preflight.ignore:
        return
    with connector.connect() as driver:
        findings = tuple(pooling_findings(look_for_proxy(driver, connector)))
    if any(finding.level is PreflightLevel.REFUSE for finding in findings):
        raise PreflightError(findings)


def _fence(keys: LockKeys) -> str:
    return f"select pg_advisory_lock_shared({keys.fence})"
