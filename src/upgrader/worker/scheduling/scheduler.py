"""The scheduler: watches the clock, fires what is due, and says what it knows of its jobs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import partial

from upgrader.worker.database_clock import DatabaseClock
from upgrader.worker.enqueuing import EnqueuesJobs
from upgrader.worker.running import Ended
from upgrader.worker.scheduling.execution import JobExecution
from upgrader.worker.scheduling.firing import TickFiring
from upgrader.worker.scheduling.job_run import (
    JobRun,
    UnknownJobError,
    describe,
    how_to_switch_on,
    log_left_out,
)
from upgrader.worker.scheduling.job_state import (
    DATABASE_ERRORS,
    RETRY_SECONDS,
    JobState,
    SchedulerParts,
)
from upgrader.worker.scheduling.jobs import ScheduledJob, SchedulerJobDescriptor
from upgrader.worker.scheduling.runner import JobRunner
from upgrader.worker.scheduling.session_locks import SessionLocks
from upgrader.worker.scheduling.ticks import TickBook
from upgrader.worker.scheduling.triggers import latest_between

_logger = logging.getLogger("upgrader.worker.scheduler")

MADE_UP_SECONDS = 600.0
"""A tick that fell into a time in which no worker ran is made up for if it is no older than this."""
_LONGEST_SLEEP_SECONDS = 10.0
_PRUNE_SECONDS = 600.0
_CLOCK_SECONDS = 30.0
"""How often the clock is set by the database; a computer's own is off by some milliseconds then."""
_SET_BACK = timedelta(seconds=1)
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
        queue: EnqueuesJobs | None = None,
        ended: Ended | None = None,
        clock: DatabaseClock | None = None,
        starting: Callable[[], None] | None = None,
    ) -> None:
        """Start nothing yet; `open_scheduler` puts one together from settings.

        Args:
            queue: None: jobs that name a queue run inline, like the others.
            ended: told of the end of each run.
            clock: by which ticks are due; by default one that looks at the database before the first tick.
            starting: called before anything is fired.
        """
        self.worker = worker
        self._starting = starting
        self._states = {job.name: JobState(job) for job in jobs}
        self._parts = SchedulerParts(ticks, locks, queue, clock or DatabaseClock())
        self._execution = JobExecution(wait=self._parts.stopping.wait, ended=ended)
        self._runner = JobRunner(self._execution, self._parts)
        self._firing = TickFiring(self._runner, self._parts)
        self._thread: threading.Thread | None = None
        self._runs: dict[object, str] = {}
        self._runs_change = threading.Condition()
        self._pruned = self._looked = float("-inf")

    def start(self) -> None:
        """Begin to fire, from a thread of its own; jobs with `run_on_start` run at once.

        Raises:
            DatabaseUnavailableError: the database cannot be reached.
        """
        if self._starting is not None:
            self._starting()
        self._parts.ticks.set_clock(self._parts.clock)
        self._looked = time.monotonic()
        now = self._parts.clock()
        timed = [state for state in self._states.values() if state.job.enabled]
        last = self._parts.ticks.latest([state.job.name for state in timed])
        for state in timed:
            tick = last.get(state.job.name)
            # One that was put off by chance may have been lost with the worker that was about to run it.
            made_up = timedelta(seconds=MADE_UP_SECONDS + state.job.max_random_delay_seconds)
            after = now if tick is None else max(tick.due, now - made_up)
            state.next_due = state.job.trigger.next_after(min(after, now))
        for state in timed:
            if state.job.options.run_on_start:
                self._spawn(state.job.name, partial(self._run_on_start, state, is_put_off=True))
        self._thread = threading.Thread(target=self._watch, name="upgrader-scheduler", daemon=True)
        self._thread.start()

    def stop(self, *, timeout_seconds: float = 30.0) -> tuple[str, ...]:
        """Fire nothing more, let the runs at work finish, and give the names of those that did not.

        Those are ended: children killed, coroutines cancelled. What runs in a thread cannot be ended; its locks
        are given back when the process ends.
        """
        deadline = time.monotonic() + timeout_seconds
        self._parts.stopping.set()
        self._execution.ask_to_stop()
        if self._thread is not None:
            self._thread.join(max(0.0, deadline - time.monotonic()))
        self._wait_for_runs(max(0.0, deadline - time.monotonic()))
        unfinished = self.at_work()
        self._execution.end()
        if self._wait_for_runs(RETRY_SECONDS):
            self._parts.locks.close()
        self._parts.ticks.close()
        return unfinished

    def at_work(self) -> tuple[str, ...]:
        """Give the names of the jobs that run just now."""
        with self._runs_change:
            return tuple(sorted(set(self._runs.values())))

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
            raise UnknownJobError(f"the job {name!r} is switched off", hint=how_to_switch_on(state.job))
        key = self._begin_run(name)
        try:
            return self._runner.run_once(state)
        finally:
            self._end_run(key)

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

    def _run_on_start(self, state: JobState, *, is_put_off: bool = False) -> None:
        if is_put_off and self._parts.put_off(state.job):
            return
        log_left_out(self._runner.run_once(state, is_patient=True))

    def _next_run(self, state: JobState) -> datetime | None:
        if not state.job.enabled:
            return None
        return state.next_due or state.job.trigger.next_after(self._parts.clock())

    def _watch(self) -> None:
        """Fire what is due until the scheduler is stopped."""
        while not self._parts.stopping.is_set():
            try:
                self._look(self._parts.clock())
            except Exception:  # whatever it is: a scheduler that has ended in silence fires nothing more
                _logger.exception("the scheduler met an error, and goes on in a second")
                self._parts.stopping.wait(RETRY_SECONDS)
            due = [state.next_due for state in self._states.values() if state.next_due is not None]
            left = (min(due) - self._parts.clock()).total_seconds() if due else _LONGEST_SLEEP_SECONDS
            self._parts.stopping.wait(min(max(left, 0.0), _LONGEST_SLEEP_SECONDS))

    def _look(self, now: datetime) -> None:
        for state in self._states.values():
            if state.next_due is not None and state.next_due <= now:
                self._fire(state, now)
        try:
            self._parts.locks.keep()
            if self._parts.clock.is_in_doubt or time.monotonic() - self._looked >= _CLOCK_SECONDS:
                self._set_clock()
            if time.monotonic() - self._pruned >= _PRUNE_SECONDS:
                self._pruned = time.monotonic()
                self._parts.ticks.prune()
        except DATABASE_ERRORS as error:
            self._parts.outage.tell(error)

    def _set_clock(self) -> None:
        self._looked, before = time.monotonic(), self._parts.clock()
        self._parts.ticks.set_clock(self._parts.clock)
        now = self._parts.clock()
        if now > before - _SET_BACK:
            return
        for state in self._states.values():  # else they would rest until the time comes that it was
            if state.next_due is not None:
                state.next_due = state.job.trigger.next_after(now)

    def _fire(self, state: JobState, now: datetime) -> None:
        """Fire the latest tick that is due: those before it, missed while the machine slept, are left out."""
        assert state.next_due is not None
        due = latest_between(state.job.trigger, state.next_due - _MICROSECOND, now) or state.next_due
        state.newest, state.next_due = due, state.job.trigger.next_after(due)
        self._spawn(state.job.name, lambda: self._firing.see_to(state, due))

    def _begin_run(self, name: str) -> object:
        key = object()
        with self._runs_change:
            self._runs[key] = name
        return key

    def _end_run(self, key: object) -> None:
        with self._runs_change:
            self._runs.pop(key)
            self._runs_change.notify_all()

    def _wait_for_runs(self, seconds: float) -> bool:
        """Wait until no job is at work; False where that takes longer."""
        with self._runs_change:
            return self._runs_change.wait_for(lambda: not self._runs, seconds)

    def _spawn(self, name: str, work: Callable[[], None]) -> None:
        def run() -> None:
            try:
                work()
            except Exception:
                _logger.exception("job %s could not be run", name)
            finally:
                self._end_run(key)

        key = self._begin_run(name)
        try:
            threading.Thread(target=run, name=f"upgrader-job {name}", daemon=True).start()
        except BaseException:
            self._end_run(key)
            raise
