"""Runs a job once: alone where overlap is prevented, its result into its queue where it has one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection

from upgrader.worker.scheduling.execution import JobExecution
from upgrader.worker.scheduling.job_run import AddsJobs, JobRun, log_queued, refused
from upgrader.worker.scheduling.job_state import DATABASE_ERRORS, JobState, Outage
from upgrader.worker.scheduling.jobs import ScheduledJob
from upgrader.worker.scheduling.session_locks import SessionLocks, lock_key
from upgrader.worker.scheduling.ticks import TickBook, TickOutcome

RETRY_SECONDS = 1.0
"""How long to rest before the database is tried again."""


class JobRunner:
    """Runs the jobs of one scheduler."""

    def __init__(
        self,
        execution: JobExecution,
        *,
        ticks: TickBook,
        locks: SessionLocks,
        queue: AddsJobs | None,
        stopping: threading.Event,
        outage: Outage,
        clock: Callable[[], datetime],
    ) -> None:
        self._execution = execution
        self._ticks = ticks
        self._locks = locks
        self._queue = queue
        self._stopping = stopping
        self._outage = outage
        self._clock = clock

    def goes_to_queue(self, job: ScheduledJob) -> bool:
        """Tell whether what the job returns becomes a job of a queue."""
        return job.queue is not None and self._queue is not None

    def add(self, job: ScheduledJob, payload: object, connection: Connection) -> int | None:
        """Add what a job has returned to its queue, in the transaction of this connection."""
        assert self._queue is not None
        return self._queue.add_options(
            job.queue, job.queue_job_name, payload, job.queue_job_options, connection=connection
        )

    def run_once(self, state: JobState, *, is_patient: bool = False) -> JobRun:
        """Run a job, inline or into its queue, without a claim."""
        job = state.job
        run = self.overlap_guarded(state, is_patient=is_patient)
        if run.outcome is TickOutcome.DONE and self.goes_to_queue(job):
            try:
                with self._ticks.transaction() as connection:
                    number = self.add(job, run.result, connection)
            except Exception as error:
                run = refused(run, job, error)
            else:
                log_queued(job, number)
                run = JobRun(job.name, TickOutcome.QUEUED, run.result, number, seconds=run.seconds)
        state.note(run.outcome, self._clock())
        return run

    def overlap_guarded(self, state: JobState, *, is_patient: bool = False) -> JobRun:
        """Run a job unless a run of it goes on, in whatever process.

        Args:
            is_patient: wait for the database where it is away; else its error is raised.
        """
        job = state.job
        key = lock_key("job", self._ticks.schema, job.name)
        if job.prevent_overlap and not self._acquired(key, is_patient=is_patient):
            return JobRun(job.name, TickOutcome.SKIPPED)
        try:
            return self._counted(state)
        finally:
            if job.prevent_overlap:
                self._locks.release(key)

    def _counted(self, state: JobState) -> JobRun:
        name, started = state.job.name, time.perf_counter()
        state.begin()
        try:
            result = self._execution.run(state.job)
        except Exception as error:
            return JobRun(name, TickOutcome.FAILED, error=error, seconds=time.perf_counter() - started)
        finally:
            state.end()
        return JobRun(name, TickOutcome.DONE, result, seconds=time.perf_counter() - started)

    def _acquired(self, key: int, *, is_patient: bool) -> bool:
        while True:
            try:
                return self._locks.try_acquire(key)
            except DATABASE_ERRORS as error:
                if not is_patient:
                    raise
                self._outage.tell(error)
                if self._stopping.wait(RETRY_SECONDS):
                    return False
