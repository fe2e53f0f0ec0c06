"""Which method handles which job, and what its payload has to be."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from upgrader.errors import OperatorError, UpgraderError
from upgrader.worker.decorators import QUEUE_WORKER
from upgrader.worker.host import Job, QueueWorkerHost, UnhandledJobError

_BASE_CHOICE = QueueWorkerHost.handler_of


class InvalidPayloadError(UpgraderError):
    """The payload of a job is not what its handler takes."""


@dataclass(frozen=True, slots=True)
class JobHandler:
    """A method that handles jobs.

    Attributes:
        call: the method, bound.
        is_coroutine: whether it is awaited.
        payload: validates what it takes; None where its annotation does not say.
    """

    call: Callable[[Job[Any]], Any]
    is_coroutine: bool
    payload: Any = None

    @classmethod
    def of(cls, method: Callable[[Job[Any]], Any]) -> JobHandler:
        """Look at a bound method.

        Raises:
            OperatorError: its annotation names something that is not there.
        """
        return cls(method, inspect.iscoroutinefunction(method), _payload_adapter(method))

    def validated(self, data: Any) -> Any:
        """Give the payload as the handler takes it.

        Raises:
            InvalidPayloadError: it is something else.
        """
        if self.payload is None:
            return data
        from pydantic import ValidationError

        try:
            return self.payload.validate_json(json.dumps(data))
        except ValidationError as error:
            told = "; ".join(
                f"{'.'.join(map(str, one['loc'])) or 'payload'}: {one['msg']}" for one in error.errors()
            )
            raise InvalidPayloadError(f"the payload is not what the handler takes: {told}") from error


@dataclass(frozen=True)
class HandlerTable:
    """The hosts of each queue, and the handlers of each job."""

    hosts: Mapping[str, tuple[QueueWorkerHost, ...]]
    _found: dict[tuple[str, str], JobHandler] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, hosts: Iterable[QueueWorkerHost], *, default_queue: str) -> HandlerTable:
        """Put hosts together.

        Args:
            default_queue: of hosts whose decorator names none.

        Raises:
            OperatorError: two of one queue handle the same job, or an annotation cannot be read.
        """
        by_queue: dict[str, list[QueueWorkerHost]] = {}
        for host in hosts:
            by_queue.setdefault(queue_of(type(host), default_queue=default_queue), []).append(host)
        table = cls({queue: tuple(found) for queue, found in by_queue.items()})
        for queue, found in table.hosts.items():
            table._take_up(queue, found)
        return table

    @property
    def queues(self) -> tuple[str, ...]:
        """The queues that have a host."""
        return tuple(sorted(self.hosts))

    def names(self, queue: str) -> list[str]:
        """Give the names of the jobs of a queue that have a handler."""
        return sorted(name for place, name in self._found if place == queue)

    def find(self, job: Job[Any]) -> JobHandler:
        """Give the handler of a job.

        Raises:
            UnhandledJobError: there is none; it lists those that there are.
        """
        found = self._found.get((job.queue, job.name))
        if found is not None:
            return found
        for host in self.hosts.get(job.queue, ()):
            if type(host).handler_of is not _BASE_CHOICE:  # it chooses by itself
                return JobHandler.of(host.handler_of(job))
        known = ", ".join(self.names(job.queue)) or "none"
        raise UnhandledJobError(
            f"no handler of {job.name!r} in queue {job.queue!r}; its handlers are: {known}",
            hint=f'decorate a method with @queue_job_handler("{job.name}") in a class with'
            f' @queue_worker("{job.queue}"), and name its module in [worker] modules',
        )

    def _take_up(self, queue: str, hosts: Iterable[QueueWorkerHost]) -> None:
        for host in hosts:
            own = type(host).handler_of is not _BASE_CHOICE
            for name, attribute in host.job_handlers().items():
                if (queue, name) in self._found:
                    raise OperatorError(
                        f"the job {name!r} of the queue {queue!r} has two handlers, one of them in"
                        f" {type(host).__name__}",
                        hint="take one of the two decorators away, or rename one of the jobs",
                    )
                method = host.handler_of(Job(0, queue, name, None)) if own else getattr(host, attribute)
                self._found[queue, name] = JobHandler.of(method)


def queue_of(cls: type, *, default_queue: str) -> str:
    """Give the queue that a class with `@queue_worker` handles."""
    declaration = getattr(cls, QUEUE_WORKER, None)
    return getattr(declaration, "queue", None) or default_queue


def _payload_adapter(method: Callable[..., Any]) -> Any:
    """Give what validates the payload; None where any will do."""
    kind = _payload_type(method)
    if kind is None or kind is Any or isinstance(kind, TypeVar):
        return None
    from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter

    try:
        return TypeAdapter(kind)
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        raise OperatorError(
            f"the payload of {method.__qualname__} cannot be validated: {kind!r}",
            hint="annotate its job as Job[a pydantic model], or as Job[Any]",
        ) from error


def _payload_type(method: Callable[..., Any]) -> Any:
    parameters = list(inspect.signature(method).parameters.values())
    if not parameters or parameters[0].annotation is inspect.Parameter.empty:
        return None
    annotation = parameters[0].annotation
    if isinstance(annotation, str):
        annotation = _evaluated(annotation, method)
    given = get_args(annotation) if get_origin(annotation) is Job else ()
    return given[0] if given else None


def _evaluated(annotation: str, method: Callable[..., Any]) -> Any:
    """Give what a postponed annotation means where the method was written; others of it are not looked at."""
    known = {"Job": Job, "Any": Any, **getattr(inspect.unwrap(method), "__globals__", {})}
    try:
        return get_type_hints(SimpleNamespace(__annotations__={"job": annotation}), known)["job"]
    except (NameError, AttributeError, TypeError, SyntaxError) as error:
        raise OperatorError(
            f"the annotation of {method.__qualname__} cannot be read: {error}",
            hint="import what it names at run time, not only for type checkers",
        ) from error
