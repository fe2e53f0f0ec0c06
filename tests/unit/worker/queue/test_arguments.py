"""What a job is made of in the queue's table, and how often it is tried."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from procrastinate import jobs

from upgrader.worker.options import Backoff
from upgrader.worker.queue.arguments import JobArguments, QueueJobError, check_id, check_numbers
from upgrader.worker.queue.dispatch import JobGivenBackError, Retries
from upgrader.worker.queue.manager import ARGUMENTS


def of(text: str) -> JobArguments:
    """Read arguments as they come back from the table."""
    return JobArguments.of_row(json.loads(text))


def tried(attempts: int, arguments: JobArguments) -> jobs.Job:
    """Make a job that has been tried so often before."""
    return jobs.Job(
        id=1,
        queue="mails",
        lock=None,
        queueing_lock=None,
        task_name="send",
        task_kwargs={ARGUMENTS: json.loads(arguments.to_json())},
        attempts=attempts,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        JobArguments(),
        JobArguments({"a": [1, None, "ä"]}, 3, Backoff.exponential(2.0, max_seconds=60), "one"),
        JobArguments("\\u0000"),
    ],
)
def test_what_is_written_is_read_again(arguments: JobArguments) -> None:
    """Also where all is as by default, of which nothing is written but the payload."""
    assert of(arguments.to_json()) == arguments


def test_defaults_take_no_room() -> None:
    """Most jobs say nothing of tries and rests."""
    assert JobArguments(5).to_json() == '{"payload": 5}'


@pytest.mark.parametrize(
    "args",
    [[1], None, "text", {"attempts": "three"}, {"backoff": 3}, {"backoff": ["x"]}, {"backoff": [1] * 9}],
)
def test_what_somebody_else_wrote_is_told_as_such(args: Any) -> None:
    """No error of Python's own."""
    with pytest.raises(QueueJobError, match="JobQueue did not write them"):
        JobArguments.of_row(args)


def test_arguments_of_another_release_are_read() -> None:
    """What is missing is as by default, what is unknown is left alone."""
    assert JobArguments.of_row({"other": 1}) == JobArguments()


@pytest.mark.parametrize("payload", [float("inf"), "a\0b", "\udc00", {"x": object()}])
def test_what_postgresql_cannot_hold_is_refused(payload: object) -> None:
    """With a hint at what it can."""
    with pytest.raises(QueueJobError) as caught:
        JobArguments(payload).to_json()
    assert "pydantic" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("attempts", "before", "is_tried_again"),
    [(1, 0, False), (3, 0, True), (3, 1, True), (3, 2, False), (3, 7, False)],
)
def test_three_attempts_are_three_tries(attempts: int, before: int, is_tried_again: bool) -> None:
    """One that was tried by hand once more than allowed is not tried on and on."""
    decision = Retries().get_retry_decision(
        exception=ValueError(), job=tried(before, JobArguments(None, attempts))
    )
    assert (decision is not None) is is_tried_again


def test_the_rest_grows_with_the_tries() -> None:
    """Up to its limit."""
    arguments = JobArguments(None, 9, Backoff.exponential(10.0, max_seconds=25.0))
    rests = []
    for before in range(3):
        now = datetime.now(UTC)
        decision = Retries().get_retry_decision(exception=ValueError(), job=tried(before, arguments))
        assert decision is not None
        assert decision.retry_at is not None
        rests.append(round((decision.retry_at - now).total_seconds()))
    assert rests == [10, 20, 25]


def test_a_job_that_is_given_back_is_tried_whatever_its_attempts() -> None:
    """At once: it was the worker that ended."""
    decision = Retries().get_retry_decision(exception=JobGivenBackError(), job=tried(0, JobArguments()))
    assert decision is not None
    assert decision.retry_at is None


@pytest.mark.parametrize("id_", ["", "a\0b", "\udc00", "a\ud800", "x" * 1_025])
def test_an_id_that_postgresql_cannot_hold_is_refused(id_: str) -> None:
    """Before it is sent: the driver would say that it cannot encode it, and not that the id is wrong."""
    with pytest.raises(QueueJobError, match="is no id of a waiting job"):
        check_id(id_)


@pytest.mark.parametrize(("backoff", "rest"), [(Backoff.exponential(), 86_400.0), (Backoff(0.0, 2.0), 0.0)])
def test_rests_have_an_end_however_often_a_job_was_tried(backoff: Backoff, rest: float) -> None:
    """Two to the power of 5,000 is no number of Python's; the job would have failed with its rest."""
    assert backoff.seconds(5_000) == rest


@pytest.mark.parametrize(
    "backoff",
    [
        Backoff(-1.0),
        Backoff(factor=float("nan")),
        Backoff(max_seconds=float("inf")),
        Backoff(delay_seconds=timedelta(seconds=1)),  # type: ignore[arg-type]  # what is to be refused
    ],
)
def test_a_rest_that_is_none_is_refused(backoff: Backoff) -> None:
    """When the job is added, not after its first try."""
    with pytest.raises(QueueJobError, match="cannot rest"):
        check_numbers(priority=0, attempts=2, delay_seconds=0.0, backoff=backoff)
