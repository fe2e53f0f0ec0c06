"""Sees to a tick: claims it in the database, and has its job run or its payload put into the queue."""

from __future__ import annotations

from datetime import datetime

from upgrader.worker.scheduling.job_run import JobRun, detail_of, log_left_out, log_queued, refused
from upgrader.worker.scheduling.job_state import DATABASE_ERRORS, RETRY_SECONDS, JobState, SchedulerParts
from upgrader.worker.scheduling.runner import JobRunner
from upgrader.worker.scheduling.session_locks import lock_key
from upgrader.worker.scheduling.ticks import TickOutcome


class TickFiring:
    """Fires the ticks of one scheduler, each once over all schedulers on one database."""

    def __init__(self, runner: JobRunner, parts: SchedulerParts) -> None:
        self._runner = runner
        self._parts = parts

    def see_to(self, state: JobState, due: datetime) -> None:
        """See to a tick, until it is somebody's or a newer one has come; through times without a database."""
        if self._parts.put_off(state.job):
            return
        is_over, is_in_doubt, made = False, False, list[JobRun]()
        while not is_over and not self._parts.stopping.is_set():
            try:
                if self._runner.goes_to_queue(state.job):
                    is_over = self._queued_tick(state, due, made)
                else:
                    is_over = self._inline_tick(state, due, is_in_doubt=is_in_doubt)
            except DATABASE_ERRORS as error:
                is_in_doubt = True
                self._parts.outage.tell(error)
            else:
                self._parts.outage.end()
            if not is_over and (self._parts.stopping.wait(RETRY_SECONDS) or state.newest != due):
                return

    def _inline_tick(self, state: JobState, due: datetime, *, is_in_doubt: bool) -> bool:
        job = state.job
        if not self._parts.ticks.claim(job.name, due, TickOutcome.RUNNING, is_in_doubt=is_in_doubt):
            return True
        # The tick is this worker's now: whatever happens to the connection, it is seen to here.
        before = state.last_outcome
        run = self._runner.run_once(state, is_patient=True, due=due)
        log_left_out(run, again=before is TickOutcome.SKIPPED)
        self._settle(state, due, run)
        return True

    def _queued_tick(self, state: JobState, due: datetime, made: list[JobRun]) -> bool:
        """Make the payload, then claim the tick and add the job in one transaction.

        Whoever makes the payload holds a lock meanwhile; if it dies, another worker that has seen the lock taken
        makes it. False: somebody else is at it.

        Args:
            made: holds the run once it is over: it is not begun again for a database that was away.
        """
        job, key = state.job, lock_key("tick", self._parts.ticks.schema, state.job.name, due.isoformat())
        if self._parts.ticks.is_claimed(job.name, due):
            return True
        if not self._parts.locks.try_acquire(key):
            return False
        try:
            if self._parts.ticks.is_claimed(job.name, due):
                return True
            if not made:
                made.append(self._runner.overlap_guarded(state, due=due))
            self._conclude(state, due, made[0])
        finally:
            self._parts.locks.release(key)
        return True

    def _conclude(self, state: JobState, due: datetime, run: JobRun) -> None:
        """Claim a tick with what became of it: with the job in the queue where there is a payload."""
        job, number = state.job, None
        is_claimed = False
        if run.outcome is TickOutcome.DONE:
            try:
                is_claimed, number = self._parts.ticks.claim_with(
                    job.name, due, lambda connection: self._runner.add(job, run.result, connection)
                )
            except DATABASE_ERRORS:
                raise
            except Exception as error:  # a payload that no queue can hold
                run = refused(run, job, error)
        if run.outcome is not TickOutcome.DONE:
            is_claimed = self._parts.ticks.claim(job.name, due, run.outcome, detail_of(run))
        if not is_claimed:
            return
        log_left_out(run, again=state.last_outcome is TickOutcome.SKIPPED)
        state.note(
            TickOutcome.QUEUED if run.outcome is TickOutcome.DONE else run.outcome, self._parts.clock()
        )
        if run.outcome is TickOutcome.DONE:
            log_queued(job, number)

    def _settle(self, state: JobState, due: datetime, run: JobRun) -> None:
        def settle() -> None:
            self._parts.ticks.settle(state.job.name, due, run.outcome, detail_of(run))

        try:
            self._runner.with_database(settle, is_patient=True)
        except DATABASE_ERRORS as error:  # the run itself is over: it must not be begun again
            self._parts.outage.tell(error)
