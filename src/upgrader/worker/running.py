"""A job at work: a context of its own, Sentry's isolation scope, a span, and how long it takes.

Whoever runs jobs, queue or scheduler, runs them through `run_job` or `run_job_async`.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any, TypeGuard, TypeVar

from upgrader.errors import LoadingError, StepError, UpgraderError

Result = TypeVar("Result")

_logger = logging.getLogger("upgrader.worker.jobs")


@dataclass(frozen=True, slots=True)
class RunningJob:
    """What is known of the job at hand.

    Attributes:
        name: what it is called.
        queue: that it was taken from; None where it runs without one.
        id: its number in the queue's table; None where it runs without one.
        attempt: which try this is, from 1,
        attempts: of so many.
        due: the tick that it runs for; None where somebody asked for it, and for what is taken from a queue.
        stop: set when it should come to its end: it was cancelled, or the worker ends.
    """

    name: str
    queue: str | None = None
    id: int | None = None
    attempt: int = 1
    attempts: int = 1
    due: datetime | None = None
    stop: threading.Event = field(default_factory=threading.Event, compare=False, repr=False)

    @property
    def stop_requested(self) -> bool:
        """Whether it should come to its end; a long synchronous job asks this now and then."""
        return self.stop.is_set()

    @property
    def fields(self) -> dict[str, object]:
        """What a structured log line holds of it."""
        return {"job": self.name, "job_id": self.id, "queue": self.queue, "attempt": self.attempt}


@dataclass(frozen=True, slots=True)
class JobEnd:
    """How a job came to its end.

    Attributes:
        seconds: that it took.
        error: what it raised; None where it succeeded.
    """

    job: RunningJob
    seconds: float
    error: BaseException | None = None


Ended = Callable[[JobEnd], None]
"""Told of each end, on whatever thread the job ran."""

_current: ContextVar[RunningJob | None] = ContextVar("upgrader_running_job", default=None)


def current_job() -> RunningJob | None:
    """Give the job that this code runs in; None outside of one."""
    return _current.get()


def run_job(job: RunningJob, work: Callable[[], Result], *, ended: Ended | None = None) -> Result:
    """Call `work` in a context of its own: what it sets there is gone afterwards.

    What it raises goes on to the caller, after it was logged.
    """

    def run() -> Result:
        with observed(job, ended=ended):
            return work()

    return copy_context().run(run)


async def run_job_async(
    job: RunningJob, work: Callable[[], Awaitable[Result]], *, ended: Ended | None = None
) -> Result:
    """Await what `work` gives in a context of its own, a task: who cancels the caller cancels it.

    What it raises goes on to the caller, after it was logged.
    """

    async def run() -> Result:
        with observed(job, ended=ended):
            return await work()

    return await asyncio.create_task(run(), name=f"job {job.name}", context=copy_context())


@contextmanager
def observed(job: RunningJob, *, ended: Ended | None = None) -> Iterator[None]:
    """Run a block as this job, in the context at hand, which has to be its own."""
    token = _current.set(job)
    started = time.perf_counter()
    try:
        with _isolated(job), _traced(job):
            try:
                yield
            except BaseException as error:
                _finish(JobEnd(job, time.perf_counter() - started, error), ended)
                raise
            _finish(JobEnd(job, time.perf_counter() - started), ended)
    finally:
        _current.reset(token)


def _isolated(job: RunningJob) -> AbstractContextManager[Any]:
    """Give Sentry's isolation scope; it matters only where the application has loaded it by now."""
    sentry = sys.modules.get("sentry_sdk")
    return nullcontext() if sentry is None else _scope(sentry, job)


@contextmanager
def _scope(sentry: Any, job: RunningJob) -> Iterator[None]:
    with sentry.isolation_scope() as scope:
        scope.set_transaction_name(f"job {job.name}")
        scope.set_context("job", job.fields)
        yield


def _traced(job: RunningJob) -> AbstractContextManager[Any]:
    """Give a span; as with Sentry it matters only where OpenTelemetry is loaded by now."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return nullcontext()
    fields = {f"upgrader.{name}": value for name, value in job.fields.items() if value is not None}
    span: AbstractContextManager[Any] = trace.get_tracer("upgrader").start_as_current_span(
        f"job {job.name}", attributes=fields
    )
    return span


def _finish(end: JobEnd, ended: Ended | None) -> None:
    _log(end)
    if ended is None:
        return
    try:
        ended(end)
    except Exception:  # who only looks on fails no job
        _logger.exception("what is told of each job's end failed")


def _log(end: JobEnd) -> None:
    """Write one line; within the isolation scope, so that Sentry knows which job an error belongs to."""
    job, error = end.job, end.error
    level = logging.INFO
    if isinstance(error, Exception):
        level = logging.WARNING if job.attempt < job.attempts else logging.ERROR
    if not _logger.isEnabledFor(level):
        return
    named = job.name if job.id is None else f"{job.name} [{job.id}]"
    fields = {**job.fields, "seconds": round(end.seconds, 6)}
    text = f"job {named} done in {end.seconds:.3f} s"
    if isinstance(error, Exception):
        tried = f" (try {job.attempt} of {job.attempts})" if job.attempts > 1 else ""
        text = f"job {named} failed after {end.seconds:.3f} s{tried}: {type(error).__name__}: {error}"
    elif error is not None:
        text = f"job {named} ended after {end.seconds:.3f} s by {type(error).__name__}"
    if isinstance(error, LoadingError):
        text += "".join(f"; {one.message} ({', '.join(one.places)})" for one in error.problems)
    if isinstance(error, UpgraderError) and error.hint:
        text = f"{text} (hint: {error.hint})"
    _logger.log(level, "%s", text, extra=fields, exc_info=_as_told(error) if _has_a_place(error) else None)


def _has_a_place(error: BaseException | None) -> TypeGuard[Exception]:
    """Tell whether its traceback shows somebody their own code.

    An error of ours, a database that is away for instance, says in a sentence what is wrong; a traceback
    would show where in the product it was raised. A step that failed is its author's matter.
    """
    return isinstance(error, Exception) and (
        isinstance(error, StepError) or not isinstance(error, UpgraderError)
    )


def _as_told(error: BaseException) -> tuple[type[BaseException], BaseException, TracebackType | None]:
    """Give an error with its traceback from the first frame on that is not the product's own."""
    frames = error.__traceback__
    while frames is not None and str(frames.tb_frame.f_globals.get("__name__")).startswith("upgrader."):
        frames = frames.tb_next
    return type(error), error, frames or error.__traceback__
