"""Which method handles which job, and what its annotation says of the payload."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from upgrader.errors import OperatorError
from upgrader.worker import Job, QueueWorkerHost, queue_job_handler, queue_worker
from upgrader.worker.host import UnhandledJobError
from upgrader.worker.queue.handlers import HandlerTable, InvalidPayloadError

if TYPE_CHECKING:
    from decimal import Decimal


class Mail(BaseModel):
    """A payload."""

    to: str


@queue_worker("mails")
class Mails(QueueWorkerHost):
    """With annotations of every kind."""

    @queue_job_handler("model")
    def model(self, job: Job[Mail]) -> Decimal:
        raise NotImplementedError

    @queue_job_handler("any")
    async def any(self, job: Job[Any]) -> None: ...

    @queue_job_handler("bare")
    def bare(self, job: Job) -> None: ...  # type: ignore[type-arg]  # as an author may write it

    @queue_job_handler("none")
    def none(self, job) -> None: ...  # type: ignore[no-untyped-def]  # as an author may write it

    @queue_job_handler("two")
    @queue_job_handler("names")
    def two(self, job: Job[int]) -> None: ...


def table(*hosts: QueueWorkerHost) -> HandlerTable:
    """Put hosts together."""
    return HandlerTable.of(hosts, default_queue="default")


def job(name: str, queue: str = "mails") -> Job[Any]:
    """Make a job."""
    return Job(1, queue, name, None)


def test_each_job_has_the_method_that_was_decorated_with_its_name() -> None:
    """Of the host whose queue it came from; a method without the decorator handles nothing."""

    @queue_worker("letters")
    class Letters(Mails):
        def other(self, job: Job[Any]) -> None: ...

    mails, letters = Mails(), Letters()
    found = table(mails, letters)
    assert found.find(job("model")).call == mails.model
    assert found.find(job("any")).call == mails.any
    assert found.find(job("any", "letters")).call == letters.any
    with pytest.raises(UnhandledJobError):
        found.find(job("other", "letters"))


def test_a_model_in_the_annotation_validates() -> None:
    """The other annotations of the method are not looked at: they may be there for type checkers only."""
    handler = table(Mails()).find(job("model"))
    assert handler.validated({"to": "a"}) == Mail(to="a")
    with pytest.raises(InvalidPayloadError, match="to: Field required"):
        handler.validated({})
    with pytest.raises(InvalidPayloadError):
        handler.validated(None)


@pytest.mark.parametrize("name", ["any", "bare", "none"])
def test_without_a_type_any_payload_does(name: str) -> None:
    """It is handed on as it is."""
    payload = {"a": [1]}
    assert table(Mails()).find(job(name)).validated(payload) is payload


def test_a_method_may_have_several_names() -> None:
    """Each of them leads to it."""
    found = table(Mails())
    assert found.find(job("two")).call == found.find(job("names")).call


def test_coroutines_are_known() -> None:
    """They are awaited, functions are called on a thread."""
    found = table(Mails())
    assert found.find(job("any")).is_coroutine
    assert not found.find(job("bare")).is_coroutine


def test_what_nobody_handles_is_told_with_all_handlers_of_the_queue() -> None:
    """Those of every host of it; in another queue there may be none."""

    @queue_worker("mails")
    class More(QueueWorkerHost):
        @queue_job_handler("more")
        def more(self, job: Job[Any]) -> None: ...

    found = table(Mails(), More())
    with pytest.raises(UnhandledJobError, match="are: any, bare, model, more, names, none, two"):
        found.find(job("other"))
    with pytest.raises(UnhandledJobError, match="its handlers are: none"):
        found.find(job("model", "letters"))


def test_a_host_may_choose_by_itself() -> None:
    """Its own `handler_of` is asked, also for names that no decorator has."""

    @queue_worker("mails")
    class Choosing(QueueWorkerHost):
        def handler_of(self, job: Job[Any]) -> Any:
            return self.everything

        def everything(self, job: Job[Mail]) -> None: ...

    host = Choosing()
    assert table(host).find(job("whatever")).call == host.everything


def test_a_subclass_has_the_handlers_of_its_base() -> None:
    """One that it writes anew takes the place of the base's."""

    class Better(Mails):
        async def model(self, job: Job[Mail]) -> None:  # type: ignore[override]  # a coroutine now
            raise NotImplementedError

    found = table(Better()).find(job("model"))
    assert found.is_coroutine


def test_two_handlers_of_one_job_are_refused() -> None:
    """In one queue; in two of them each has its own."""
    with pytest.raises(OperatorError, match="of the queue 'mails' has two handlers"):
        table(Mails(), Mails())

    @queue_worker("letters")
    class Letters(Mails):
        """The same in another queue."""

    assert table(Mails(), Letters()).queues == ("letters", "mails")


def test_an_annotation_that_cannot_be_read_is_refused() -> None:
    """A model that is only there for type checkers validates nothing."""

    @queue_worker("mails")
    class Hidden(QueueWorkerHost):
        @queue_job_handler("hidden")
        def hidden(self, job: Job[Decimal]) -> None: ...

    with pytest.raises(OperatorError, match="Decimal") as caught:
        table(Hidden())
    assert "run time" in str(caught.value.hint)


def test_a_payload_that_cannot_be_validated_is_refused() -> None:
    """Told when the worker starts, not by the first job."""

    @queue_worker("mails")
    class Odd(QueueWorkerHost):
        @queue_job_handler("odd")
        def odd(self, job: Job[HandlerTable]) -> None: ...

    with pytest.raises(OperatorError, match="cannot be validated"):
        table(Odd())
