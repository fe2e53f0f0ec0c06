"""The scheduler: watches the clock, fires what is due, and says what it knows of its jobs."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

import psycopg
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from upgrader.errors import DatabaseUnavailableError, RunError
from upgrader.worker.running import Ended
from upgrader.worker.scheduling.execution import JobExecution
from upgrader.worker.scheduling.job_run import (
    AddsJobs,
    JobRun,
    UnknownJobError,
    describe,
    detail_of,
    log_queued,
    refused,
)
from upgrader.worker.scheduling.jobs import ScheduledJob, SchedulerJobDescriptor
from upgrader.worker.scheduling.session_locks import SessionLocks, lock_key
from upgrader.worker.scheduling.ticks import TickBook, TickOutcome
from upgrader.worker.scheduling.triggers import latest_between

_logger = logging.getLogger("upgrader.worker.scheduler")

MADE_UP_SECONDS = 600.0
"""A tick that fell into a time in which no worker ran is made up for if it is no older than this."""
_LONGEST_SLEEP_SECONDS = 10.0
_RETRY_SECONDS = 1.0
_PRUNE_SECONDS = 600.0
_MICROSECOND = timedelta(microseconds=1)
_DATABASE_ERRORS = (DatabaseUnavailableError, RunError, psycopg.Error, DBAPIError)
"""What passes when the database is back."""


@dataclass
class _State:
    """What a scheduler remembers of a job.

    Attributes:
        next_due: None before it has started, and for a job without ticks.
        newest: the newest tick that came due here.
    """

    job: ScheduledJob
    next_due: datetime | None = None
    newest: datetime | None = None
    last_run: datetime | None = None
    last_outcome: TickOutcome | None = None
    running: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


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
        self._states = {job.name: _State(job) for job in jobs}
        self._ticks = ticks
        self._locks = locks
        self._queue = queue
        self._clock = clock
        self._stopping = threading.Event()
        self._execution = JobExecution(wait=self._stopping.wait, ended=ended)
        self._thread: threading.Thread | None = None
        self._runs: dict[threading.Thread, str] = {}
        self._runs_lock = threading.Lock()
        self._outage = False
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
                self._spawn(state.job.name, partial(self._run_on_start, state.job))
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
            thread.join(_RETRY_SECONDS if unfinished else 0.0)
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
        return self._run_once(state.job)

    def trigger_soon(self, name: str) -> None:
        """Run a job now, in a thread of its own."""
        self._spawn(name, partial(self._run_on_start, self._states[name].job))

    def jobs(self) -> tuple[SchedulerJobDescriptor, ...]:
        """Describe every job, in the order in which they were found."""
        return tuple(
            describe(
                state.job,
                is_queued=self._goes_to_queue(state.job),
                next_run=self._next_run(state),
                last_run=state.last_run,
                last_outcome=state.last_outcome,
                running=state.running,
            )
            for state in self._states.values()
        )

    def next_runs(self) -> dict[str, datetime | None]:
        """Give when each job is due next; None for those without ticks, or switched off."""
        return {name: self._next_run(state) for name, state in self._states.items()}

    def _run_on_start(self, job: ScheduledJob) -> None:
        self._log_run(self._run_once(job))

    def _next_run(self, state: _State) -> datetime | None:
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
                self._stopping.wait(_RETRY_SECONDS)
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
        except _DATABASE_ERRORS as error:
            self._tell_outage(error)

    def _fire(self, state: _State, now: datetime) -> None:
        """Fire the latest tick that is due: those before it, missed while the machine slept, are left out."""
        assert state.next_due is not None
        due = latest_between(state.job.trigger, state.next_due - _MICROSECOND, now) or state.next_due
        state.newest, state.next_due = due, state.job.trigger.next_after(due)
        self._spawn(state.job.name, lambda: self._tick(state, due))

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

    def _tick(self, state: _State, due: datetime) -> None:
        """See to a tick, until it is somebody's or a newer one has come; through times without a database."""
        delay = random.uniform(0.0, state.job.max_random_delay_seconds)
        if delay and self._stopping.wait(delay):
            return
        is_over, made = False, list[JobRun]()
        while not is_over and not self._stopping.is_set():
            try:
                if self._goes_to_queue(state.job):
                    is_over = self._queued_tick(state, due, made)
                else:
                    is_over = self._inline_tick(state, due)
            except _DATABASE_ERRORS as error:
                self._tell_outage(error)
            else:
                self._tell_end_of_outage()
            if not is_over and (self._stopping.wait(_RETRY_SECONDS) or state.newest != due):
                return

    def _goes_to_queue(self, job: ScheduledJob) -> bool:
        return job.queue is not None and self._queue is not None

    def _inline_tick(self, state: _State, due: datetime) -> bool:
        job = state.job
        if not self._ticks.claim(job.name, due, TickOutcome.RUNNING):
            return True
        # The tick is this worker's now: whatever happens to the connection, it is seen to here.
        before = state.last_outcome
        run = self._run_once(job, is_patient=True)
        self._log_run(run, again=before is TickOutcome.SKIPPED)
        self._settle(state, due, run)
        return True

    def _queued_tick(self, state: _State, due: datetime, made: list[JobRun]) -> bool:
        """Make the payload, then claim the tick and add the job in one transaction.

        Whoever makes the payload holds a lock meanwhile; if it dies, another worker that has seen the lock taken
        makes it. False: somebody else is at it.

        Args:
            made: holds the run once it is over: it is not begun again for a database that was away.
        """
        job, key = state.job, lock_key("tick", self._ticks.schema, state.job.name, due.isoformat())
        if self._ticks.is_claimed(job.name, due):
            return True
        if not self._locks.try_acquire(key):
            return False
        try:
            if self._ticks.is_claimed(job.name, due):
                return True
            if not made:
                made.append(self._overlap_guarded(job))
            self._conclude(state, due, made[0])
        finally:
            self._locks.release(key)
        return True

    def _conclude(self, state: _State, due: datetime, run: JobRun) -> None:
        """Claim a tick with what became of it: with the job in the queue where there is a payload."""
        job, number = state.job, None
        is_claimed = False
        if run.outcome is TickOutcome.DONE:
            try:
                is_claimed, number = self._ticks.claim_with(
                    job.name, due, lambda connection: self._add(job, run.result, connection)
                )
            except _DATABASE_ERRORS:
                raise
            except Exception as error:  # a payload that no queue can hold
                run = refused(run, job, error)
        if run.outcome is not TickOutcome.DONE:
            is_claimed = self._ticks.claim(job.name, due, run.outcome, detail_of(run))
        if not is_claimed:
            return
        self._log_run(run, again=state.last_outcome is TickOutcome.SKIPPED)
        self._note(state, TickOutcome.QUEUED if run.outcome is TickOutcome.DONE else run.outcome)
        if run.outcome is TickOutcome.DONE:
            log_queued(job, number)

    def _add(self, job: ScheduledJob, payload: object, connection: Connection) -> int | None:
        assert self._queue is not None
        return self._queue.add_options(
            job.queue, job.queue_job_name, payload, job.queue_job_options, connection=connection
        )

    def _run_once(self, job: ScheduledJob, *, is_patient: bool = False) -> JobRun:
        """Run a job, inline or into its queue, without a claim."""
        run = self._overlap_guarded(job, is_patient=is_patient)
        if run.outcome is TickOutcome.DONE and self._goes_to_queue(job):
            try:
                with self._ticks.transaction() as connection:
                    number = self._add(job, run.result, connection)
            except Exception as error:
                run = refused(run, job, error)
            else:
                log_queued(job, number)
                run = JobRun(job.name, TickOutcome.QUEUED, run.result, number, seconds=run.seconds)
        self._note(self._states[job.name], run.outcome)
        return run

    def _overlap_guarded(self, job: ScheduledJob, *, is_patient: bool = False) -> JobRun:
        """Run a job unless a run of it goes on, in whatever process.

        Args:
            is_patient: wait for the database where it is away; else its error is raised.
        """
        key = lock_key("job", self._ticks.schema, job.name)
        if job.prevent_overlap and not self._acquired(key, is_patient=is_patient):
            return JobRun(job.name, TickOutcome.SKIPPED)
        try:
            return self._counted(job)
        finally:
            if job.prevent_overlap:
                self._locks.release(key)

    def _counted(self, job: ScheduledJob) -> JobRun:
        state, started = self._states[job.name], time.perf_counter()
        with state.lock:
            state.running += 1
        try:
            result = self._execution.run(job)
        except Exception as error:
            return JobRun(job.name, TickOutcome.FAILED, error=error, seconds=time.perf_counter() - started)
        finally:
            with state.lock:
                state.running -= 1
        return JobRun(job.name, TickOutcome.DONE, result, seconds=time.perf_counter() - started)

    def _acquired(self, key: int, *, is_patient: bool) -> bool:
        while True:
            try:
                return self._locks.try_acquire(key)
            except _DATABASE_ERRORS as error:
                if not is_patient:
                    raise
                self._tell_outage(error)
                if self._stopping.wait(_RETRY_SECONDS):
                    return False

    def _settle(self, state: _State, due: datetime, run: JobRun) -> None:
        try:
            self._ticks.settle(state.job.name, due, run.outcome, detail_of(run))
        except _DATABASE_ERRORS as error:  # the run itself is over: it must not be begun again
            self._tell_outage(error)

    def _note(self, state: _State, outcome: TickOutcome) -> None:
        with state.lock:
            state.last_run, state.last_outcome = self._clock(), outcome

    def _log_run(self, run: JobRun, *, again: bool = False) -> None:
        """Say that a run was left out; of several in a row only the first is worth a word."""
        if run.outcome is TickOutcome.SKIPPED:
            _logger.log(
                logging.DEBUG if again else logging.INFO,
                "job %s is left out this time: the run before it goes on",
                run.name,
                extra={"job": run.name},
            )

    def _tell_outage(self, error: Exception) -> None:
        """Log that the database is away, once for a while that it is."""
        if not self._outage:
            self._outage = True
            _logger.warning("the scheduler cannot use its database, and tries again every second: %s", error)

    def _tell_end_of_outage(self) -> None:
        if self._outage:
            self._outage = False
            _logger.info("the scheduler can use its database again")
