"""A job on its way to its handler: Procrastinate's one task for every name, and when a job is tried again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
from procrastinate import App, exceptions, jobs, retry, utils
from procrastinate.job_context import AbortReason, JobContext
from procrastinate.tasks import Task

from upgrader.database.encodings import in_ascii
from upgrader.redaction import Redactor, clean_error_text
from upgrader.worker.host import Job
from upgrader.worker.names import HEARTBEAT_JOB
from upgrader.worker.queue.arguments import JobArguments, QueueJobError
from upgrader.worker.queue.handlers import HandlerTable
from upgrader.worker.queue.manager import ARGUMENTS, QueueManager
from upgrader.worker.queue.workshop import JobCancelledError, Work, Workshop
from upgrader.worker.running import RunningJob

_LAST_MOMENT_SECONDS = 0.5
"""How long a coroutine that is cancelled as the worker ends may take for its `finally`."""

_logger = logging.getLogger("upgrader.worker.queue")


class JobGivenBackError(Exception):
    """The worker ends before the job did: another worker begins it anew."""


class Dispatcher:
    """Sends each job to its handler, and the end of it back to the queue."""

    def __init__(
        self,
        handlers: HandlerTable,
        workshop: Workshop,
        manager: QueueManager,
        *,
        redactor: Redactor,
        forget_heartbeats: Callable[[], Awaitable[None]],
    ) -> None:
        """Begin with nothing at work.

        Args:
            redactor: takes secrets out of what is kept of errors.
            forget_heartbeats: called after each `worker.heartbeat`.
        """
        self._forget_heartbeats = forget_heartbeats
        self._handlers = handlers
        self._workshop = workshop
        self._manager = manager
        self._redactor = redactor
        self.at_work: set[Work] = set()
        self.given_back: list[RunningJob] = []

    async def dispatch(self, context: JobContext, **_: Any) -> None:
        """Run a job to its end.

        Raises:
            JobGivenBackError: the worker ends first.
            JobAborted: it was cancelled.
        """
        tries = context.job.attempts + 1
        running = RunningJob(context.job.task_name, context.job.queue, context.job.id, tries, tries)
        try:
            try:
                arguments = JobArguments.of_row(context.job.task_kwargs[ARGUMENTS])
            except QueueJobError as error:
                self._workshop.refuse(running, error)
                raise
            running = replace(running, attempts=max(arguments.attempts, 1))
            await self._run(context, running, arguments)
        except (JobGivenBackError, exceptions.JobAborted):
            raise
        except Exception as error:
            await self._write_down(running, error)
            raise

    def end_soon(self) -> None:
        """Tell the jobs at work that the worker is about to end."""
        for work in self.at_work:
            work.job.stop.set()

    async def _run(self, context: JobContext, running: RunningJob, arguments: JobArguments) -> None:
        number = running.id or 0
        job = Job(
            number, context.job.queue, running.name, arguments.payload, running.attempt, running.attempts
        )
        try:
            handler = self._handlers.find(job)
            job = Job(job.id, job.queue, job.name, handler.validated(job.data), job.attempt, job.attempts)
        except Exception as error:  # a host that chooses its handlers itself may raise what it likes
            self._workshop.refuse(running, error)
            raise
        work = self._workshop.begin(handler, job, running)
        self.at_work.add(work)  # not by its number: others may have given it back, and it is here once more
        try:
            await self._follow(context, work)
        finally:
            self.at_work.discard(work)
        if running.name == HEARTBEAT_JOB:
            await self._forget_heartbeats()

    async def _follow(self, context: JobContext, work: Work) -> None:
        """Wait for the job's end; who cancels this either wants the job cancelled, or the worker ends."""
        done = asyncio.wrap_future(work.done)
        while True:
            try:
                await asyncio.shield(done)
                return
            except JobCancelledError as error:
                raise exceptions.JobAborted from error
            except asyncio.CancelledError:
                work.cancel()
                if context.abort_reason() is AbortReason.SHUTDOWN:
                    await self._give_back(work, done)
                    return

    async def _give_back(self, work: Work, done: asyncio.Future[Any]) -> None:
        """Let the job go, unless it comes to its end in the last moment."""
        await asyncio.wait([done], timeout=_LAST_MOMENT_SECONDS)
        if done.done() and not isinstance(done.exception(), JobCancelledError):
            done.result()
            return
        done.add_done_callback(_look_at)
        self._manager.give_back(work.job.id or 0)
        self.given_back.append(work.job)
        raise JobGivenBackError

    async def _write_down(self, running: RunningJob, error: Exception) -> None:
        """Keep what a try raised: Procrastinate does not."""
        text = clean_error_text(f"{type(error).__name__}: {error}", redactor=self._redactor)
        number, attempt = running.id or 0, running.attempt
        try:
            try:
                await self._manager.write_error(number, attempt=attempt, message=text)
            except exceptions.ConnectorException as trouble:
                if not isinstance(trouble.__cause__, psycopg.errors.UntranslatableCharacter):
                    raise
                await self._manager.write_error(number, attempt=attempt, message=in_ascii(text))
        except exceptions.ConnectorException as trouble:
            _logger.warning(
                "the error of job %s could not be kept: %s", running.id, trouble.__cause__ or trouble
            )


class Retries(retry.BaseRetryStrategy):
    """As often as the one who added the job said, with the rests between: 3 attempts are three tries."""

    def get_retry_decision(self, *, exception: BaseException, job: jobs.Job) -> retry.RetryDecision | None:
        """Decide after a try."""
        if isinstance(exception, JobGivenBackError):
            return retry.RetryDecision()
        try:
            arguments = JobArguments.of_row(job.task_kwargs[ARGUMENTS])
        except QueueJobError:
            return None
        tries = job.attempts + 1
        if tries >= arguments.attempts:
            return None
        rest = timedelta(seconds=arguments.backoff.seconds(tries))
        return retry.RetryDecision(retry_at=utils.utcnow() + rest)


class EveryTask(dict[str, Any]):
    """Procrastinate's tasks by name: whatever the name, it is the one that dispatches."""

    def __init__(self, app: App, dispatch: Callable[..., Any]) -> None:
        super().__init__()
        self._task: Task[..., Any, ...] = Task(
            dispatch, blueprint=app, name="upgrader", queue="default", pass_context=True, retry=Retries()
        )

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ARG002 - as a mapping has it
        """Give the task."""
        return self._task

    def __getitem__(self, key: str) -> Any:
        return self._task


def _look_at(done: asyncio.Future[Any]) -> None:
    """Retrieve the error of a job that nobody waits for any more."""
    if not done.cancelled():
        done.exception()
