"""One run of a scheduled job: in a context of its own, with retries, and ended at its timeout."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Coroutine
from concurrent import futures
from datetime import datetime
from typing import Any

from upgrader.errors import UpgraderError
from upgrader.worker.running import Ended, RunningJob, run_job, run_job_async
from upgrader.worker.scheduling.jobs import ScheduledJob
from upgrader.worker.scheduling.timed import JobTimeoutError, TimedRuns

Wait = Callable[[float], bool]
"""Sleeps, but no longer than until all is to stop; tells whether it is."""


class JobExitError(UpgraderError):
    """A job tried to end the program."""


class JobCancelledError(UpgraderError):
    """A coroutine was cancelled, and not by the worker."""


class JobExecution:
    """Runs jobs; any number at a time, each in the thread that calls `run`."""

    def __init__(self, *, wait: Wait, ended: Ended | None = None) -> None:
        """Start nothing yet.

        Args:
            wait: for the rests between two tries.
            ended: told of the end of each try.
        """
        self._wait = wait
        self._ended = ended
        self._timed = TimedRuns()
        self._loop = _LoopThread()
        self._running: set[RunningJob] = set()
        self._is_stopping = False
        self._lock = threading.Lock()

    def run(self, job: ScheduledJob, *, due: datetime | None = None) -> Any:
        """Run a job, again where it failed and has retries left, and give what it returned.

        Args:
            due: the tick that it runs for, if it does.

        Raises:
            Exception: what its last try raised; JobTimeoutError where that took too long.
        """
        tries = job.retries + 1
        for attempt in range(1, tries + 1):
            try:
                return self._once(job, RunningJob(job.name, attempt=attempt, attempts=tries, due=due))
            except JobExitError:
                raise
            except Exception:
                if attempt == tries or self._wait(job.retry_delay_seconds):
                    raise
        raise AssertionError("a job is tried at least once")

    def ask_to_stop(self) -> None:
        """Tell the jobs at work, and those that begin later, that they should come to their end if they ask."""
        with self._lock:
            self._is_stopping = True
            running = list(self._running)
        for one in running:
            one.stop.set()

    def end(self) -> None:
        """End what can be ended: children are killed, coroutines cancelled. Threads go on until they are through."""
        self.ask_to_stop()
        self._timed.kill()
        self._loop.end()

    def _once(self, job: ScheduledJob, running: RunningJob) -> Any:
        with self._lock:
            self._running.add(running)
            if self._is_stopping:
                running.stop.set()
        try:
            if job.found.is_coroutine:
                return self._awaited(
                    job, run_job_async(running, lambda: _limited(job, job.found.call()), ended=self._ended)
                )
            return run_job(running, lambda: self._synchronous(job, running), ended=self._ended)
        finally:
            with self._lock:
                self._running.discard(running)

    def _synchronous(self, job: ScheduledJob, running: RunningJob) -> Any:
        try:
            if job.timeout_seconds is not None and job.found.origin is not None:
                return self._timed.run(
                    job.found.origin,
                    timeout_seconds=job.timeout_seconds,
                    job={
                        "name": running.name,
                        "attempt": running.attempt,
                        "attempts": running.attempts,
                        "due": running.due.isoformat() if running.due is not None else None,
                    },
                    stop=running.stop,
                    needs_result=job.queue is not None,
                )
            result = job.found.call()
        except Exception:
            raise
        except BaseException as error:  # of a job's own code: it must not end the worker's thread in silence
            if _is_a_signal(error):
                raise
            raise _told(job, error) from error
        return self._awaited(job, _limited(job, result)) if inspect.isawaitable(result) else result

    def _awaited(self, job: ScheduledJob, work: Coroutine[Any, Any, Any]) -> Any:
        try:
            return self._loop.run(work)
        except (asyncio.CancelledError, futures.CancelledError) as error:
            raise _told(job, error) from error


async def _limited(job: ScheduledJob, work: Any) -> Any:
    try:
        async with asyncio.timeout(job.timeout_seconds) as limit:
            return await work
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise JobTimeoutError(
            f"job {job.name!r} was cancelled after {job.timeout_seconds:g} s",
            hint="give it a longer timeout, or less to do at a time",
        ) from error
    except (SystemExit, KeyboardInterrupt) as error:  # either would end the loop, and with it every coroutine
        raise _told(job, error) from error


def _is_a_signal(error: BaseException) -> bool:
    """Tell whether it comes from a signal, which only the main thread is told of, and not from the job."""
    is_of_the_job = isinstance(error, SystemExit | asyncio.CancelledError | GeneratorExit)
    return not is_of_the_job and threading.current_thread() is threading.main_thread()


def _told(job: ScheduledJob, error: BaseException) -> UpgraderError:
    """Give an error of the job for what is none by itself."""
    if isinstance(error, asyncio.CancelledError | futures.CancelledError):
        return JobCancelledError(f"job {job.name!r} raised CancelledError: its own code cancelled it")
    return JobExitError(f"job {job.name!r} ended its program: {f'{type(error).__name__} {error}'.rstrip()}")


class _LoopThread:
    """The event loop of all coroutines that are jobs: what they open in it lasts from run to run."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._is_ended = False

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine on the loop, and wait for its end."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(
                    target=self._loop.run_forever, name="upgrader-coroutines", daemon=True
                ).start()
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except (asyncio.CancelledError, futures.CancelledError) as error:
            if self._is_ended:
                raise JobTimeoutError("the job was cancelled: the worker ends") from error
            raise

    def end(self) -> None:
        """Cancel what runs on it."""
        with self._lock:
            loop, self._is_ended = self._loop, True
        if loop is not None:
            loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(loop)])
