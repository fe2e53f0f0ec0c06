"""Steps that meet a lock: who is named, how long others are held, what is counted, what ends the wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from tests.support.locks import holding, is_waiting, working
from tests.support.project import Project
from tests.support.results import attempts
from tests.support.server import wait_until
from upgrader.events import Event, StepProgress, StepRetried
from upgrader.model import Outcome
from upgrader.runner.options import UpgradeOptions
from upgrader.runner.result import RunReport
from upgrader.runner.stop import StopToken
from upgrader.testing import RecordingSink

PAUSES = {"lock_retry_initial_seconds": 0.01, "lock_retry_max_seconds": 0.05}
# The promise: nobody is held longer than the lock timeout, and this much for a busy machine.
GRACE_SECONDS = 0.5
ALTER = "alter table busy add column more int"


@pytest.fixture
def busy(project: Project) -> Project:
    with project.connect() as connection:
        connection.execute(
            "create table busy (id int primary key, note text); insert into busy values (1), (2)"
        )
    return project


def upgrade(project: Project, sink: RecordingSink | None = None, **settings: object) -> RunReport:
    """Run with short pauses."""
    api = project.api(emit=sink or RecordingSink(), **{**PAUSES, **settings})
    return api.upgrade(UpgradeOptions(include_slow=True))


def test_blocker_is_named_in_events_history_and_result(busy: Project):
    """With the table, the lock, and how to end it; tries and waits are counted."""
    busy.fast("1.0.0", 1, "Alter", ALTER)
    sink = RecordingSink()
    with holding(busy, "select note from busy") as holder:
        pid = holder.info.backend_pid
        report = upgrade(busy, sink, lock_timeout_seconds=0.4, lock_tries=3)

    (failure,) = report.failures
    assert failure.tries == 3
    assert 1.15 < failure.waited_seconds < 12
    assert 0 < failure.paused_seconds < 10
    assert [blocker.pid for blocker in failure.blockers] == [pid]
    for event in sink.of(StepRetried):
        assert [(one.pid, one.lock_mode, one.locked) for one in event.blockers] == [
            (pid, "AccessShareLock", "public.busy")
        ]
    ((text,),) = busy.query("select error_message from upgrader.history where status = 'failed'")
    assert text == failure.error
    for words in (
        f"in the way: pid {pid} (user ",
        "reporting",
        "idle in transaction for",
        "holds AccessShareLock on public.busy; last: select note from busy",
        "tried 3 times; waited 1.",
        f"hint: end it with SELECT pg_terminate_backend({pid}); or run the upgrade again",
        "SQLSTATE: 55P03",
    ):
        assert words in text
    summary = report.steps["1.0.0_Alter_1"]
    assert (summary.tries, summary.waited_seconds) == (3, failure.waited_seconds)


def test_secret_in_a_blockers_query_is_not_told(busy: Project):
    """Other people's queries are redacted like everything."""
    busy.fast("1.0.0", 1, "Alter", ALTER)
    sink = RecordingSink()
    with holding(busy, "select note from busy where note <> 'password=hunter2'"):
        report = upgrade(busy, sink, lock_timeout_seconds=0.4, lock_tries=2)
    assert "hunter2" not in str(sink.events) + str(report)
    assert "password=***" in str(sink.of(StepRetried)[0].blockers)


@pytest.mark.parametrize("held", ["select 1 from busy", "update busy set note = 'held' where id = 2"])
def test_nobody_is_held_longer_than_the_lock_timeout(busy: Project, held: str):
    """Readers and writers queue up behind waiting DDL for that long at most; the step succeeds afterwards."""
    timeout = 0.5
    busy.fast("1.0.0", 1, "Alter", ALTER)
    busy.configure(lock_timeout_seconds=timeout)
    retries: list[StepRetried] = []
    with (
        holding(busy, held) as holder,
        working(
            busy.database_url, "select count(*) from busy", "update busy set note = 'x' where id = 1"
        ) as foregrounds,
    ):
        pid = holder.info.backend_pid

        def release_after_three(event: Event) -> None:
            if isinstance(event, StepRetried):
                retries.append(event)
                if len(retries) == 3:
                    holder.rollback()

        report = busy.api(emit=release_after_three, **PAUSES).upgrade(UpgradeOptions())

    assert report.outcome is Outcome.DONE
    assert attempts(busy) == [("Alter", None, 1, "completed")]
    assert {blocker.pid for event in retries[:3] for blocker in event.blockers if not blocker.is_waiting} >= {
        pid
    }
    longest = max(seconds for one in foregrounds for seconds in one.seconds)
    assert 0.1 < longest < timeout + GRACE_SECONDS, longest  # they did queue up, and not for long


def test_command_may_be_more_patient_than_the_settings(busy: Project):
    """One try of its own longer timeout is enough; None elsewhere takes the settings."""
    busy.fast("1.0.0", 1, "Alter", ALTER, lock_timeout_seconds=60, lock_tries=1)
    with holding(busy, "select 1 from busy") as holder:

        def release() -> None:
            wait_until(lambda: is_waiting(busy, "alter table"))
            time.sleep(1.0)  # longer than the settings allow
            holder.rollback()

        thread = threading.Thread(target=release)
        thread.start()
        report = upgrade(busy, lock_timeout_seconds=0.1, lock_tries=1)
        thread.join()
    assert report.outcome is Outcome.DONE
    assert report.steps["1.0.0_Alter_1"].tries == 1
    assert report.steps["1.0.0_Alter_1"].waited_seconds > 0.1


def test_command_may_be_less_patient_than_the_settings(busy: Project):
    """Its own number of tries holds."""
    busy.fast("1.0.0", 1, "Alter", ALTER, lock_timeout_seconds=0.05, lock_tries=2)
    with holding(busy, "select 1 from busy"):
        (failure,) = upgrade(busy, lock_timeout_seconds=60).failures
    assert failure.tries == 2


def test_changed_timeout_is_no_changed_command(busy: Project):
    """A completed command stays completed: the checksum is that of before."""
    busy.fast("1.0.0", 1, "Alter", ALTER)
    assert upgrade(busy).completed == 1
    ((before,),) = busy.query("select checksum from upgrader.history where not is_initial")
    busy.fast("1.0.0", 1, "Alter", ALTER, lock_timeout_seconds=9, lock_tries=2)
    (step,) = busy.api().registry.sequence
    assert step.checksum == before


def test_real_deadlock_is_repeated(busy: Project):
    """Two sessions take two tables in opposite order: the server ends the step's transaction, which is repeated.

    step      lock other ---------------- lock busy: closes the circle, and is ended
    opponent             lock other: waits
    """
    busy.fast(
        "1.0.0",
        1,
        "Both",
        """
        connection.execute(text("set local deadlock_timeout = '100ms'"))
        connection.execute(text("lock table other"))
        state = text(
            "select state from pg_stat_activity"
            " where application_name = 'opponent' and datname = current_database()"
        )
        while connection.execute(state).scalar() == "idle in transaction":
            connection.execute(text("select pg_stat_clear_snapshot(), pg_sleep(0.01)"))
        connection.execute(text("lock table busy"))
        """,
    )
    with busy.connect() as connection:
        connection.execute("create table other (id int)")
    sink = RecordingSink()
    with psycopg.connect(busy.database_url, application_name="opponent") as opponent:
        opponent.execute("set deadlock_timeout = '60s'")  # it is the step's session that finds the circle
        opponent.execute("lock table busy")

        def cross() -> None:
            locked = "select from pg_locks where relation = 'other'::regclass and granted"
            wait_until(lambda: bool(busy.query(locked)))
            opponent.execute("lock table other")
            opponent.commit()

        thread = threading.Thread(target=cross)
        thread.start()
        report = upgrade(busy, sink, lock_timeout_seconds=30)
        thread.join()
    assert report.outcome is Outcome.DONE
    assert [event.reason for event in sink.of(StepRetried)] == ["deadlock"]
    assert attempts(busy) == [("Both", None, 1, "completed")]


def test_real_serialization_failure_is_repeated(busy: Project):
    """Somebody changes a row between the step's snapshot and its update."""
    busy.fast(
        "1.0.0",
        1,
        "Count",
        """
        connection.execute(text("select * from busy")).all()
        connection.execute(text("select nextval('tries'), pg_advisory_xact_lock(77)"))
        connection.execute(text("update busy set note = coalesce(note, '') || 'step'"))
        """,
    )
    with busy.connect() as connection:
        connection.execute("create sequence tries")
        connection.execute(
            f"alter database {connection.info.dbname} set default_transaction_isolation = 'repeatable read'"
        )
    sink = RecordingSink()
    with psycopg.connect(busy.database_url) as other:
        other.execute("select pg_advisory_lock(77)")
        other.commit()

        def interfere() -> None:
            wait_until(lambda: is_waiting(busy, "pg_advisory_xact_lock"))
            other.execute("update busy set note = 'other '")
            other.commit()
            other.execute("select pg_advisory_unlock(77)")
            other.commit()

        thread = threading.Thread(target=interfere)
        thread.start()
        report = upgrade(busy, sink, lock_timeout_seconds=30)
        thread.join()
    assert report.outcome is Outcome.DONE
    assert [event.reason for event in sink.of(StepRetried)] == ["serialization failure"]
    assert busy.query("select distinct note from busy") == [("other step",)]


def test_stop_while_waiting_for_a_lock(busy: Project):
    """The wait is ended at once: nothing was done yet; the attempt is interrupted, not failed."""
    busy.fast("1.0.0", 1, "Alter", ALTER, lock_timeout_seconds=120)
    stop = StopToken()
    with holding(busy, "select 1 from busy"):

        def ask() -> None:
            wait_until(lambda: is_waiting(busy, "alter table"))
            stop.request("SIGINT")

        thread = threading.Thread(target=ask)
        thread.start()
        began = time.monotonic()
        report = busy.api(stop=stop).upgrade(UpgradeOptions())
        thread.join()
        assert time.monotonic() - began < 30
    assert report.outcome is Outcome.INTERRUPTED
    assert attempts(busy) == [("Alter", None, 1, "interrupted")]
    assert upgrade(busy).completed == 1


def test_stop_during_the_pause_between_two_tries(busy: Project):
    """The pause is left at once."""
    busy.fast("1.0.0", 1, "Alter", ALTER)
    stop = StopToken()

    def ask(event: Event) -> None:
        if isinstance(event, StepRetried):
            stop.request("SIGTERM")

    with holding(busy, "select 1 from busy"):
        api = busy.api(
            emit=ask,
            stop=stop,
            lock_timeout_seconds=0.05,
            lock_retry_initial_seconds=600,
            lock_retry_max_seconds=600,
        )
        report = api.upgrade(UpgradeOptions())
    assert report.outcome is Outcome.INTERRUPTED
    assert [status for *_, status in attempts(busy)] == ["interrupted"]


def test_data_migration_waits_and_tells_for_whom(busy: Project):
    """It has no lock timeout unless its command asks for one; the wait is told while it lasts."""
    update = (
        "with ctx.transaction() as connection:\n    connection.execute(text(\"update busy set note = 'm'\"))"
    )
    busy.slow("1.0.0", 1, "Fill", migrate=update)
    with holding(busy, "update busy set note = 'held'") as holder:
        pid, seen = holder.info.backend_pid, []

        def release(event: Event) -> None:
            if isinstance(event, StepProgress):
                seen.append(event)
                holder.rollback()

        api = busy.api(emit=release, lock_timeout_seconds=0.05)
        report = api.upgrade(UpgradeOptions(include_slow=True))
    assert report.outcome is Outcome.DONE
    assert seen[0].wait.blockers[0].pid == pid
    assert seen[0].wait.locked == "a row of public.busy"


def test_data_migration_that_asks_for_a_lock_timeout(busy: Project):
    """It fails and is not repeated within the attempt; the next run begins it again."""
    update = (
        "with ctx.transaction() as connection:\n    connection.execute(text(\"update busy set note = 'm'\"))"
    )
    busy.slow("1.0.0", 1, "Fill", migrate=update, lock_timeout_seconds=0.3)
    with holding(busy, "update busy set note = 'held'") as holder:
        pid = holder.info.backend_pid
        (failure,) = upgrade(busy).failures
    assert failure.tries == 1
    assert "LockNotAvailable" in str(failure.error)
    assert f"in the way: pid {pid}" in str(failure.error)
    assert upgrade(busy).completed == 1


def test_dry_run_uses_the_same_timeouts_and_names_the_blocker(busy: Project):
    """The command's own lock timeout holds there too."""
    busy.fast("1.0.0", 1, "Alter", ALTER, lock_timeout_seconds=0.4)
    with holding(busy, "select 1 from busy") as holder:
        pid = holder.info.backend_pid
        report = busy.api(lock_timeout_seconds=60).upgrade(UpgradeOptions(dry_run=True))
    (failure,) = report.failures
    assert f"in the way: pid {pid}" in str(failure.error)
    assert "SQLSTATE: 55P03" in str(failure.error)


@contextmanager
def as_narrow_role(project: Project) -> Iterator[str]:
    """Give the URL of a role with three connections that owns the table `busy`."""
    with project.connect() as connection:
        connection.execute("create role narrow login connection limit 3")
        connection.execute("grant all on database " + connection.info.dbname + " to narrow")
        connection.execute("alter table busy owner to narrow")
    try:
        yield project.database_url + ("&" if "://" in project.database_url else " ") + "user=narrow"
    finally:
        with project.connect() as connection:
            connection.execute(
                "reassign owned by narrow to current_user; drop owned by narrow; drop role narrow"
            )


def test_looking_takes_no_connection_of_its_own(busy: Project):
    """Three are enough for a run that says who is in the way."""
    busy.fast("1.0.0", 1, "Alter", ALTER, lock_timeout_seconds=0.4, lock_tries=1)
    with as_narrow_role(busy) as url, holding(busy, "select 1 from busy") as holder:
        (failure,) = upgrade(busy, database_url=url).failures
        assert f"in the way: pid {holder.info.backend_pid}" in str(failure.error)


def test_nothing_can_be_seen_where_it_may_not_be_asked_for(busy: Project):
    """The step is tried all the same, and the failure says why nobody is named."""
    busy.fast("1.0.0", 1, "Alter", ALTER, lock_timeout_seconds=0.4, lock_tries=1)
    with busy.connect() as connection:
        connection.execute("revoke execute on function pg_blocking_pids(int) from public")
    with as_narrow_role(busy) as url, holding(busy, "select 1 from busy"):
        (failure,) = upgrade(busy, database_url=url).failures
    assert "SQLSTATE: 55P03" in str(failure.error)
    assert "who was in the way could not be seen: permission denied" in str(failure.error)
