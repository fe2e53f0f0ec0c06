"""Where handlers run: coroutines on a loop of their own, the others each on a thread.

Neither is the loop that speaks with the queue: whatever a handler does, the worker goes on saying that it lives,
and ends when it is told to. The threads are daemons: one that does not end keeps no process alive.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Any

from upgrader.errors import UpgraderError
from upgrader.worker.host import Job
from upgrader.worker.queue.handlers import JobHandler
from upgrader.worker.running import Ended, RunningJob, run_job, run_job_async


class JobCancelledError(UpgraderError):
    """The job was cancelled."""


class JobExitError(UpgraderError):
    """A job tried to end the process."""


class Work:
    """One job in the hands of its handler; `done` gets its end, and is never cancelled itself."""

    def __init__(self, job: RunningJob) -> None:
        self.job = job
        self.done: Future[Any] = Future()
        self._task: asyncio.Task[Any] | None = None
        self._is_cancelled = False

    def cancel(self) -> None:
        """Ask the job to end: a coroutine is cancelled, another sees `stop_requested`. Any thread may."""
        self.job.stop.set()
        self._is_cancelled = True
        task = self._task
        if task is not None:
            task.get_loop().call_soon_threadsafe(task.cancel)

    def run(self, work: Callable[[], Any]) -> None:
        """Call `work`, which takes as long as it takes."""
        try:
            self.done.set_result(work())
        except BaseException as error:
            self.done.set_exception(_told(error, was_cancelled=self._is_cancelled))

    async def run_async(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Await what `work` gives."""
        self._task = asyncio.current_task()
        if self._is_cancelled:  # before it began
            self.done.set_exception(JobCancelledError())
            return
        try:
            self.done.set_result(await work())
        except BaseException as error:
            self.done.set_exception(_told(error, was_cancelled=self._is_cancelled))


class Workshop:
    """Runs handlers; made for one consumer."""

    def __init__(self, ended: Ended | None = None) -> None:
        """Start nothing yet.

        Args:
            ended: told of each job's end.
        """
        self._ended = ended
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run_loop, name="upgrader coroutine jobs", daemon=True)

    def open(self) -> None:
        """Start the loop of coroutines."""
        self._thread.start()

    def close(self, *, timeout_seconds: float = 1.0) -> None:
        """Stop the loop, unless a coroutine blocks it; what still runs on threads is left to itself."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout_seconds)
        if not self._thread.is_alive():
            self._loop.close()

    def begin(self, handler: JobHandler, job: Job[Any], running: RunningJob) -> Work:
        """Let a handler begin with a job."""
        work = Work(running)
        if handler.is_coroutine:
            asyncio.run_coroutine_threadsafe(self._await(work, handler, job), self._loop)
        else:
            threading.Thread(
                target=work.run,
                args=(lambda: self._call(handler, job, running),),
                name=f"job {running.name} [{running.id}]",
                daemon=True,
            ).start()
        return work

    def refuse(self, running: RunningJob, error: Exception) -> None:
        """Tell of the end of a job that no handler was given."""

        def fail() -> None:
            raise error

        with suppress(Exception):
            run_job(running, fail, ended=self._ended)

    async def _await(self, work: Work, handler: JobHandler, job: Job[Any]) -> None:
        await work.run_async(lambda: self._awaited(work.job, lambda: _guarded(handler.call(job))))

    async def _awaited(self, running: RunningJob, call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        return await run_job_async(running, call, ended=self._ended)

    def _call(self, handler: JobHandler, job: Job[Any], running: RunningJob) -> Any:
        def call() -> Any:
            result = handler.call(job)
            # A function that gives an awaitable without being a coroutine function itself.
            if inspect.isawaitable(result):
                return asyncio.run_coroutine_threadsafe(_guarded(result), self._loop).result()
            return result

        return run_job(running, call, ended=self._ended)

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()


async def _guarded(awaitable: Any) -> Any:
    """Await; what would end the loop with the job becomes an error of the job."""
    try:
        return await awaitable
    except (SystemExit, KeyboardInterrupt, GeneratorExit) as error:
        raise _told(error) from error


def _told(error: BaseException, *, was_cancelled: bool = False) -> BaseException:
    """Give what the queue is told: what is no error of a job by itself becomes one."""
    is_cancelled = isinstance(error, asyncio.CancelledError | CancelledError)
    if is_cancelled and was_cancelled:
        return JobCancelledError()
    if isinstance(error, Exception) and not is_cancelled:
        return error
    made = JobExitError(f"the job raised {type(error).__name__}: {error}".removesuffix(": "))
    made.__cause__ = error
    return made
