"""The scheduler: watches the clock, fires what is due, and says what it knows of its jobs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial

from upgrader.worker.running import Ended
from upgrader.worker.scheduling.execution import JobExecution
from upgrader.worker.scheduling.firing import TickFiring
from upgrader.worker.scheduling.job_run import AddsJobs, JobRun, UnknownJobError, describe, log_left_out
from upgrader.worker.scheduling.job_state import DATABASE_ERRORS, JobState, Outage
from upgrader.worker.scheduling.jobs import ScheduledJob, SchedulerJobDescriptor
from upgrader.worker.scheduling.runner import RETRY_SECONDS, JobRunner
from upgrader.worker.scheduling.session_locks import SessionLocks
from upgrader.worker.scheduling.ticks import TickBook
from upgrader.worker.scheduling.triggers import latest_between

_logger = logging.getLogger("upgrader.worker.scheduler")

MADE_UP_SECONDS = 600.0
"""A tick that fell into a time in which no worker ran is made up for if it is no older than this."""
_LONGEST_SLEEP_SECONDS = 10.0
_PRUNE_SECONDS = 600.0
_MICROSECOND = timedelta(microseconds=1)


class Scheduler:
    """Fires jobs on schedule, each tick once over all schedulers on one database. Usable in any application.

    Attributes:
        worker: the id under which it claims ticks.
    """

    def __init__(
        self,
        jobs: Iterable[ScheduledJob],
        *,
        ticks: TickBook,
        locks: SessionLocks,
        worker: str,
        queue: AddsJobs | None = None,
        ended: Ended | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Start nothing yet; `scheduler_of` puts one together from settings.

        Args:
            queue: None: jobs that name a queue run inline, like the others.
            ended: told of the end of each run.
            clock: gives the time, in UTC.
        """
        self.worker = worker
        self._states = {job.name: JobState(job) for job in jobs}
        self._ticks = ticks
        self._locks = locks
        self._clock = clock
        self._stopping = threading.Event()
        self._execution = JobExecution(wait=self._stopping.wait, ended=ended)
        self._thread: threading.Thread | None = None
        self._runs: dict[threading.Thread, str] = {}
        self._runs_lock = threading.Lock()
        self._outage = Outage()
        self._runner = JobRunner(
            self._execution,
            ticks=ticks,
            locks=locks,
            queue=queue,
            stopping=self._stopping,
            outage=self._outage,
            clock=clock,
        )
        self._firing = TickFiring(
            self._runner, ticks=ticks, locks=locks, stopping=self._stopping, outage=self._outage, clock=clock
        )
        self._pruned = float("-inf")

    def start(self) -> None:
        """Begin to fire, from a thread of its own; jobs with `run_on_start` run at once.

        Raises:
            DatabaseUnavailableError: the database cannot be reached.
        """
        now = self._clock()
        timed = [state for state in self._states.values() if state.job.enabled]
        last = self._ticks.latest([state.job.name for state in timed])
        for state in timed:
            tick = last.get(state.job.name)
            after = now if tick is None else max(tick.due, now - timedelta(seconds=MADE_UP_SECONDS))
            state.next_due = state.job.trigger.next_after(min(after, now))
        for state in timed:
            if state.job.options.run_on_start:
                self._spawn(state.job.name, partial(self._run_on_start, state))
        self._thread = threading.Thread(target=self._watch, name="upgrader-scheduler", daemon=True)
        self._thread.start()

    def stop(self, *, timeout_seconds: float = 30.0) -> tuple[str, ...]:
        """Fire nothing more, let the runs at work finish, and give the names of those that did not.

        Those are ended: children killed, coroutines cancelled. What runs in a thread cannot be ended; its locks
        are given back when the process ends.
        """
        deadline = time.monotonic() + timeout_seconds
        self._stopping.set()
        self._execution.ask_to_stop()
        if self._thread is not None:
            self._thread.join(max(0.0, deadline - time.monotonic()))
        with self._runs_lock:
            runs = list(self._runs)
        for thread in runs:
            thread.join(max(0.0, deadline - time.monotonic()))
        unfinished = self.at_work()
        self._execution.end()
        for thread in runs:
            thread.join(RETRY_SECONDS if unfinished else 0.0)
        if not self.at_work():
            self._locks.close()
        self._ticks.close()
        return unfinished

    def at_work(self) -> tuple[str, ...]:
        """Give the names of the jobs that run just now."""
        with self._runs_lock:
            return tuple(sorted({name for thread, name in self._runs.items() if thread.is_alive()}))

    def trigger_now(self, name: str) -> JobRun:
        """Run a job now, whatever its schedule, and wait for its end; what it raises is told, not raised.

        Overlap is prevented as for a tick: `skipped` where a run goes on anywhere.

        Raises:
            UnknownJobError: there is none of that name, or it is switched off.
        """
        state = self._states.get(name)
        if state is None:
            raise UnknownJobError(
                f"there is no scheduled job {name!r}",
                hint=f"there are: {', '.join(sorted(self._states)) or 'none'}",
            )
        if not state.job.enabled:
            raise UnknownJobError(
                f"the job {name!r} is switched off", hint=f"give it enabled=True: {state.job.found.place}"
            )
        return self._runner.run_once(state)

    def trigger_soon(self, name: str) -> None:
        """Run a job now, in a thread of its own."""
        self._spawn(name, partial(self._run_on_start, self._states[name]))

    def jobs(self) -> tuple[SchedulerJobDescriptor, ...]:
        """Describe every job, in the order in which they were found."""
        return tuple(
            describe(state, is_queued=self._runner.goes_to_queue(state.job), next_run=self._next_run(state))
            for state in self._states.values()
        )

    def next_runs(self) -> dict[str, datetime | None]:
        """Give when each job is due next; None for those without ticks, or switched off."""
        return {name: self._next_run(state) for name, state in self._states.items()}

    def _run_on_start(self, state: JobState) -> None:
        log_left_out(self._runner.run_once(state))

    def _next_run(self, state: JobState) -> datetime | None:
        if not state.job.enabled:
            return None
        return state.next_due or state.job.trigger.next_after(self._clock())

    def _watch(self) -> None:
        """Fire what is due until the scheduler is stopped."""
        while not self._stopping.is_set():
            try:
                self._look(self._clock())
            except Exception:  # whatever it is: a scheduler that has ended in silence fires nothing more
                _logger.exception("the scheduler met an error, and goes on in a second")
                self._stopping.wait(RETRY_SECONDS)
            due = [state.next_due for state in self._states.values() if state.next_due is not None]
            left = (min(due) - self._clock()).total_seconds() if due else _LONGEST_SLEEP_SECONDS
            self._stopping.wait(min(max(left, 0.0), _LONGEST_SLEEP_SECONDS))

    def _look(self, now: datetime) -> None:
        for state in self._states.values():
            if state.next_due is not None and state.next_due <= now:
                self._fire(state, now)
        try:
            self._locks.keep()
            if time.monotonic() - self._pruned >= _PRUNE_SECONDS:
                self._pruned = time.monotonic()
                self._ticks.prune()
        except DATABASE_ERRORS as error:
            self._outage.tell(error)

    def _fire(self, state: JobState, now: datetime) -> None:
        """Fire the latest tick that is due: those before it, missed while the machine slept, are left out."""
        assert state.next_due is not None
        due = latest_between(state.job.trigger, state.next_due - _MICROSECOND, now) or state.next_due
        state.newest, state.next_due = due, state.job.trigger.next_after(due)
        self._spawn(state.job.name, lambda: self._firing.see_to(state, due))

    def _spawn(self, name: str, work: Callable[[], None]) -> None:
        def run() -> None:
            try:
                work()
            except Exception:
                _logger.exception("job %s could not be run", name)
            finally:
                with self._runs_lock:
                    self._runs.pop(threading.current_thread(), None)

        thread = threading.Thread(target=run, name=f"upgrader-job {name}", daemon=True)
        with self._runs_lock:
            self._runs[thread] = name
        thread.start()
