"""From the settings to a sink that tells what a run does to the handlers of `[worker] modules`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from sqlalchemy import Engine, create_engine

from upgrader.errors import OperatorError
from upgrader.settings import Settings
from upgrader.worker.discovery import Discovered, discover
from upgrader.worker.ground import WorkerGround, make_tables, open_ground
from upgrader.worker.queue.job_queue import JobQueue
from upgrader.worker.workspace_events.discovered import discovered_subscriptions
from upgrader.worker.workspace_events.emitter import WorkspaceEventEmitter
from upgrader.worker.workspace_events.run_events import RunEvents
from upgrader.worker.workspace_events.subscriber import Delivery, Subscription

if TYPE_CHECKING:
    from upgrader.events import EventSink


@contextmanager
def telling_runs(
    settings: Settings, *, directory: Path, redact: Callable[[str], str] = str
) -> Iterator[EventSink | None]:
    """Give a sink for the time of a block; None where the modules have no handlers of workspace events.

    Only where a handler is durable, or called in a transaction, the database is touched.

    Raises:
        LoadingError: a module cannot be loaded; with all problems.
        OperatorError: a handler cannot be used, or there is no queue for it.
    """
    discovered = discover(settings.worker.modules, base=directory)
    with telling_discovered(discovered, settings, directory=directory, redact=redact) as told:
        yield told


@contextmanager
def telling_discovered(
    discovered: Discovered, settings: Settings, *, directory: Path, redact: Callable[[str], str] = str
) -> Iterator[EventSink | None]:
    """Give a sink as `telling_runs` does, for modules that are loaded already.

    Raises:
        OperatorError: a handler cannot be used, or there is no queue for it.
    """
    subscriptions = discovered_subscriptions(discovered)
    if not subscriptions:
        yield None
        return
    with ExitStack() as stack:
        emitter = stack.enter_context(_emitter(subscriptions, settings, directory))
        yield stack.enter_context(RunEvents(emitter, redact=redact))


def check_queue_for(subscriptions: Iterable[Subscription], *, is_queueing: bool) -> None:
    """See whether there is a queue, if one is needed.

    Raises:
        OperatorError: a handler is durable, and there is none.
    """
    durable = next((one.name for one in subscriptions if one.delivery is Delivery.DURABLE), None)
    if durable is not None and not is_queueing:
        raise OperatorError(
            f"the handler {durable} of workspace events is durable, and there is no queue",
            hint="install the extra: pip install 'upgrader[worker]'; and do not switch queue_enabled off",
        )


@contextmanager
def _emitter(
    subscriptions: tuple[Subscription, ...], settings: Settings, directory: Path
) -> Iterator[WorkspaceEventEmitter]:
    if all(one.delivery is Delivery.AFTER_COMMIT for one in subscriptions):
        yield WorkspaceEventEmitter(*subscriptions)
        return
    with open_ground(settings, directory=directory, makes_tables=False) as ground:
        check_queue_for(subscriptions, is_queueing=ground.is_queueing)
        make_tables(ground)
        engine = _engine(ground)
        try:
            yield WorkspaceEventEmitter(*subscriptions, queue=JobQueue(schema=ground.schema), engine=engine)
        finally:
            engine.dispose()


def _engine(ground: WorkerGround) -> Engine:
    def connect() -> psycopg.Connection:
        driver = ground.connector.connect()
        driver.autocommit = False
        return driver

    # Hours may lie between two events: a connection that was cut meanwhile is replaced before it is used.
    return create_engine("postgresql+psycopg://", creator=connect, pool_size=1, pool_pre_ping=True)
