"""The scheduler as an object: runs, retries, overlap, times without a database, its end."""

from __future__ import annotations

import asyncio
import random
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.support.schedulers import Schedulers
from tests.support.server import nobody_let_in, wait_until
from upgrader.worker import QueueJobOptions, current_job, scheduled_job
from upgrader.worker.scheduling.job_run import JobRun, UnknownJobError
from upgrader.worker.scheduling.scheduler import Scheduler
from upgrader.worker.scheduling.ticks import TickOutcome


def test_a_job_is_triggered_by_its_name(scheduler: Schedulers) -> None:
    """A manual job runs only when it is asked to; what it returns is given, what it raises is told."""

    class Jobs:
        @scheduled_job()
        def manual(self) -> str:
            return "ran"

        @scheduled_job(name="fails")
        def fails(self) -> None:
            raise ValueError("no")

        @scheduled_job(enabled=False, interval=1)
        def off(self) -> None: ...

    with scheduler(Jobs) as made:
        run = made.trigger_now("Jobs.manual")
        assert (run.outcome, run.result) == (TickOutcome.DONE, "ran")
        failed = made.trigger_now("fails")
        assert (failed.outcome, repr(failed.error)) == (TickOutcome.FAILED, "ValueError('no')")
        with pytest.raises(UnknownJobError, match="no scheduled job 'nobody'") as raised:
            made.trigger_now("nobody")
        assert raised.value.hint == "there are: Jobs.manual, Jobs.off, fails"
        with pytest.raises(UnknownJobError, match="switched off"):
            made.trigger_now("Jobs.off")


def test_it_describes_its_jobs(scheduler: Schedulers) -> None:
    """Everything that was declared, and when each is due next."""

    class Jobs:
        @scheduled_job(cron="0 0 3 * * *", timezone="UTC", description="nightly", run_on_start=False)
        def nightly(self) -> None: ...

        @scheduled_job(interval=timedelta(minutes=2), retries=2, retry_delay=3, timeout=9, max_random_delay=4)
        async def often(self) -> None: ...

        @scheduled_job(enabled=False, cron="* * * * *", prevent_overlap=False)
        def off(self) -> None: ...

        @scheduled_job(
            name="letter",
            run_on_start=True,
            queue_name="mail",
            queue_job_name="send",
            queue_job_options=QueueJobOptions(priority=3),
        )
        def letter(self) -> str:
            return "news"

    with scheduler(Jobs, queue_enabled=True) as made:
        nightly, often, off, letter = made.jobs()
        assert (nightly.description, nightly.schedule) == ("nightly", "cron 0 0 3 * * * (UTC)")
        assert (nightly.provider, nightly.method, nightly.timezone) == ("Jobs", "nightly", "UTC")
        assert (often.schedule, often.retries, often.retry_delay_seconds) == ("every 120 s", 2, 3.0)
        assert (often.timeout_seconds, often.max_random_delay_seconds) == (9.0, 4.0)
        assert (off.enabled, off.prevent_overlap, off.next_run) == (False, False, None)
        due = made.next_runs()
        now = datetime.now(UTC) - timedelta(seconds=1)  # the scheduler's time is a little late on purpose
        assert due["Jobs.nightly"] is not None
        assert (due["Jobs.nightly"].hour, due["Jobs.nightly"] > now) == (3, True)
        assert now < (due["Jobs.often"] or now) <= now + timedelta(seconds=121)
        assert due["Jobs.off"] is None
        assert (letter.name, letter.schedule, letter.run_on_start) == ("letter", "manual", True)
        assert (letter.queue, letter.queue_job_name, often.queue) == ("mail", "send", None)
        assert (letter.queue_job_options, often.queue_job_options) == (QueueJobOptions(priority=3), None)
        assert (letter.last_run, letter.last_outcome, letter.running) == (None, None, 0)
        made.trigger_now("letter")
        *_, letter = made.jobs()
        assert letter.last_outcome == "queued"
        assert letter.last_run is not None
        assert letter.last_run >= now


def test_it_runs_on_start(scheduler: Schedulers) -> None:
    """Once, with a schedule or without one; what was not told so runs on its schedule alone."""
    runs: list[str] = []

    class Jobs:
        @scheduled_job(cron="0 0 1 1 *", run_on_start=True)
        def yearly(self) -> None:
            runs.append("yearly")

        @scheduled_job(run_on_start=True)
        def manual(self) -> None:
            runs.append("manual")

        @scheduled_job(cron="0 0 1 1 *")
        def silent(self) -> None:
            runs.append("silent")

        @scheduled_job()
        def asked(self) -> None:
            runs.append("asked")

        @scheduled_job(interval=0.2)
        def often(self) -> None:
            runs.append("often")

    with scheduler(Jobs) as made:
        made.start()
        wait_until(lambda: runs.count("often") >= 5 and {"yearly", "manual"} <= set(runs))
        made.stop(timeout_seconds=10)
    assert sorted(one for one in runs if one != "often") == ["manual", "yearly"]


def test_what_is_switched_off_never_runs(scheduler: Schedulers) -> None:
    """Neither on its schedule, nor as the scheduler starts."""
    runs: list[str] = []

    class Jobs:
        @scheduled_job(interval=0.2, run_on_start=True, enabled=False)
        def off(self) -> None:
            runs.append("off")

        @scheduled_job(interval=0.2)
        def on(self) -> None:
            runs.append("on")

    with scheduler(Jobs) as made:
        made.start()
        wait_until(lambda: runs.count("on") >= 5)
        made.stop(timeout_seconds=10)
    assert "off" not in runs


def test_a_run_at_the_start_is_put_off_by_chance_too(
    scheduler: Schedulers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many workers that start at once would else all begin at once; a run that is asked for is not put off."""
    put_off: list[float] = []
    runs: list[float] = []

    def most(lowest: float, highest: float) -> float:
        put_off.append(highest)
        return max(lowest, highest)

    monkeypatch.setattr(random, "uniform", most)

    class Jobs:
        @scheduled_job(name="spread", run_on_start=True, max_random_delay=0.5)
        def spread(self) -> None:
            runs.append(time.monotonic())

    with scheduler(Jobs) as made:
        began = time.monotonic()
        made.start()
        wait_until(lambda: len(runs) == 1)
        assert runs[0] - began >= 0.5
        assert made.trigger_now("spread").outcome is TickOutcome.DONE
    assert put_off == [0.5]


def test_while_it_fires_it_stands_among_the_workers(
    scheduler: Schedulers, connection: psycopg.Connection[Any]
) -> None:
    """So that a run of it is not told as one whose worker is gone; it takes itself out at its end."""
    entered = "select id, schedules, queues from upgrader_worker.worker"

    class Jobs:
        @scheduled_job(name="any")
        def any(self) -> None: ...

    with scheduler(Jobs) as made:
        made.trigger_now("any")
        assert connection.execute(entered.encode()).fetchall() == []
        made.start()
        assert connection.execute(entered.encode()).fetchall() == [(made.worker, True, [])]
    assert connection.execute(entered.encode()).fetchall() == []


def test_a_failed_run_is_tried_again(scheduler: Schedulers) -> None:
    """So often as `retries` says, after its rest; each try knows which one it is."""
    tries: list[tuple[float, int, int]] = []

    class Jobs:
        @scheduled_job(retries=2, retry_delay=0.3)
        def flaky(self) -> str:
            job = current_job()
            assert job is not None
            tries.append((time.monotonic(), job.attempt, job.attempts))
            if len(tries) < 3:
                raise RuntimeError("not yet")
            return "at last"

    with scheduler(Jobs) as made:
        assert made.trigger_now("Jobs.flaky").result == "at last"
    assert [attempt for _, *attempt in tries] == [[1, 3], [2, 3], [3, 3]]
    assert tries[1][0] - tries[0][0] >= 0.3


def test_a_job_that_ends_the_program_fails(scheduler: Schedulers) -> None:
    """`sys.exit()` of a job's own code is told like any failure, and the scheduler goes on."""

    class Jobs:
        @scheduled_job()
        def leaves(self) -> None:
            sys.exit(3)

    with scheduler(Jobs) as made:
        run = made.trigger_now("Jobs.leaves")
    assert run.outcome is TickOutcome.FAILED
    assert "SystemExit 3" in str(run.error)


def test_a_job_that_ends_its_thread_or_itself_fails(scheduler: Schedulers) -> None:
    """It alone: no thread ends in silence, and the loop that coroutines share goes on."""
    tries: list[str] = []

    class Jobs:
        @scheduled_job(name="leaves", retries=1)
        async def leaves(self) -> None:
            tries.append("leaves")
            sys.exit(3)

        @scheduled_job(name="cancels", retries=1)
        async def cancels(self) -> None:
            tries.append("cancels")
            raise asyncio.CancelledError

        @scheduled_job(name="runs")
        def runs(self) -> None:
            asyncio.run(self.cancels())

        @scheduled_job(name="interrupts")
        def interrupts(self) -> None:
            raise KeyboardInterrupt

        @scheduled_job(name="stays")
        async def stays(self) -> str:
            return "here"

    ends: dict[str, JobRun] = {}

    def run(made: Scheduler, name: str) -> None:
        ends[name] = made.trigger_now(name)

    with scheduler(Jobs) as made:
        for name in ("leaves", "cancels", "runs", "interrupts", "stays"):
            thread = threading.Thread(target=run, args=(made, name), daemon=True)
            thread.start()
            thread.join(20)
            assert name in ends
    assert "SystemExit 3" in str(ends["leaves"].error)
    assert "its own code cancelled it" in str(ends["cancels"].error)
    assert "its own code cancelled it" in str(ends["runs"].error)
    assert "KeyboardInterrupt" in str(ends["interrupts"].error)
    assert ends["stays"].result == "here"
    assert tries == ["leaves", "cancels", "cancels", "cancels"]


def test_overlap_is_prevented_over_all_workers(scheduler: Schedulers) -> None:
    """Two schedulers, as two workers are: a run is left out while another goes on, here or there."""
    inside, go_on = threading.Event(), threading.Event()

    class Jobs:
        @scheduled_job(name="long")
        def long(self) -> None:
            inside.set()
            go_on.wait(30)

        @scheduled_job(name="free", prevent_overlap=False)
        def free(self) -> str:
            return "ran"

    with scheduler(Jobs) as one, scheduler(Jobs) as other:
        first = threading.Thread(target=one.trigger_now, args=("long",))
        first.start()
        assert inside.wait(10)
        assert one.trigger_now("long").outcome is TickOutcome.SKIPPED
        assert other.trigger_now("long").outcome is TickOutcome.SKIPPED
        assert other.trigger_now("free").outcome is TickOutcome.DONE
        assert one.jobs()[0].running == 1
        go_on.set()
        first.join()
        assert other.trigger_now("long").outcome is TickOutcome.DONE


def test_each_run_has_a_context_of_its_own(scheduler: Schedulers) -> None:
    """What a run sets is not there in the next, nor outside; Sentry's isolation scope likewise."""
    import sentry_sdk

    seen: list[object] = []
    variable: ContextVar[str] = ContextVar("of_a_run", default="nothing")

    class Jobs:
        @scheduled_job(name="leaves")
        def leaves(self) -> None:
            seen.append((variable.get(), sentry_sdk.get_isolation_scope()._tags.get("left")))
            variable.set("something")
            sentry_sdk.set_tag("left", "something")

    with scheduler(Jobs) as made:
        made.trigger_now("leaves")
        made.trigger_now("leaves")
    assert seen == [("nothing", None), ("nothing", None)]
    assert variable.get() == "nothing"


def test_it_lives_through_a_database_that_goes_away(
    scheduler: Schedulers, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """All its connections are ended and none is let in for a while: it says so once, and goes on afterwards."""
    runs: list[float] = []

    class Jobs:
        @scheduled_job(interval=0.3)
        def often(self) -> None:
            runs.append(time.monotonic())

    with scheduler(Jobs) as made:
        made.start()
        wait_until(lambda: len(runs) >= 2)
        with nobody_let_in(database_url):
            wait_until(lambda: "cannot use its database" in caplog.text)
            before = len(runs)
        wait_until(lambda: len(runs) >= before + 3)
        assert made.stop(timeout_seconds=10) == ()
    assert caplog.text.count("cannot use its database") <= 3


def test_what_was_made_at_the_start_waits_for_the_database(
    scheduler: Schedulers, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A job that runs only at the start has no other time at which what it gives could be queued."""
    begun, is_away = threading.Event(), threading.Event()

    class Jobs:
        @scheduled_job(run_on_start=True, queue_name="mails")
        def once(self) -> str:
            begun.set()
            assert is_away.wait(30)
            return "made"

    with scheduler(Jobs, queue_enabled=True) as made:
        made.start()
        assert begun.wait(30)
        with nobody_let_in(database_url):
            is_away.set()
            wait_until(lambda: "cannot use its database" in caplog.text)
        with psycopg.connect(database_url) as after:
            queued = (
                "select args->'payload' from upgrader_worker.procrastinate_jobs where queue_name = 'mails'"
            )
            wait_until(lambda: after.execute(queued).fetchall() != [])
            assert after.execute(queued).fetchall() == [("made",)]
        assert made.stop(timeout_seconds=10) == ()


def test_a_run_that_ends_while_the_database_is_away(
    scheduler: Schedulers, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What became of its tick is written as soon as the database is back: nobody is told that it still runs."""
    begun, is_away = threading.Event(), threading.Event()

    class Jobs:
        @scheduled_job(interval=1, name="long")
        def long(self) -> None:
            begun.set()
            assert is_away.wait(30)

    with scheduler(Jobs) as made:
        made.start()
        assert begun.wait(30)
        with nobody_let_in(database_url):
            is_away.set()
            wait_until(lambda: "cannot use its database" in caplog.text)
        with psycopg.connect(database_url, autocommit=True) as after:
            first = "select outcome from upgrader_worker.tick order by due limit 1"
            wait_until(lambda: after.execute(first).fetchone() == ("done",))


def test_stopping_waits_for_what_was_triggered(scheduler: Schedulers) -> None:
    """It has its lock until it is through, and is named where it is not."""
    go_on = threading.Event()

    class Jobs:
        @scheduled_job(name="asked for")
        def asked_for(self) -> None:
            assert go_on.wait(30)

    with scheduler(Jobs) as made, scheduler(Jobs) as other, ThreadPoolExecutor(1) as thread:
        run = thread.submit(made.trigger_now, "asked for")
        wait_until(lambda: made.at_work() == ("asked for",) and made.jobs()[0].running == 1)
        assert made.stop(timeout_seconds=0.1) == ("asked for",)
        assert other.trigger_now("asked for").outcome is TickOutcome.SKIPPED
        go_on.set()
        assert run.result(30).outcome is TickOutcome.DONE
        assert made.stop(timeout_seconds=20) == ()
        assert other.trigger_now("asked for").outcome is TickOutcome.DONE


def test_stopping_waits_for_what_finishes_in_time(scheduler: Schedulers) -> None:
    """A job that asks is told that it should come to its end."""
    finished: list[str] = []

    class Jobs:
        @scheduled_job(run_on_start=True)
        def short(self) -> None:
            job = current_job()
            assert job is not None
            job.stop.wait(30)
            finished.append("short")

    with scheduler(Jobs) as made:
        made.start()
        wait_until(lambda: made.at_work() != ())
        assert made.stop(timeout_seconds=20) == ()
    assert finished == ["short"]
