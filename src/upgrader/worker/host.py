"""The base of classes that handle the jobs of a queue, and what a handler is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from upgrader.errors import UpgraderError
from upgrader.worker.decorators import JOB_HANDLERS, within

Payload = TypeVar("Payload")


@dataclass(frozen=True, slots=True)
class Job(Generic[Payload]):
    """A job on its way through a handler.

    Attributes:
        id: its number in the queue's table; 0 where it runs without a queue.
        queue: the queue that it was taken from.
        name: what it is called.
        data: its payload: what JSON holds, or the pydantic model that the handler's annotation names.
        attempt: which try this is, from 1,
        attempts: of so many.
    """

    id: int
    queue: str
    name: str
    data: Payload
    attempt: int = 1
    attempts: int = 1


class UnhandledJobError(UpgraderError):
    """A job has no handler."""


class QueueWorkerHost:
    """Sends each job to the method that `@queue_job_handler` names for it. Made once, without arguments."""

    @classmethod
    def job_handlers(cls) -> Mapping[str, str]:
        """Give the names of the methods by the names of the jobs that they handle."""
        found: dict[str, str] = {}
        for owner in reversed(cls.__mro__):
            for attribute, value in vars(owner).items():
                for name in (*getattr(value, JOB_HANDLERS, ()), *getattr(within(value), JOB_HANDLERS, ())):
                    found[name] = attribute
        return found

    def handler_of(self, job: Job[Any]) -> Callable[[Job[Any]], Any]:
        """Give the method that handles a job.

        Raises:
            UnhandledJobError: there is none; it lists those that there are.
        """
        handlers = self.job_handlers()
        if job.name not in handlers:
            known = ", ".join(sorted(handlers)) or "none"
            raise UnhandledJobError(
                f"{type(self).__name__} has no handler of {job.name!r} in queue {job.queue!r};"
                f" its handlers are: {known}",
                hint=f'decorate a method of it with @queue_job_handler("{job.name}")',
            )
        handler: Callable[[Job[Any]], Any] = getattr(self, handlers[job.name])
        return handler
