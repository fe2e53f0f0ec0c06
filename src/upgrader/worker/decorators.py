"""The decorators: they attach what an author declares, and nothing else.

What is decorated is found by `discovery`; there is no global list.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from upgrader.worker.options import QueueJobOptions, ScheduledJobOptions, Seconds

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Class = TypeVar("_Class", bound=type)

SCHEDULED_JOBS = "__upgrader_scheduled_jobs__"
JOB_HANDLERS = "__upgrader_job_handlers__"
QUEUE_WORKER = "__upgrader_queue_worker__"


@dataclass(frozen=True, slots=True)
class QueueWorkerDeclaration:
    """What `@queue_worker` was told; `queue` None: the default queue."""

    queue: str | None


def scheduled_job(
    *,
    name: str | None = None,
    description: str | None = None,
    enabled: bool | None = None,
    cron: str | None = None,
    interval: Seconds | None = None,
    run_on_start: bool = False,
    prevent_overlap: bool | None = None,
    retries: int | None = None,
    retry_delay: Seconds | None = None,
    timeout: Seconds | None = None,
    max_random_delay: Seconds | None = None,
    queue_name: str | None = None,
    queue_job_name: str | None = None,
    queue_job_options: QueueJobOptions | None = None,
    timezone: str | None = None,
) -> Callable[[_Function], _Function]:
    """Let a method or function run on a schedule; the options are those of `ScheduledJobOptions`.

    Without `queue_name` it runs in the worker that fires it; with one its return value becomes the payload of
    a job in that queue. What is wrong with the options is told when the module is loaded by a worker.
    """
    options = ScheduledJobOptions(
        name=name,
        description=description,
        enabled=enabled,
        cron=cron,
        interval=interval,
        run_on_start=run_on_start,
        prevent_overlap=prevent_overlap,
        retries=retries,
        retry_delay=retry_delay,
        timeout=timeout,
        max_random_delay=max_random_delay,
        queue_name=queue_name,
        queue_job_name=queue_job_name,
        queue_job_options=queue_job_options,
        timezone=timezone,
    )

    def attach(function: _Function) -> _Function:
        _add(function, SCHEDULED_JOBS, options)
        return function

    return attach


def queue_worker(queue: str | None = None) -> Callable[[_Class], _Class]:
    """Let a class, a `QueueWorkerHost`, handle the jobs of a queue; without a name those of the default one."""

    def attach(cls: _Class) -> _Class:
        setattr(cls, QUEUE_WORKER, QueueWorkerDeclaration(queue))
        return cls

    return attach


def queue_job_handler(name: str) -> Callable[[_Function], _Function]:
    """Let a method of a `QueueWorkerHost` handle the jobs of this name."""

    def attach(function: _Function) -> _Function:
        _add(function, JOB_HANDLERS, name)
        return function

    return attach


def within(value: Any) -> Any:
    """Give the function in a static or class method; whatever else it is, itself."""
    return value.__func__ if isinstance(value, staticmethod | classmethod) else value


def _add(function: Callable[..., Any], attribute: str, declaration: object) -> None:
    setattr(function, attribute, (*vars(function).get(attribute, ()), declaration))
