"""Ticks: claimed once over all workers, with the job that they bring."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.schedulers import Schedulers, ticks_of
from tests.support.server import wait_until
from upgrader.worker import scheduled_job
from upgrader.worker.scheduling.session_locks import SessionLocks, lock_key
from upgrader.worker.scheduling.ticks import TickBook, TickOutcome


def test_ticks_fire_and_are_claimed(scheduler: Schedulers, connection: psycopg.Connection[Any]) -> None:
    """By interval and by cron; what became of each stands in the table."""
    seen: list[str] = []

    class Jobs:
        @scheduled_job(interval=0.2)
        def often(self) -> None:
            seen.append("often")

        @scheduled_job(cron="* * * * * *", name="secondly")
        async def secondly(self) -> None:
            await asyncio.sleep(0)
            seen.append("secondly")

    with scheduler(Jobs) as made:
        made.start()
        wait_until(lambda: seen.count("often") >= 4 and seen.count("secondly") >= 2)
        assert made.stop(timeout_seconds=5) == ()
    rows = ticks_of(connection)
    assert {(name, outcome) for name, _, _, outcome in rows} == {("Jobs.often", "done"), ("secondly", "done")}
    assert len([row for row in rows if row[0] == "Jobs.often"]) == seen.count("often")
    assert all(due.microsecond == 0 for name, due, _, _ in rows if name == "secondly")


def test_runs_are_put_off_by_chance(scheduler: Schedulers, connection: psycopg.Connection[Any]) -> None:
    """Each for a time of its own; that all of them had none is one chance in millions."""
    ran: list[datetime] = []

    class Jobs:
        @scheduled_job(interval=0.5, max_random_delay=0.4, prevent_overlap=False)
        def often(self) -> None:
            ran.append(datetime.now(UTC))

    with scheduler(Jobs) as made:
        made.start()
        wait_until(lambda: len(ran) >= 8)
        made.stop(timeout_seconds=5)
    due = [row[1] for row in ticks_of(connection)]
    late = [(moment - max(one for one in due if one <= moment)).total_seconds() for moment in ran]
    assert max(late) > 0.1
    assert max(late) - min(late) > 0.05


def test_a_tick_is_left_out_while_the_run_before_it_goes_on(
    scheduler: Schedulers, connection: psycopg.Connection[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """In the same worker and in another; it is said once for several in a row."""
    caplog.set_level("INFO")
    go_on, at_once, most = threading.Event(), 0, 0

    class Jobs:
        @scheduled_job(interval=0.2, name="long")
        def long(self) -> None:
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            go_on.wait(30)
            at_once -= 1

    with scheduler(Jobs) as one, scheduler(Jobs) as other:
        one.start()
        other.start()
        wait_until(lambda: [row[3] for row in ticks_of(connection)].count("skipped") >= 5)
        go_on.set()
        one.stop(timeout_seconds=10)
        other.stop(timeout_seconds=10)
    assert most == 1
    assert 1 <= caplog.text.count("is left out this time") <= 4


def test_a_delay_that_is_longer_than_from_tick_to_tick_loses_none(
    scheduler: Schedulers, connection: psycopg.Connection[Any]
) -> None:
    """Up to `max_random_delay`, also where that is longer than from tick to tick: none is lost."""

    class Jobs:
        @scheduled_job(interval=0.5, name="spread", max_random_delay=1.5, prevent_overlap=False)
        def spread(self) -> None: ...

    with scheduler(Jobs) as made:
        made.start()
        wait_until(lambda: len(ticks_of(connection)) >= 8)
        made.stop(timeout_seconds=10)
    delays = connection.execute(
        "select extract(epoch from claimed_at - due)::float8 from upgrader_worker.tick"
    ).fetchall()
    assert max(delays)[0] - min(delays)[0] > 0.1
    assert max(delays)[0] > 0.5


def test_no_secret_is_written_into_the_table(
    scheduler: Schedulers, connection: psycopg.Connection[Any]
) -> None:
    """What a job fails with is told without passwords."""

    class Jobs:
        @scheduled_job(interval=0.2, name="fails")
        def fails(self) -> None:
            raise RuntimeError("cannot reach postgresql://me:hush-hush@host/db")

    with scheduler(Jobs) as made:
        made.start()
        wait_until(lambda: "failed" in [row[3] for row in ticks_of(connection)])
        made.stop(timeout_seconds=5)
    details = connection.execute(
        "select detail from upgrader_worker.tick where detail is not null"
    ).fetchall()
    assert {detail for (detail,) in details} == {"RuntimeError: cannot reach postgresql://me:***@host/db"}


def test_a_lock_is_free_once_its_holder_is_dead(
    database_url: str, connection: psycopg.Connection[Any]
) -> None:
    """A connection that is ended takes its locks along; whoever still needs them gets them again."""
    from upgrader.database.connect import Connector

    key = lock_key("job", "upgrader_worker", "x")
    one, other = SessionLocks(Connector(database_url, "locks-one")), SessionLocks(Connector(database_url))
    assert one.try_acquire(key)
    assert not one.try_acquire(key)
    assert not other.try_acquire(key)
    connection.execute(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'locks-one'"
    )
    one.keep()
    one.keep()
    assert not other.try_acquire(key)
    one.close()
    wait_until(lambda: other.try_acquire(key))
    other.close()


def test_a_lock_that_the_lost_connection_has_still_is_taken_once_it_is_free(
    database_url: str, connection: psycopg.Connection[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A server may notice late that a connection is lost: until then its lock is somebody's."""
    from upgrader.database.connect import Connector

    key = lock_key("job", "upgrader_worker", "x")
    one, other = SessionLocks(Connector(database_url, "locks-one")), SessionLocks(Connector(database_url))
    assert one.try_acquire(key)
    connection.execute(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'locks-one'"
    )
    connection.execute(
        "select pg_advisory_lock(%s)", [key]
    )  # in place of the one that the server has not noticed
    one.keep()
    assert "the connection was lost" in caplog.text
    connection.execute("select pg_advisory_unlock(%s)", [key])
    one.keep()
    assert not other.try_acquire(key)
    one.release(key)
    assert other.try_acquire(key)
    one.close()
    other.close()


def test_a_lock_that_cannot_be_given_back_goes_with_its_connection(database_url: str) -> None:
    """Else nobody had it again as long as this process lives; the others that it holds stay its own."""
    from upgrader.database.connect import Connector

    key, kept = lock_key("job", "upgrader_worker", "x"), lock_key("job", "upgrader_worker", "y")
    one, other = SessionLocks(Connector(database_url)), SessionLocks(Connector(database_url))
    assert one.try_acquire(key)
    assert one.try_acquire(kept)
    assert one._driver is not None
    one._driver.autocommit = False
    with pytest.raises(psycopg.errors.DivisionByZero):
        one._driver.execute("select 1 / 0")  # from here on it refuses every statement, and is open
    one.release(key)
    one.keep()
    wait_until(lambda: other.try_acquire(key))
    wait_until(lambda: one.keep() or not one._missed)
    assert not other.try_acquire(kept)
    one.close()
    other.close()


def test_a_tick_whose_claim_was_answered_in_vain_is_fired(
    scheduler: Schedulers, connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is lost after the claim: the tick stands under this worker's name, and no other would run it."""
    runs: list[float] = []
    lost: list[datetime] = []
    missed = datetime.now(UTC) - timedelta(minutes=1)

    class Jobs:
        @scheduled_job(cron=f"{missed:%S %M %H} * * *", timezone="UTC", name="daily")
        def daily(self) -> None:
            runs.append(time.monotonic())

    claim = TickBook.claim

    def deaf(self: TickBook, name: str, due: datetime, *values: Any, **more: Any) -> bool:
        is_claimed = claim(self, name, due, *values, **more)
        if not lost:
            lost.append(due)
            raise psycopg.OperationalError("the connection is lost")
        return is_claimed

    monkeypatch.setattr(TickBook, "claim", deaf)
    with scheduler(Jobs) as made:
        connection.execute(
            "insert into upgrader_worker.tick (name, due, worker, outcome)"
            " values ('daily', now() - interval '6 minutes', 'other', 'done')"
        )
        made.start()
        wait_until(lambda: len(runs) >= 1)
        made.stop(timeout_seconds=5)
    assert [outcome for _, due, _, outcome in ticks_of(connection) if due == lost[0]] == ["done"]
    assert len(runs) == 1


def test_of_many_schedulers_one_fires_each_tick(
    scheduler: Schedulers, connection: psycopg.Connection[Any]
) -> None:
    """Four of them on one database: each tick has one run, and none is left out."""
    runs: list[int] = []

    def jobs(number: int) -> type:
        class Jobs:
            @scheduled_job(interval=0.5, name="shared", prevent_overlap=False)
            def shared(self) -> None:
                runs.append(number)

        return Jobs

    with scheduler(jobs(1)) as a, scheduler(jobs(2)) as b, scheduler(jobs(3)) as c, scheduler(jobs(4)) as d:
        for one in (a, b, c, d):
            one.start()
        wait_until(lambda: len(runs) >= 6)
        for one in (a, b, c, d):
            assert one.stop(timeout_seconds=10) == ()
    due = [row[1] for row in ticks_of(connection)]
    assert len(runs) == len(due)
    gaps = {(two - one).total_seconds() for one, two in pairwise(due)}
    assert gaps == {0.5}


def test_a_tick_that_was_missed_is_made_up_for_once(
    scheduler: Schedulers, connection: psycopg.Connection[Any]
) -> None:
    """No worker ran for a while: of the ticks that fell into it the latest is fired, and only that."""
    runs: list[float] = []

    class Jobs:
        @scheduled_job(interval=120, name="slow")
        def slow(self) -> None:
            runs.append(time.monotonic())

    with scheduler(Jobs) as made:
        now = datetime.now(UTC)
        latest = datetime.fromtimestamp(now.timestamp() // 120 * 120, UTC)
        connection.execute(
            "insert into upgrader_worker.tick (name, due, worker, outcome) values ('slow', %s, 'other', 'done')",
            [latest - timedelta(seconds=360)],
        )
        made.start()
        wait_until(lambda: len(runs) == 1)
        made.stop(timeout_seconds=5)
    assert [row[1] for row in ticks_of(connection)][1:] in ([latest], [latest + timedelta(seconds=120)])


@pytest.mark.parametrize("most_seconds", [86_400, 0])
def test_a_tick_that_was_put_off_is_not_lost_with_its_worker(
    scheduler: Schedulers, connection: psycopg.Connection[Any], most_seconds: float
) -> None:
    """Where it may have been put off for longer than what is made up for, it is made up for as long."""

    class Jobs:
        @scheduled_job(cron="0 0 0 * * *", max_random_delay=most_seconds, name="nightly")
        def nightly(self) -> None:
            """Do nothing."""

    with scheduler(Jobs) as made:
        now = datetime.now(UTC)
        # By its clock it is noon: the tick of midnight is long past.
        noon = now.replace(hour=12, minute=0, second=0, microsecond=0)
        made._parts.clock._seen = noon, time.monotonic()
        made._parts.ticks.set_clock = lambda _: None  # type: ignore[method-assign]  # the clock is set already
        connection.execute(
            "insert into upgrader_worker.tick (name, due, worker, outcome) values ('nightly', %s, 'other', 'done')",
            [noon - timedelta(hours=36)],
        )
        made.start()
        nightly = made._states["nightly"]
        if most_seconds:
            wait_until(lambda: nightly.newest == noon - timedelta(hours=12))
        assert nightly.next_due == noon + timedelta(hours=12)


def test_old_ticks_are_pruned(scheduler: Schedulers, connection: psycopg.Connection[Any]) -> None:
    """But the newest of each job stays: it tells where to go on."""

    class Jobs:
        @scheduled_job(name="a")
        def run(self) -> None: ...

    with scheduler(Jobs) as made:
        for name, day in (("a", 1), ("a", 2), ("b", 1)):
            connection.execute(
                "insert into upgrader_worker.tick (name, due, worker, outcome, claimed_at)"
                " values (%s, %s, 'w', 'done', now() - interval '4 days')",
                [name, datetime(2026, 1, day, tzinfo=UTC)],
            )
        assert len(ticks_of(connection)) == 3
        made.start()
        wait_until(
            lambda: [(name, due.day) for name, due, _, _ in ticks_of(connection)] == [("a", 2), ("b", 1)]
        )


def test_a_queued_job_is_added_with_its_tick(
    scheduler: Schedulers, connection: psycopg.Connection[Any]
) -> None:
    """Two schedulers: for each tick there is one job, its payload what the method returned."""

    class Jobs:
        @scheduled_job(interval=0.5, name="count", queue_name="mail", queue_job_name="send")
        def count(self) -> dict[str, str]:
            return {"to": "you"}

    with scheduler(Jobs, queue_enabled=True) as one, scheduler(Jobs, queue_enabled=True) as other:
        one.start()
        other.start()
        wait_until(lambda: len(ticks_of(connection)) >= 4)
        assert one.stop(timeout_seconds=10) == other.stop(timeout_seconds=10) == ()
        descriptor = one.jobs()[0]
        assert (descriptor.queue, descriptor.queue_job_name) == ("mail", "send")
    jobs = connection.execute(
        "select queue_name, task_name, args from upgrader_worker.procrastinate_jobs"
    ).fetchall()
    ticks = ticks_of(connection)
    assert {outcome for *_, outcome in ticks} == {"queued"}
    assert len(jobs) == len(ticks)
    assert {(queue, name, args["payload"]["to"]) for queue, name, args in jobs} == {("mail", "send", "you")}


def test_a_payload_that_no_queue_can_hold_is_a_failure(
    scheduler: Schedulers, connection: psycopg.Connection[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Of that tick alone: it is not taken for a database that is away, and not made again."""
    made_payloads: list[int] = []

    class Jobs:
        @scheduled_job(interval=5, name="strange", queue_name="mail")
        def strange(self) -> object:
            made_payloads.append(1)
            return object()

    with scheduler(Jobs, queue_enabled=True) as made:
        assert made.trigger_now("strange").outcome is TickOutcome.FAILED
        made.start()
        wait_until(lambda: len(ticks_of(connection)) >= 1)
        made.stop(timeout_seconds=5)
    ticks = ticks_of(connection)
    assert {outcome for *_, outcome in ticks} == {"failed"}
    assert len(made_payloads) == 1 + len(ticks)
    assert "could not be added to queue mail" in caplog.text
    assert "cannot use its database" not in caplog.text


def test_whoever_dies_over_a_payload_is_replaced(
    scheduler: Schedulers, connection: psycopg.Connection[Any], database_url: str, tmp_path: Path
) -> None:
    """A worker is SIGKILLed while it makes the payload of a tick: the other one makes it, and adds the job once."""
    program = """
import sys, time
from pathlib import Path
from upgrader.settings import Settings
from upgrader.worker import scheduled_job
from upgrader.worker.scheduling.opening import open_scheduler

@scheduled_job(interval=2, name="shared", queue_name="q", prevent_overlap=False)
def shared():
    Path(sys.argv[2]).write_text("at it")
    time.sleep(600)

with open_scheduler(shared, settings=Settings(database_url=sys.argv[1])) as made:
    made.start()
    time.sleep(600)
"""
    made_here: list[int] = []

    class Jobs:
        @scheduled_job(interval=2, name="shared", queue_name="q", prevent_overlap=False)
        def shared(self) -> int:
            made_here.append(1)
            return len(made_here)

    mark = tmp_path / "mark"
    dying = subprocess.Popen([sys.executable, "-c", program, database_url, str(mark)])
    try:
        wait_until(mark.exists)
        with scheduler(Jobs, queue_enabled=True) as other:
            other.start()
            wait_until(lambda: len(ticks_of(connection)) >= 1)
            dying.kill()
            wait_until(lambda: len(ticks_of(connection)) >= 3)
            other.stop(timeout_seconds=10)
    finally:
        dying.kill()
        dying.wait()
    (count,) = connection.execute("select count(*) from upgrader_worker.procrastinate_jobs").fetchone() or (
        0,
    )
    assert count == len(ticks_of(connection)) == len(made_here)
