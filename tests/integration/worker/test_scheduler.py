"""The scheduler as an object: runs, retries, overlap, timeouts, ticks that are claimed once."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.server import wait_until
from upgrader.errors import LoadingError
from upgrader.settings import Settings
from upgrader.worker import current_job, scheduled_job
from upgrader.worker.scheduling.job_run import UnknownJobError
from upgrader.worker.scheduling.jobs import DiscoveredScheduledJob
from upgrader.worker.scheduling.opening import open_scheduler
from upgrader.worker.scheduling.scheduler import Scheduler
from upgrader.worker.scheduling.session_locks import SessionLocks, lock_key
from upgrader.worker.scheduling.ticks import TickOutcome
from upgrader.worker.scheduling.timed import ChildFailedError, JobTimeoutError

Schedulers = Callable[..., Any]


@pytest.fixture
def scheduler(database_url: str) -> Schedulers:
    """Gives a scheduler of classes and functions on the test's database."""

    @contextmanager
    def opened(*targets: Any, queue_enabled: bool = False, **worker: Any) -> Iterator[Scheduler]:
        settings = Settings.model_validate(
            {"database_url": database_url, "worker": {"queue_enabled": queue_enabled, **worker}}
        )
        with open_scheduler(*targets, settings=settings) as made:
            yield made

    return opened


def _ticks(connection: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    return connection.execute(
        "select name, due, worker, outcome from upgrader_worker.tick order by name, due"
    ).fetchall()


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

    with scheduler(Jobs) as made:
        nightly, often, off = made.jobs()
        assert (nightly.description, nightly.schedule) == ("nightly", "cron 0 0 3 * * * (UTC)")
        assert (nightly.provider, nightly.method, nightly.timezone) == ("Jobs", "nightly", "UTC")
        assert (often.schedule, often.retries, often.retry_delay_seconds) == ("every 120 s", 2, 3.0)
        assert (often.timeout_seconds, often.max_random_delay_seconds) == (9.0, 4.0)
        assert (off.enabled, off.prevent_overlap, off.next_run) == (False, False, None)
        due = made.next_runs()
        now = datetime.now(UTC)
        assert due["Jobs.nightly"] is not None
        assert (due["Jobs.nightly"].hour, due["Jobs.nightly"] > now) == (3, True)
        assert now < (due["Jobs.often"] or now) <= now + timedelta(minutes=2)
        assert due["Jobs.off"] is None


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
    rows = _ticks(connection)
    assert {(name, outcome) for name, _, _, outcome in rows} == {("Jobs.often", "done"), ("secondly", "done")}
    assert len([row for row in rows if row[0] == "Jobs.often"]) == seen.count("often")
    assert all(due.microsecond == 0 for name, due, _, _ in rows if name == "secondly")


def test_runs_are_put_off_by_chance(scheduler: Schedulers, connection: psycopg.Connection[Any]) -> None:
    """Each for a time of its own, no longer than is allowed; that all of them had none is one chance in millions."""
    ran: list[datetime] = []

    class Jobs:
        @scheduled_job(interval=0.5, max_random_delay=0.4, prevent_overlap=False)
        def often(self) -> None:
            ran.append(datetime.now(UTC))

    with scheduler(Jobs) as made:
        made.start()
        wait_until(lambda: len(ran) >= 8)
        made.stop(timeout_seconds=5)
    due = [row[1] for row in _ticks(connection)]
    late = [(moment - max(one for one in due if one <= moment)).total_seconds() for moment in ran]
    assert max(late) > 0.1
    assert max(late) - min(late) > 0.05


def test_it_runs_on_start(scheduler: Schedulers) -> None:
    """Once, whatever its schedule."""
    started = threading.Event()

    class Jobs:
        @scheduled_job(cron="0 0 1 1 *", run_on_start=True)
        def announce(self) -> None:
            started.set()

    with scheduler(Jobs) as made:
        made.start()
        assert started.wait(10)


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
        wait_until(lambda: [row[3] for row in _ticks(connection)].count("skipped") >= 5)
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
        wait_until(lambda: len(_ticks(connection)) >= 8)
        made.stop(timeout_seconds=10)
    delays = connection.execute(
        "select extract(epoch from claimed_at - due)::float8 from upgrader_worker.tick"
    ).fetchall()
    assert max(delays)[0] - min(delays)[0] > 0.1
    assert max(delays)[0] > 0.5


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
        wait_until(lambda: "failed" in [row[3] for row in _ticks(connection)])
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
    due = [row[1] for row in _ticks(connection)]
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
    assert [row[1] for row in _ticks(connection)][1:] in ([latest], [latest + timedelta(seconds=120)])


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
        assert made._ticks.prune() == 1
    assert [(name, due.day) for name, due, _, _ in _ticks(connection)] == [("a", 2), ("b", 1)]


TIMED = """
import os, subprocess, sys, time, logging
from upgrader.worker import current_job, scheduled_job

class Refused(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} {two}")

class Timed:
    @scheduled_job(timeout=30, description="in a child")
    def quick(self):
        logging.getLogger("mine").warning("logged %s", 1, extra={"order": 7})
        print("printed")
        return {"pid": os.getpid(), "job": current_job().name, "group": os.getpgid(0)}

    @scheduled_job(timeout=0.5)
    def hangs(self):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        with open("pids", "w") as file:
            file.write(f"{os.getpid()} {child.pid}")
        while True:
            pass

    @scheduled_job(timeout=30)
    def raises(self):
        raise KeyError("missing")

    @scheduled_job(timeout=30)
    def raises_strangely(self):
        raise Refused(1, 2)

    @scheduled_job(timeout=30)
    def dies(self):
        os.kill(os.getpid(), 9)

    @scheduled_job(timeout=500)
    def goes_on(self):
        with open("going", "w") as file:
            file.write(str(os.getpid()))
        while True:
            pass

    @scheduled_job(timeout=0.3)
    async def sleeps(self):
        import asyncio
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            open("cancelled", "w").close()
            raise
"""


@pytest.fixture
def timed(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Scheduler, dict[str, DiscoveredScheduledJob]]]:
    """A scheduler of jobs with timeouts, loaded from a directory as a worker does."""
    from upgrader.worker.discovery import discover
    from upgrader.worker.ground import open_ground
    from upgrader.worker.scheduling.jobs import resolve
    from upgrader.worker.scheduling.opening import scheduler_on

    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "timed.py").write_text(TIMED, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    found = discover(["jobs"], base=tmp_path)
    settings = Settings.model_validate({"database_url": database_url, "worker": {"queue_enabled": False}})
    with open_ground(settings) as ground, scheduler_on(ground, resolve(found.jobs)) as made:
        yield made, {job.name: job for job in found.jobs}


def test_a_job_with_a_timeout_runs_in_a_child(
    timed: tuple[Scheduler, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Its result comes back, and what it logs and prints; it has a process group of its own."""
    caplog.set_level("INFO")
    run = timed[0].trigger_now("Timed.quick")
    assert run.error is None
    assert run.result["pid"] != os.getpid()
    assert run.result["job"] == "Timed.quick"
    assert run.result["group"] == run.result["pid"]
    told = [(record.name, record.getMessage()) for record in caplog.records]
    assert ("mine", "logged 1") in told
    assert ("upgrader.worker.output", "printed") in told
    assert next(record for record in caplog.records if record.name == "mine").__dict__["order"] == 7


def test_a_timeout_really_ends_it(timed: tuple[Scheduler, Any], tmp_path: Path) -> None:
    """A busy loop, and the process that it has started: both are gone."""
    started = time.monotonic()
    run = timed[0].trigger_now("Timed.hangs")
    assert isinstance(run.error, JobTimeoutError)
    assert time.monotonic() - started < 20
    pids = (tmp_path / "pids").read_text().split()
    wait_until(lambda: not any(_is_running(int(pid)) for pid in pids))


def test_a_coroutine_is_cancelled_at_its_timeout(timed: tuple[Scheduler, Any], tmp_path: Path) -> None:
    run = timed[0].trigger_now("Timed.sleeps")
    assert isinstance(run.error, JobTimeoutError)
    assert (tmp_path / "cancelled").exists()


def test_what_is_raised_in_a_child_comes_back(timed: tuple[Scheduler, Any]) -> None:
    """As it is, or as text where it cannot be pickled; a death is told, too."""
    run = timed[0].trigger_now("Timed.raises")
    assert repr(run.error) == "KeyError('missing')"
    assert "in raises" in "".join(getattr(run.error, "__notes__", []))
    strange = timed[0].trigger_now("Timed.raises_strangely")
    assert isinstance(strange.error, ChildFailedError)
    assert str(strange.error) == "Refused: 1 2"
    dead = timed[0].trigger_now("Timed.dies")
    assert "SIGKILL" in str(dead.error)


def test_a_timeout_that_could_end_nothing_is_refused(scheduler: Schedulers) -> None:
    """A class within a function: the child process could not find it. A coroutine needs no child."""

    class Local:
        @scheduled_job(timeout=5)
        def local(self) -> None: ...

    class Cancellable:
        @scheduled_job(timeout=5)
        async def local(self) -> str:
            return "ran"

    with pytest.raises(LoadingError) as raised, scheduler(Local):
        pass
    assert "cannot find it" in raised.value.problems[0].message
    with scheduler(Cancellable) as made:
        assert made.trigger_now("Cancellable.local").result == "ran"


def test_a_child_ends_with_its_worker(tmp_path: Path, database_url: str) -> None:
    """A worker is SIGKILLed while a job runs in its child: the child is not left behind."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "timed.py").write_text(TIMED.replace("timeout=0.5", "timeout=500"), encoding="utf-8")
    program = """
import sys
from pathlib import Path
from upgrader.settings import Settings
from upgrader.worker.discovery import discover
from upgrader.worker.ground import open_ground
from upgrader.worker.scheduling.opening import scheduler_on
from upgrader.worker.scheduling.jobs import resolve
settings = Settings.model_validate({"database_url": sys.argv[1], "worker": {"queue_enabled": False}})
jobs = resolve(discover(["jobs"], base=Path.cwd()).jobs)
with open_ground(settings) as ground, scheduler_on(ground, jobs) as made:
    made.trigger_now("Timed.hangs")
"""
    worker = subprocess.Popen([sys.executable, "-c", program, database_url], cwd=tmp_path)
    try:
        wait_until(lambda: (tmp_path / "pids").exists() and (tmp_path / "pids").read_text() != "")
    finally:
        worker.kill()
        worker.wait()
    pids = (tmp_path / "pids").read_text().split()
    wait_until(lambda: not any(_is_running(int(pid)) for pid in pids))


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
        wait_until(lambda: len(_ticks(connection)) >= 4)
        assert one.stop(timeout_seconds=10) == other.stop(timeout_seconds=10) == ()
        descriptor = one.jobs()[0]
        assert (descriptor.queue, descriptor.queue_job_name) == ("mail", "send")
    jobs = connection.execute(
        "select queue_name, task_name, args from upgrader_worker.procrastinate_jobs"
    ).fetchall()
    ticks = _ticks(connection)
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
        wait_until(lambda: len(_ticks(connection)) >= 1)
        made.stop(timeout_seconds=5)
    ticks = _ticks(connection)
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
            wait_until(lambda: len(_ticks(connection)) >= 1)
            dying.kill()
            wait_until(lambda: len(_ticks(connection)) >= 3)
            other.stop(timeout_seconds=10)
    finally:
        dying.kill()
        dying.wait()
    (count,) = connection.execute("select count(*) from upgrader_worker.procrastinate_jobs").fetchone() or (
        0,
    )
    assert count == len(_ticks(connection)) == len(made_here)


def test_it_lives_through_a_database_that_goes_away(
    scheduler: Schedulers, connection: psycopg.Connection[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """All its connections are ended and none is let in for a while: it says so once, and goes on afterwards."""
    runs: list[float] = []

    class Jobs:
        @scheduled_job(interval=0.3)
        def often(self) -> None:
            runs.append(time.monotonic())

    name = connection.info.dbname
    with (
        psycopg.connect(connection.info.dsn, dbname="postgres", autocommit=True) as admin,
        scheduler(Jobs) as made,
    ):
        made.start()
        wait_until(lambda: len(runs) >= 2)
        admin.execute(f'alter database "{name}" allow_connections false'.encode())
        admin.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = %s", [name]
        )
        wait_until(lambda: "cannot use its database" in caplog.text)
        before = len(runs)
        admin.execute(f'alter database "{name}" allow_connections true'.encode())
        wait_until(lambda: len(runs) >= before + 3)
        assert made.stop(timeout_seconds=10) == ()
    assert caplog.text.count("cannot use its database") <= 3


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


def test_stopping_ends_what_does_not(timed: tuple[Scheduler, Any], tmp_path: Path) -> None:
    """A child that goes on past the time is killed, and named; nothing is left of it."""
    made = timed[0]
    runs: list[Any] = []
    made._spawn("Timed.goes_on", lambda: runs.append(made.trigger_now("Timed.goes_on")))
    wait_until(lambda: (tmp_path / "going").exists() and (tmp_path / "going").read_text() != "")
    assert made.stop(timeout_seconds=0.2) == ("Timed.goes_on",)
    assert not _is_running(int((tmp_path / "going").read_text()))
    assert "SIGKILL" in str(runs[0].error)


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
