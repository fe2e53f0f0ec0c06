"""The worker: a headless process with a scheduler and a queue's consumer, from its start to its end."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from upgrader.database.failures import translating
from upgrader.errors import OperatorError
from upgrader.runner.stop import StopToken
from upgrader.settings import Settings
from upgrader.worker.built_in import BuiltIn
from upgrader.worker.discovery import Discovered
from upgrader.worker.ground import WorkerGround, make_tables, open_ground
from upgrader.worker.host import QueueWorkerHost
from upgrader.worker.metrics.exposure import Exposure
from upgrader.worker.registry import WorkerRegistry
from upgrader.worker.running import Ended
from upgrader.worker.scheduling.jobs import ScheduledJob
from upgrader.worker.scheduling.opening import jobs_of_worker, scheduler_on
from upgrader.worker.scheduling.recurring import adding_recurring_jobs
from upgrader.worker.scheduling.scheduler import Scheduler
from upgrader.worker.upgrade_jobs import DEFERRED_JOB

if TYPE_CHECKING:
    from upgrader.worker.queue.consumer import QueueConsumer

_logger = logging.getLogger("upgrader.worker")
_LOOK_SECONDS = 1.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
LATEST_END_SECONDS = 13.0
"""Beside the time that jobs in progress have: for what is said to the database after them, which the queue gives ten
seconds. What kills a worker that does not end (45 s after the signal in `docs/deploy`) comes later."""
_ONE_SIGNAL_SECONDS = 0.5
"""`timeout`, and programs that pass signals on, send one twice: that is no second one."""


@dataclass(frozen=True, slots=True)
class WorkerEnd:
    """How a worker came to its end.

    Attributes:
        unfinished: names of jobs that were not through in time, or that the database could not be told of; those of
            a queue are begun anew.
    """

    unfinished: tuple[str, ...] = ()


class WorkerProcess:
    """Runs in the thread that calls `run`, until its stop token is set."""

    def __init__(
        self,
        settings: Settings,
        discovered: Discovered,
        *,
        directory: Path,
        queues: Sequence[str] | None = None,
        concurrency: int | None = None,
        schedules: bool = True,
        ended: Ended | None = None,
    ) -> None:
        """Touch nothing yet.

        Args:
            discovered: what `discover` found in the modules.
            directory: what relative paths are relative to.
            queues: to work on; by default all that have handlers, and those of the settings.
            concurrency: how many jobs of queues at a time; by default the settings'.
            schedules: whether it fires ticks, if the settings allow it.
            ended: told of each job's end.
        """
        self._settings = settings
        self._discovered = discovered
        self._directory = directory
        self._queues = queues
        self._concurrency = concurrency or settings.worker.concurrency
        self._schedules = schedules and settings.worker.scheduler_enabled
        self._ended = ended

    def run(self, stop: StopToken) -> WorkerEnd:
        """Work until `stop` is requested, then let what is in progress finish.

        Raises:
            LoadingError: something is wrong with the jobs; all of it at once.
            OperatorError: the database cannot be used.
        """
        with translating(), ExitStack() as stack:
            ground = stack.enter_context(
                open_ground(
                    self._settings,
                    directory=self._directory,
                    notify=lambda text: _logger.info("%s", text),
                    makes_tables=False,
                )
            )
            exposure = Exposure(ground)
            self._ended = exposure.also_telling(self._ended)
            built_in = BuiltIn(ground, self._discovered, directory=self._directory)
            stack.callback(built_in.close)
            jobs = jobs_of_worker([*built_in.scheduled(), *self._discovered.jobs], self._settings)
            built_in.check()
            consumer = self._consumer(ground, built_in, jobs)
            make_tables(ground)  # nothing is written before all is known to be right
            stack.enter_context(exposure.shown())
            registry = WorkerRegistry(
                ground,
                queues=consumer.queues if consumer else (),
                concurrency=self._concurrency if consumer else 0,
                schedules=self._schedules,
            )
            registry.start()
            stack.callback(registry.stop)
            scheduler = stack.enter_context(scheduler_on(ground, jobs, ended=self._ended))
            self._log_start(ground, scheduler)
            if self._schedules and ground.is_queueing:
                stack.enter_context(adding_recurring_jobs(ground))
            return self._work(stop, scheduler, consumer, built_in)

    def _work(
        self, stop: StopToken, scheduler: Scheduler, consumer: QueueConsumer | None, built_in: BuiltIn
    ) -> WorkerEnd:
        if consumer is not None:
            consumer.start()
        try:
            if self._schedules and not stop.requested:
                scheduler.start()
                if built_in.upgrades.is_in_window:
                    scheduler.trigger_soon(DEFERRED_JOB)
            while not stop.wait(_LOOK_SECONDS):
                if consumer is not None and not consumer.is_running:
                    raise OperatorError(
                        "the worker's part for the queue has ended by itself",
                        hint="start the worker again; the log above says what happened",
                    )
        finally:
            end = self._end(stop, scheduler, consumer)
        return end

    def _end(self, stop: StopToken, scheduler: Scheduler, consumer: QueueConsumer | None) -> WorkerEnd:
        """Stop both at the same time: they share what there is of it."""
        seconds = self._settings.worker.shutdown_timeout_seconds
        at_work = [*scheduler.at_work(), *(job.name for job in (consumer.at_work if consumer else ()))]
        _logger.info(
            "%s: stopping%s",
            stop.signal_name or "asked to end",
            f"; jobs in progress, which have {seconds:g} s to finish: {', '.join(at_work)}"
            if at_work
            else "",
        )
        unfinished: list[str] = []
        started = time.monotonic()

        def stop_scheduler() -> None:
            unfinished.extend(scheduler.stop(timeout_seconds=seconds))

        thread = threading.Thread(target=stop_scheduler, name="upgrader-stop", daemon=True)
        thread.start()
        if consumer is not None:
            ended = consumer.stop(seconds)
            unfinished.extend(job.name for job in ended.given_back)
            unfinished.extend(ended.unwritten)
            for name in ended.unwritten:
                _logger.error(
                    "job %s has ended, and the database could not be told: a worker begins it anew", name
                )
        thread.join()
        if unfinished:
            _logger.error(
                "ended after %.1f s with jobs in progress: %s",
                time.monotonic() - started,
                ", ".join(unfinished),
            )
        else:
            _logger.info("ended after %.1f s, nothing is left half done", time.monotonic() - started)
        return WorkerEnd(tuple(unfinished))

    def _consumer(
        self, ground: WorkerGround, built_in: BuiltIn, jobs: Iterable[ScheduledJob]
    ) -> QueueConsumer | None:
        if not ground.is_queueing:
            if self._queues:
                raise OperatorError(
                    "--queues names queues, and this worker has none",
                    hint="install the extra: pip install 'upgrader[worker]'; and do not switch queue_enabled off",
                )
            return None
        from upgrader.worker.queue.consumer import QueueConsumer

        consumer = QueueConsumer(
            self._settings,
            [*built_in.hosts(), *self._own_hosts()],
            queues=self._queues,
            concurrency=self._concurrency,
            directory=self._directory,
            ended=self._ended,
        )
        self._warn_of_queues({*consumer.handled_queues, *(job.queue for job in jobs if job.queue)})
        return consumer

    def _warn_of_queues(self, known: Iterable[str]) -> None:
        """Warn of queues of `--queues` that nothing here names; workers of other code may well name them."""
        there = {*known, *self._settings.worker.queues}
        unknown = [queue for queue in dict.fromkeys(self._queues or ()) if queue not in there]
        if unknown:
            _logger.warning(
                "--queues names %s, which no handler, no scheduled job and no setting of this worker names: what comes"
                " there fails here; the queues that there are: %s",
                ", ".join(unknown),
                ", ".join(sorted(there)),
            )

    def _own_hosts(self) -> Iterator[QueueWorkerHost]:
        for cls in self._discovered.queue_workers:
            try:
                yield self._discovered.providers.get(cls)
            except Exception as error:
                raise OperatorError(
                    f"{cls.__qualname__} cannot be made: {type(error).__name__}: {error}",
                    hint="a queue worker is made once, without arguments: see to its __init__",
                ) from error

    def _log_start(self, ground: WorkerGround, scheduler: Scheduler) -> None:
        _logger.info(
            "worker %s on %s: scheduler %s, queue %s",
            ground.worker,
            ground.connector.description,
            "on" if self._schedules else "off",
            "on" if ground.is_queueing else "off",
        )
        if not self._settings.worker.log_registered_jobs:
            return
        for job in scheduler.jobs():
            where = f", into queue {job.queue} as {job.queue_job_name}" if job.queue else ""
            state = "" if job.enabled else ", switched off"
            more = ", on start" if job.run_on_start else ""
            _logger.info(
                "job %s (%s.%s): %s%s%s%s",
                job.name,
                job.provider,
                job.method,
                job.schedule,
                more,
                where,
                state,
            )
        for cls in self._discovered.queue_workers if ground.is_queueing else ():
            handled = ", ".join(sorted(cls.job_handlers())) or "nothing"
            _logger.info("queue worker %s handles %s", cls.__name__, handled)
        if not self._discovered.members:
            _logger.info("no jobs of your own: name their modules in [worker] modules")


@contextmanager
def stopping_on_signals(stop: StopToken, *, at_once: Callable[[int], None]) -> Iterator[None]:
    """Let SIGINT and SIGTERM end a worker in good order within the block; a second one ends it at once.

    A signal that was ignored when the process began (by nohup, or a script's background) is not taken.

    Args:
        at_once: ends the process with this exit code; called by the second signal.
    """
    process = os.getpid()

    def handle(number: int, _: FrameType | None) -> None:
        if os.getpid() != process:  # a job's own child: multiprocessing ends its workers by SIGTERM
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif not stop.requested:
            came.append(time.monotonic())
            stop.request(signal.Signals(number).name)
        elif time.monotonic() - came[0] > _ONE_SIGNAL_SECONDS:
            at_once(128 + number)

    came: list[float] = []
    before = {number: old for number in _SIGNALS if (old := signal.getsignal(number)) is not signal.SIG_IGN}
    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old if old is not None else signal.SIG_DFL)


@contextmanager
def ending_at_the_latest(
    stop: StopToken, *, seconds: float, at_once: Callable[[], None], look_seconds: float = _LOOK_SECONDS
) -> Iterator[None]:
    """End a worker at once that has not come to the end of the block in so long a time after it was asked to stop.

    A network that swallows everything lets each last word to the database wait for minutes; jobs that are cut off so
    are begun anew by other workers.

    Args:
        at_once: ends the process.
    """
    over = threading.Event()

    def watch() -> None:
        while not stop.wait(look_seconds):
            if over.is_set():
                return
        if not over.wait(seconds):
            _logger.error(
                "the worker has not ended %g s after it was asked to: the database does not answer", seconds
            )
            at_once()

    threading.Thread(target=watch, name="upgrader-latest-end", daemon=True).start()
    try:
        yield
    finally:
        over.set()
