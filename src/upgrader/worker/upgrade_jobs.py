"""The jobs for upgrades: deferred slow steps in a window of time, and the status that the metrics are read from."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from upgrader.api import Upgrader
from upgrader.errors import LockHeldError, RunError
from upgrader.events import EventSink, to_each
from upgrader.model import Outcome
from upgrader.registry import Registry
from upgrader.runner.options import UpgradeOptions
from upgrader.runner.result import RunReport
from upgrader.runner.stop import StopToken
from upgrader.worker.event_log import EventLog
from upgrader.worker.ground import WorkerGround
from upgrader.worker.metrics.kept import keep_figures
from upgrader.worker.metrics.reading import read_figures
from upgrader.worker.options import ScheduledJobOptions
from upgrader.worker.running import current_job
from upgrader.worker.scheduling.jobs import BUILT_IN, DiscoveredScheduledJob
from upgrader.worker.scheduling.triggers import CronTicks, latest_between

DEFERRED_JOB = "upgrade.deferred"
STATUS_JOB = "upgrade.status"
STATUS_SECONDS = 60.0
_LOOK_SECONDS = 0.5
_WINDOW = "the setting worker.deferred_window_cron"
_logger = logging.getLogger("upgrader.worker.upgrade")


class UpgradeJobs:
    """Runs what upgrades need in the background. Without a window in the settings its jobs run when asked to."""

    def __init__(
        self,
        ground: WorkerGround,
        *,
        directory: Path,
        load_commands: Callable[[], Registry],
        telling: Callable[[], AbstractContextManager[EventSink | None]] = nullcontext,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        """Touch nothing yet.

        Args:
            directory: what relative command directories are relative to.
            load_commands: gives the commands, loaded once in a process.
            telling: gives for the time of a run who is told of what happens in it, beside the log.
            clock: by which windows begin and end; by default that of the ticks.
        """
        self._ground = ground
        self._settings = ground.settings
        self._directory = directory
        self._load_commands = load_commands
        self._telling = telling
        self._clock = clock or ground.clock

    def scheduled(self) -> tuple[DiscoveredScheduledJob, ...]:
        """Give the two jobs."""
        worker = self._settings.worker
        deferred = ScheduledJobOptions(
            name=DEFERRED_JOB,
            description="run deferred slow steps until the window of time is over",
            enabled=True,
            cron=worker.deferred_window_cron,
            prevent_overlap=True,
            timeout=0,
            retries=0,
            max_random_delay=0,
        )
        status = ScheduledJobOptions(
            name=STATUS_JOB,
            description="look at instance and workspaces for the metrics",
            enabled=True,
            interval=STATUS_SECONDS if worker.metrics_port else None,
            run_on_start=bool(worker.metrics_port),
            timeout=0,
            retries=0,
        )
        provider = type(self).__name__
        return (
            DiscoveredScheduledJob(
                DEFERRED_JOB, provider, "run_deferred", deferred, self.run_deferred, _WINDOW
            ),
            DiscoveredScheduledJob(
                STATUS_JOB, provider, "refresh_status", status, self.refresh_status, BUILT_IN
            ),
        )

    @property
    def is_used(self) -> bool:
        """Whether a schedule runs them, so that the commands must be there."""
        worker = self._settings.worker
        return worker.deferred_window_cron is not None or bool(worker.metrics_port)

    @property
    def is_in_window(self) -> bool:
        """Whether a window is open just now: a worker that starts within one does not wait for the next."""
        return self._window_began() is not None

    def run_deferred(self) -> dict[str, Any]:
        """Run the slow steps that are pending, until the window is over; the next one goes on.

        And nothing but those: a release that waits behind them, or that nobody has begun, is left to its operator.

        Raises:
            RunError: a step failed.
        """
        job = current_job()
        # A tick that was fired late, after a time without a database, has what is left of its window and no more.
        began = (job.due if job is not None else None) or self._window_began() or self._clock()
        ends = began + timedelta(seconds=self._settings.worker.deferred_window_seconds)
        if ends <= self._clock():
            _logger.info(
                "the window that began at %s is over: deferred slow steps run in the next", began.isoformat()
            )
            return {"outcome": "over"}
        stop = StopToken()
        upgrader = self._upgrader(stop)
        plan = upgrader.plan(UpgradeOptions()).plan
        deferred = [step for version in plan.versions for step in version.deferred]
        if plan.refusals or any(version.step_count for version in plan.versions):
            _logger.info("an upgrade is due, not only slow steps: it is left to `upgrader upgrade`")
            return {"outcome": "left"}
        if not deferred:
            _logger.info("no slow steps are deferred")
            return {"outcome": "nothing"}
        _logger.info(
            "%d deferred slow %s until %s: %s",
            len(deferred),
            "step" if len(deferred) == 1 else "steps",
            ends.isoformat(),
            ", ".join(step.name for step in deferred),
        )
        with self._telling() as told, _stopping_at(ends, stop, self._clock):
            upgrader = self._upgrader(stop, told)
            left = max(0.0, (ends - self._clock()).total_seconds())
            highest = max(step.version for step in deferred)
            options = UpgradeOptions(include_slow=True, to=highest, wait_lock_seconds=left)
            report = _upgraded(upgrader, options, stop)
        return _told(report)

    def refresh_status(self) -> dict[str, Any]:
        """Look at the database, and keep what was seen in a table for the metrics of all workers."""
        figures = read_figures(self._upgrader(StopToken()))
        with self._ground.connected() as driver:
            keep_figures(driver, self._ground.schema, figures)
        return {"figures": len(figures)}

    def _upgrader(self, stop: StopToken, told: EventSink | None = None) -> Upgrader:
        log = EventLog(logger="upgrader.worker.upgrade")
        emit = log if told is None else to_each(log, told)
        made = Upgrader(self._settings, base=self._directory, emit=emit, stop=stop)
        made.registry = self._load_commands()
        return made

    def _window_began(self) -> datetime | None:
        worker = self._settings.worker
        if worker.deferred_window_cron is None:
            return None
        now = self._clock()
        ticks = CronTicks(worker.deferred_window_cron, worker.timezone)
        return latest_between(ticks, now - timedelta(seconds=worker.deferred_window_seconds), now)


@contextmanager
def _stopping_at(ends: datetime, stop: StopToken, clock: Callable[[], datetime]) -> Iterator[None]:
    """Ask a run to stop as the window closes, or as the worker ends."""
    over, job = threading.Event(), current_job()

    def watch() -> None:
        while not over.wait(_LOOK_SECONDS):
            if job is not None and job.stop_requested:
                stop.request("SIGTERM")
            elif clock() >= ends:
                _logger.info(
                    "the window is over: the slow step in progress stops where it can, the next one goes on"
                )
                stop.request("SIGTERM")
            if stop.requested:
                return

    thread = threading.Thread(target=watch, name="upgrader-window", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _upgraded(upgrader: Upgrader, options: UpgradeOptions, stop: StopToken) -> RunReport | None:
    try:
        return upgrader.upgrade(options)
    except LockHeldError as error:
        if not stop.requested:
            _logger.warning("the window closed while another upgrade was at work: %s", error.message)
        return None


def _told(report: RunReport | None) -> dict[str, Any]:
    if report is None:
        return {"outcome": "locked"}
    if report.outcome is Outcome.FAILED:
        raise RunError(
            f"run {report.run_id} of the deferred slow steps failed",
            hint="`upgrader why` and `upgrader history` say why",
        )
    _logger.info("run %s of the deferred slow steps: %s", report.run_id, report.outcome.value)
    return {"outcome": report.outcome.value, "run_id": report.run_id}
