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
from queue import SimpleQueue
from typing import Any

from upgrader.errors import UpgraderError
from upgrader.worker.host import Job
from upgrader.worker.queue.handlers import JobHandler
from upgrader.worker.running import Ended, RunningJob, observed, run_job


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


class _Threads:
    """Threads that are kept for the next job; there are as many as there were jobs at a time."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._count = 0

    def run(self, call: Callable[[], None]) -> None:
        """Call it on one of them; it must not raise."""
        with self._lock:
            is_new = not self._idle
            self._idle -= not is_new
            self._count += is_new
        self._calls.put(call)
        if is_new:
            threading.Thread(target=self._work, name="upgrader job", daemon=True).start()

    def close(self) -> None:
        """Let those that have nothing to do end, and the others once they have not."""
        for _ in range(self._count):
            self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
            with self._lock:
                self._idle += 1


class Workshop:
    """Runs handlers; made for one consumer."""

    def __init__(self, ended: Ended | None = None) -> None:
        """Start nothing yet.

        Args:
            ended: told of each job's end.
        """
        self._ended = ended
        self._threads = _Threads()
        self._tasks: set[asyncio.Task[None]] = set()  # a loop itself refers to them weakly
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run_loop, name="upgrader coroutine jobs", daemon=True)

    def open(self) -> None:
        """Start the loop of coroutines."""
        self._thread.start()

    def close(self, *, timeout_seconds: float = 1.0) -> None:
        """Stop the loop, unless a coroutine blocks it; what still runs on threads is left to itself."""
        self._threads.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout_seconds)
        if not self._thread.is_alive():
            self._loop.close()

    def begin(self, handler: JobHandler, job: Job[Any], running: RunningJob) -> Work:
        """Let a handler begin with a job."""
        work = Work(running)
        if handler.is_coroutine:
            self._loop.call_soon_threadsafe(self._begin_task, work, handler, job)
        else:
            self._threads.run(lambda: work.run(lambda: self._call(handler, job, running)))
        return work

    def refuse(self, running: RunningJob, error: Exception) -> None:
        """Tell of the end of a job that no handler was given."""

        def fail() -> None:
            raise error

        with suppress(Exception):
            run_job(running, fail, ended=self._ended)

    def _begin_task(self, work: Work, handler: JobHandler, job: Job[Any]) -> None:
        async def awaited() -> Any:
            with observed(work.job, ended=self._ended):
                return await _guarded(handler.call(job))

        # A task has a context of its own.
        task = self._loop.create_task(work.run_async(awaited), name=f"job {job.name} [{job.id}]")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

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
