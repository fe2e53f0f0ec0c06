"""A job runs in a context of its own, is measured, logged, and isolated for Sentry."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextvars import ContextVar

import pytest
import sentry_sdk

from upgrader.errors import DatabaseUnavailableError, LoadingError, Problem, StepError
from upgrader.worker.running import JobEnd, RunningJob, current_job, run_job, run_job_async

_LANGUAGE: ContextVar[str] = ContextVar("language", default="en")
JOB = RunningJob("mail.send", "mails", 7, attempt=2, attempts=3)


def test_the_job_at_hand_is_known_within_it_and_not_after() -> None:
    """`current_job` tells which one it is."""
    assert run_job(JOB, current_job) is JOB
    assert current_job() is None


def test_what_a_job_sets_stays_in_it() -> None:
    """A context variable that a job sets is as it was for whoever runs it."""
    run_job(JOB, lambda: _LANGUAGE.set("de"))
    assert _LANGUAGE.get() == "en"


def test_two_coroutines_have_contexts_of_their_own() -> None:
    """They work at the same time, and neither sees what the other sets."""
    both = asyncio.Event()

    async def work(language: str) -> tuple[str, str]:
        _LANGUAGE.set(language)
        if language == "de":
            both.set()
        await both.wait()
        job = current_job()
        assert job is not None
        return job.name, _LANGUAGE.get()

    async def run() -> list[tuple[str, str]]:
        jobs = {"a": "fr", "b": "de"}
        return await asyncio.gather(
            *(run_job_async(RunningJob(name), lambda text=text: work(text)) for name, text in jobs.items())  # type: ignore[misc]  # a lambda with a default
        )

    assert asyncio.run(run()) == [("a", "fr"), ("b", "de")]
    assert _LANGUAGE.get() == "en"


def test_the_caller_is_told_how_long_it_took_and_what_it_raised() -> None:
    """The end of a job that fails is told too, and its error goes on."""
    ends: list[JobEnd] = []
    run_job(JOB, lambda: threading.Event().wait(0.02), ended=ends.append)
    with pytest.raises(ZeroDivisionError):
        run_job(JOB, lambda: 1 / 0, ended=ends.append)
    done, failed = ends
    assert done.error is None
    assert done.seconds >= 0.02
    assert isinstance(failed.error, ZeroDivisionError)
    assert failed.job is JOB


def test_who_looks_on_fails_no_job() -> None:
    """A broken observer is logged; the job's value comes all the same."""

    def broken(end: JobEnd) -> None:
        raise RuntimeError("no metrics today")

    assert run_job(JOB, lambda: 42, ended=broken) == 42


def test_a_cancelled_coroutine_is_told_as_ended(caplog: pytest.LogCaptureFixture) -> None:
    """Who cancels the one that runs it cancels the job; that is no failure of it."""
    ends: list[JobEnd] = []

    async def run() -> None:
        begun = asyncio.Event()

        async def work() -> None:
            begun.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(run_job_async(JOB, work, ended=ends.append))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with caplog.at_level(logging.INFO, "upgrader.worker"):
        asyncio.run(run())
    assert isinstance(ends[0].error, asyncio.CancelledError)
    assert [record.levelname for record in caplog.records] == ["INFO"]


def test_a_failure_is_logged_with_its_job(caplog: pytest.LogCaptureFixture) -> None:
    """A try before the last is a warning, the last an error; the fields say which job it was."""
    for attempt in (2, 3):
        with pytest.raises(ZeroDivisionError):
            run_job(RunningJob("mail.send", "mails", 7, attempt=attempt, attempts=3), lambda: 1 / 0)
    first, last = caplog.records
    assert (first.levelname, last.levelname) == ("WARNING", "ERROR")
    assert "mail.send [7] failed" in last.getMessage()
    assert "try 3 of 3" in last.getMessage()
    assert (last.job, last.job_id, last.queue) == ("mail.send", 7, "mails")  # type: ignore[attr-defined]  # extras


def test_each_job_has_a_scope_of_sentrys_own() -> None:
    """A tag that one job sets is not there in the next; the error of a job names it."""
    events: list[dict[str, object]] = []

    class Transport(sentry_sdk.Transport):
        def capture_envelope(self, envelope: sentry_sdk.envelope.Envelope) -> None:
            event = envelope.get_event()
            if event is not None:
                events.append(dict(event))

    def fail() -> None:
        raise ValueError("a mailbox is full")

    sentry_sdk.init(dsn="https://key@sentry.invalid/1", transport=Transport())
    try:
        run_job(JOB, lambda: sentry_sdk.set_tag("tenant", "one"))
        with pytest.raises(ValueError, match="full"):
            run_job(RunningJob("mail.clean", "mails", 8), fail)
    finally:
        sentry_sdk.get_client().close()
        sentry_sdk.init()
    (event,) = events
    assert event["transaction"] == "job mail.clean"
    assert event["contexts"]["job"]["job_id"] == 8  # type: ignore[index]  # a dictionary
    assert "tenant" not in (event.get("tags") or {})


def test_an_error_of_ours_is_a_sentence_and_a_foreign_one_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A database that is away needs no traceback; a mistake in a job, or in a step that it ran, does."""

    def fails_with(error: Exception) -> logging.LogRecord:
        def work() -> None:
            raise error

        with pytest.raises(type(error)):
            run_job(JOB, work)
        return caplog.records[-1]

    away = fails_with(DatabaseUnavailableError("the server said no", hint="start it"))
    assert away.exc_info is None
    assert "DatabaseUnavailableError: the server said no (hint: start it)" in away.getMessage()
    broken = fails_with(LoadingError([Problem("it is no command", ("commands/a.py:3",))]))
    assert (
        "1 problem in the command modules; it is no command (commands/a.py:3) (hint:" in broken.getMessage()
    )
    for error in (ZeroDivisionError("by zero"), StepError("the step failed")):
        record = fails_with(error)
        assert record.exc_info is not None
        assert record.exc_info[1] is error
        assert record.exc_info[2] is not None
        assert record.exc_info[2].tb_frame.f_code.co_name == "work", "it begins with the job's own code"
