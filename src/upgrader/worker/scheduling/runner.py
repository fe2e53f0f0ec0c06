"""Runs a job once: alone where overlap is prevented, its result into its queue where it has one."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection

from upgrader.worker.scheduling.execution import JobExecution
from upgrader.worker.scheduling.job_run import JobRun, log_queued, refused
from upgrader.worker.scheduling.job_state import DATABASE_ERRORS, RETRY_SECONDS, JobState, SchedulerParts
from upgrader.worker.scheduling.jobs import ScheduledJob
from upgrader.worker.scheduling.session_locks import lock_key
from upgrader.worker.scheduling.ticks import TickOutcome

Result = TypeVar("Result")


class JobRunner:
    """Runs the jobs of one scheduler."""

    def __init__(self, execution: JobExecution, parts: SchedulerParts) -> None:
        self._execution = execution
        self._parts = parts

    def goes_to_queue(self, job: ScheduledJob) -> bool:
        """Tell whether what the job returns becomes a job of a queue."""
        return job.queue is not None and self._parts.queue is not None

    def add(self, job: ScheduledJob, payload: object, connection: Connection) -> int | None:
        """Add what a job has returned to its queue, in the transaction of this connection."""
        assert self._parts.queue is not None
        return self._parts.queue.add_options(
            job.queue, job.queue_job_name, payload, job.queue_job_options, connection=connection
        )

    def run_once(self, state: JobState, *, is_patient: bool = False, due: datetime | None = None) -> JobRun:
        """Run a job, inline or into its queue, without a claim.

        Args:
            due: the tick that it runs for, if it does.
            is_patient: wait for the database where it is away; else its error is raised, or becomes the run's.
        """
        run = self.overlap_guarded(state, is_patient=is_patient, due=due)
        if run.outcome is TickOutcome.DONE and self.goes_to_queue(state.job):
            run = self._queued(state.job, run, is_patient=is_patient)
        state.note(run.outcome, self._parts.clock())
        return run

    def _queued(self, job: ScheduledJob, run: JobRun, *, is_patient: bool) -> JobRun:
        def add() -> int | None:
            with self._parts.ticks.transaction() as connection:
                return self.add(job, run.result, connection)

        try:
            number = self.with_database(add, is_patient=is_patient)
        except Exception as error:
            return refused(run, job, error)
        log_queued(job, number)
        return JobRun(job.name, TickOutcome.QUEUED, run.result, number, seconds=run.seconds)

    def overlap_guarded(
        self, state: JobState, *, is_patient: bool = False, due: datetime | None = None
    ) -> JobRun:
        """Run a job unless a run of it goes on, in whatever process.

        Args:
            due: the tick that it runs for, if it does.
            is_patient: wait for the database where it is away; else its error is raised.
        """
        job = state.job
        key = lock_key("job", self._parts.ticks.schema, job.name)
        if job.prevent_overlap and not self._acquired(key, is_patient=is_patient):
            return JobRun(job.name, TickOutcome.SKIPPED)
        try:
            return self._counted(state, due)
        finally:
            if job.prevent_overlap:
                self._parts.locks.release(key)

    def _counted(self, state: JobState, due: datetime | None) -> JobRun:
        name, started = state.job.name, time.perf_counter()
        state.begin()
        try:
            result = self._execution.run(state.job, due=due)
        except Exception as error:
            return JobRun(name, TickOutcome.FAILED, error=error, seconds=time.perf_counter() - started)
        finally:
            state.end()
        return JobRun(name, TickOutcome.DONE, result, seconds=time.perf_counter() - started)

    def _acquired(self, key: int, *, is_patient: bool) -> bool:
        try:
            return self.with_database(lambda: self._parts.locks.try_acquire(key), is_patient=is_patient)
        except DATABASE_ERRORS:
            if not is_patient:
                raise
            return False  # the scheduler ends

    def with_database(self, work: Callable[[], Result], *, is_patient: bool) -> Result:
        """Do something; where the database is away and that is to be waited for, again until it is back.

        Raises:
            Exception: one of `DATABASE_ERRORS`, where it is not waited for or the scheduler ends meanwhile.
        """
        while True:
            try:
                result = work()
            except DATABASE_ERRORS as error:
                if not is_patient:
                    raise
                self._parts.outage.tell(error)
                if self._parts.stopping.wait(RETRY_SECONDS):
                    raise
            else:
                self._parts.outage.end()
                return result
