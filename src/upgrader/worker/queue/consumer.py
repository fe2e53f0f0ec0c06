"""The worker's part of the queue: it takes jobs and has them done, on a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from procrastinate import App
from procrastinate.worker import Worker

from upgrader.database.connect import Connector
from upgrader.errors import OperatorError
from upgrader.redaction import Redactor
from upgrader.settings import Settings
from upgrader.settings.worker import check_queue_name
from upgrader.worker.host import QueueWorkerHost
from upgrader.worker.names import worker_schema
from upgrader.worker.queue.connection import Notify, queue_connector
from upgrader.worker.queue.dispatch import Dispatcher, EveryTask
from upgrader.worker.queue.handlers import HandlerTable
from upgrader.worker.queue.layout import bring_up_to_date
from upgrader.worker.queue.manager import QueueManager
from upgrader.worker.queue.pool import SeldomTold, make_connector, make_pool
from upgrader.worker.queue.upkeep import Upkeep
from upgrader.worker.queue.workshop import Workshop
from upgrader.worker.running import Ended, RunningJob

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 10.0
_MARGIN_SECONDS = 10.0  # for what is said to the database after the last job

_logger = logging.getLogger("upgrader.worker.queue")


@dataclass(frozen=True, slots=True)
class QueueStop:
    """How a consumer ended.

    Attributes:
        given_back: jobs that were not done in time: another worker begins them anew.
        unwritten: names of jobs that were done, which the database could not be told: they are begun anew, too.
        is_whole: False where it did not come to its end in time itself; its jobs are rescued by others.
    """

    given_back: tuple[RunningJob, ...] = ()
    unwritten: tuple[str, ...] = ()
    is_whole: bool = True


class QueueConsumer:
    """Works on queues from `start` to `stop`.

    It has a thread with a loop that speaks with the queue, and others for the handlers. Where the database goes
    away it tries again until it is back. It takes no signals.
    """

    def __init__(
        self,
        settings: Settings,
        hosts: Iterable[QueueWorkerHost],
        *,
        queues: Iterable[str] | None = None,
        concurrency: int | None = None,
        database_url: str | None = None,
        directory: Path | None = None,
        ended: Ended | None = None,
        notify: Notify | None = None,
    ) -> None:
        """Connect to nothing yet.

        Args:
            hosts: handle the jobs.
            queues: to work on; by default those of the hosts and those of the settings.
            concurrency: how many jobs at a time; by default the settings'.
            database_url: of the queue; goes before what the settings say.
            directory: what an embedded server's relative directory is relative to.
            ended: told of each job's end.
            notify: told what is done to the machine for an embedded server.

        Raises:
            OperatorError: two hosts handle the same job, an annotation cannot be read, or one of `queues` is no name.
        """
        worker = settings.worker
        self._settings = settings
        self._schema = worker_schema(settings.history_schema)
        self._handlers = HandlerTable.of(hosts, default_queue=worker.default_queue)
        given = {*self._handlers.queues, *worker.queues} if queues is None else {*map(_checked, queues)}
        self.queues = tuple(sorted(given))
        self.concurrency = concurrency or worker.concurrency
        self._place = {"explicit": database_url, "directory": directory, "notify": notify}
        self._ended = ended
        self._resources = ExitStack()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_stopping = threading.Event()
        self._running: _Running | None = None

    @property
    def at_work(self) -> tuple[RunningJob, ...]:
        """The jobs that are being worked on."""
        running = self._running
        return tuple(work.job for work in list(running.dispatcher.at_work)) if running else ()

    @property
    def handled_queues(self) -> tuple[str, ...]:
        """The queues whose jobs its hosts handle, whether it works on them or not."""
        return self._handlers.queues

    @property
    def is_running(self) -> bool:
        """Whether it works, or waits for the database to come back."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Bring the queue's schema up to date, and begin to take jobs.

        Raises:
            DatabaseUnavailableError: there is no connection to be had.
            LayoutError: the role may not make the schema, or not use it.
        """
        _quiet_libraries()
        connector = self._resources.enter_context(queue_connector(self._settings, **self._place))  # type: ignore[arg-type]  # three arguments by name
        try:
            with connector.connect() as driver:
                bring_up_to_date(driver, self._schema)
            workshop = Workshop(self._ended)
            workshop.open()
            self._resources.callback(workshop.close)
            self._running = running = self._parts(connector, workshop)
            self._thread = threading.Thread(
                target=lambda: asyncio.run(self._run(running)), name="upgrader queue", daemon=True
            )
            self._thread.start()
        except BaseException:
            self._resources.close()
            raise
        _logger.info("working on %s, %d jobs at a time", ", ".join(self.queues), self.concurrency)

    def wait_until_registered(self, timeout_seconds: float = 30.0) -> bool:
        """Wait until the worker is entered in the queue's table; True once it is."""
        return self._running is not None and self._running.manager.registered.wait(timeout_seconds)

    def stop(self, timeout_seconds: float | None = None) -> QueueStop:
        """Take no more jobs, wait for those in progress, and give back the others.

        Args:
            timeout_seconds: how long those in progress may take; by default the settings'. A synchronous one that
                has not ended by then goes on until the process ends, which should be at once.
        """
        thread, running = self._thread, self._running
        if thread is None or running is None:
            return QueueStop()
        seconds = (
            self._settings.worker.shutdown_timeout_seconds if timeout_seconds is None else timeout_seconds
        )
        self._is_stopping.set()
        if self._loop is not None and thread.is_alive():
            self._loop.call_soon_threadsafe(running.end, seconds)
        thread.join(seconds + _MARGIN_SECONDS)
        self._resources.close()
        return QueueStop(
            tuple(running.dispatcher.given_back),
            tuple(job.task_name for job in list(running.manager.unwritten)),
            is_whole=not thread.is_alive(),
        )

    def _parts(self, connector: Connector, workshop: Workshop) -> _Running:
        worker = self._settings.worker
        made = make_connector(self._schema)
        manager = QueueManager(
            made,
            connector.conninfo,
            poll_seconds=worker.poll_seconds,
        )
        upkeep = Upkeep(manager, worker)
        dispatcher = Dispatcher(
            self._handlers,
            workshop,
            manager,
            redactor=Redactor().with_secrets(*self._settings.secrets),
            forget_heartbeats=upkeep.forget_heartbeats,
        )
        app = App(connector=made)
        app.job_manager = manager
        app.tasks = EveryTask(app, dispatcher.dispatch)
        return _Running(connector.conninfo, app, manager, dispatcher, upkeep)

    async def _run(self, running: _Running) -> None:
        """Work until told to stop; where the connection is lost, begin again."""
        self._loop = asyncio.get_running_loop()
        running.woken = asyncio.Event()
        pause = _FIRST_PAUSE_SECONDS
        async with make_pool(running.conninfo, self._schema) as pool, running.app.open_async(pool):
            running.upkeep.begin()
            while not self._is_stopping.is_set():
                running.manager.registered.clear()
                try:
                    await self._work(running)
                except Exception as error:
                    if not self._is_stopping.is_set():
                        _logger.warning("the queue cannot be worked on: %s; trying again", _reason(error))
                pause = _FIRST_PAUSE_SECONDS if running.manager.registered.is_set() else pause
                if not self._is_stopping.is_set():
                    await running.rest(pause)
                    pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            await running.upkeep.end()

    async def _work(self, running: _Running) -> None:
        settings = self._settings.worker
        worker = Worker(
            running.app,
            queues=list(self.queues),
            name=None,
            concurrency=self.concurrency,
            fetch_job_polling_interval=settings.poll_seconds,
            abort_job_polling_interval=settings.poll_seconds,
            install_signal_handlers=False,
            update_heartbeat_interval=settings.heartbeat_seconds,
            stalled_worker_timeout=settings.stalled_seconds,
        )
        running.worker = running.manager.worker = worker
        await worker.run()  # type: ignore[no-untyped-call]  # Procrastinate's


class _Running:
    """What a consumer that was started works with."""

    def __init__(
        self, conninfo: str, app: App, manager: QueueManager, dispatcher: Dispatcher, upkeep: Upkeep
    ) -> None:
        self.conninfo = conninfo
        self.app = app
        self.manager = manager
        self.dispatcher = dispatcher
        self.upkeep = upkeep
        self.worker: Worker | None = None
        self.woken = asyncio.Event()

    def end(self, timeout_seconds: float) -> None:
        """Tell the worker to stop; on its loop."""
        self.woken.set()
        self.dispatcher.end_soon()
        self.manager.end_soon(timeout_seconds + _MARGIN_SECONDS / 2)
        if self.worker is not None:
            self.worker.shutdown_graceful_timeout = timeout_seconds
            self.worker.stop()  # type: ignore[no-untyped-call]  # Procrastinate's

    async def rest(self, seconds: float) -> None:
        """Wait, unless the consumer is told to stop."""
        try:
            await asyncio.wait_for(self.woken.wait(), seconds)
        except TimeoutError:
            return


def _checked(queue: str) -> str:
    try:
        return check_queue_name(queue)
    except ValueError as error:
        raise OperatorError(str(error), hint="name queues that jobs are added to, such as mails") from None


class _NoJobs(logging.Filter):
    """Keeps Procrastinate from telling of each job what `running` tells."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a line is about something else."""
        return not hasattr(record, "job")


_NO_JOBS, _SELDOM = _NoJobs(), SeldomTold()


def _quiet_libraries() -> None:
    """Let Procrastinate tell of trouble only, unless the application has set its level."""
    logger = logging.getLogger("procrastinate")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.WARNING)
    logging.getLogger("procrastinate.worker").addFilter(_NO_JOBS)
    logging.getLogger("psycopg.pool").addFilter(_SELDOM)


def _reason(error: BaseException) -> str:
    found = error.__cause__ or error
    return " ".join(str(found).split()) or type(found).__name__
