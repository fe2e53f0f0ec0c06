"""Steps outside a transaction: their own clock, their progress, and what they may not leave behind."""

from __future__ import annotations

import threading
from collections.abc import Callable

import psycopg
import pytest

from tests.support.locks import holding, is_waiting, working
from tests.support.project import Project
from tests.support.results import attempts
from upgrader.events import Event, StepProgress, StepStarted
from upgrader.model import Outcome
from upgrader.runner.options import UpgradeOptions
from upgrader.runner.result import RunReport
from upgrader.testing import RecordingSink

GRACE_SECONDS = 0.5
HELPER = 'create_index_concurrently(connection, "busy_note", table="busy", columns="note")'


@pytest.fixture
def busy(project: Project) -> Project:
    with project.connect() as connection:
        connection.execute("create table busy (id int primary key, note text)")
        connection.execute("insert into busy select n, 'x' from generate_series(1, 1000) n")
    return project


def upgrade(project: Project, sink: RecordingSink | None = None, **settings: object) -> RunReport:
    return project.api(emit=sink or RecordingSink(), **settings).upgrade(UpgradeOptions())


def indexes(project: Project) -> dict[str, bool]:
    return dict(
        project.query(
            "select indexrelid::regclass::text, indisvalid from pg_index"
            " where indrelid = 'busy'::regclass and not indisprimary"
        )
    )


def test_concurrent_index_waits_for_old_transactions_and_says_for_whom(busy: Project):
    """Longer than any lock timeout, without being ended: nobody waits behind it. Writers go on meanwhile."""
    busy.fast("1.0.0", 1, "Index", HELPER, transactional=False)
    seen: list[StepProgress] = []
    with (
        holding(busy, "update busy set note = 'held' where id = 1") as holder,
        working(busy.database_url, "update busy set note = 'y' where id = 2") as (writer,),
    ):
        pid = holder.info.backend_pid

        def release_after_two(event: Event) -> None:
            if isinstance(event, StepProgress) and event.wait is not None:
                seen.append(event)
                if len(seen) == 2:
                    holder.rollback()

        report = busy.api(emit=release_after_two, lock_timeout_seconds=0.1).upgrade(UpgradeOptions())
    assert report.outcome is Outcome.DONE
    assert indexes(busy) == {"busy_note": True}
    first, second = seen[:2]
    assert first.index is not None
    assert first.index.phase == "waiting for writers before build"
    assert (first.index.lockers_done, first.index.lockers_total) == (0, 1)
    assert first.wait is not None
    assert [(one.pid, one.application_name) for one in first.wait.blockers] == [(pid, "reporting")]
    assert 0.9 < second.seconds - first.seconds < 30  # once a second, or seldomer where the machine is busy
    assert report.steps["1.0.0_Index_1"].waited_seconds > 0.5
    assert max(writer.seconds) < GRACE_SECONDS


def test_concurrent_index_may_be_given_a_limit(busy: Project):
    """It is ended then, says for whom it waited, and the next run mends what was left."""
    busy.fast("1.0.0", 1, "Index", HELPER, transactional=False, concurrent_wait_seconds=0.5)
    with holding(busy, "update busy set note = 'held' where id = 1") as holder:
        pid = holder.info.backend_pid
        (failure,) = upgrade(busy).failures
    text = str(failure.error)
    assert (
        "of waiting for the end of a transaction: that is how long it may wait (concurrent_wait_seconds)"
        in text
    )
    assert f"in the way: pid {pid}" in text
    assert "left behind: the invalid index public.busy_note" in text
    assert f"hint: end it with SELECT pg_terminate_backend({pid})" in text
    assert indexes(busy) == {"busy_note": False}
    assert upgrade(busy).completed == 1
    assert indexes(busy) == {"busy_note": True}


def test_wait_that_holds_others_is_ended(busy: Project):
    """Plain DDL outside a transaction has no lock timeout of the server's, and stops nobody all the same."""
    timeout = 0.5
    busy.fast("1.0.0", 1, "Alter", "alter table busy add column more int", transactional=False)
    with (
        holding(busy, "select 1 from busy") as holder,
        working(busy.database_url, "select count(*) from busy") as (reader,),
    ):
        pid = holder.info.backend_pid
        (failure,) = upgrade(busy, lock_timeout_seconds=timeout).failures
    assert "others queue up behind it for as long as it waits" in str(failure.error)
    assert "AccessExclusiveLock on public.busy" in str(failure.error)
    assert f"in the way: pid {pid}" in str(failure.error)
    assert 0.1 < max(reader.seconds) < timeout + GRACE_SECONDS
    assert upgrade(busy).completed == 1


def test_statement_timeout_of_the_settings_is_not_for_indexes(busy: Project):
    """It would leave an invalid index; a command asks for one itself."""
    sleepy = f"{HELPER}\nconnection.execute(text('select pg_sleep(0.4)'))"
    busy.fast("1.0.0", 1, "Index", sleepy, transactional=False)
    assert upgrade(busy, statement_timeout_seconds=0.2).completed == 1
    busy.fast("1.1.0", 2, "Own", "select pg_sleep(0.4)", transactional=False, statement_timeout_seconds=0.2)
    (failure,) = upgrade(busy).failures
    assert "a statement took longer than 0.2 s" in str(failure.error)


def test_invalid_index_of_raw_sql_fails_the_step(busy: Project):
    """A completed step with an invalid index would be a lie; the index is left alone."""
    body = """
    try:
        connection.execute(text("create unique index concurrently busy_note on busy (note)"))
    except Exception:
        pass
    """
    busy.fast("1.0.0", 1, "Swallow", body, transactional=False)
    (failure,) = upgrade(busy).failures
    assert "the command left an invalid index: public.busy_note" in str(failure.error)
    assert "hint: DROP INDEX CONCURRENTLY public.busy_note" in str(failure.error)
    assert indexes(busy) == {"busy_note": False}
    assert attempts(busy) == [("Swallow", None, 1, "failed")]


def test_failed_step_names_the_index_that_it_left(busy: Project):
    """Also where the command lets its error through."""
    busy.fast(
        "1.0.0", 1, "Unique", "create unique index concurrently busy_note on busy (note)", transactional=False
    )
    (failure,) = upgrade(busy).failures
    assert "UniqueViolation" in str(failure.error)
    assert "left behind: the invalid index public.busy_note" in str(failure.error)
    assert "else: DROP INDEX CONCURRENTLY public.busy_note;" in str(failure.error)


def test_invalid_index_of_before_is_not_blamed_on_the_step(busy: Project):
    """Nor one of a partitioned table, which is invalid until each partition has one."""
    with busy.connect() as connection, pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute("create unique index concurrently old on busy (note)")
    with busy.connect() as connection:
        connection.execute("create table parted (id int) partition by range (id)")
        connection.execute("create table parted_1 partition of parted for values from (0) to (10)")
    body = f'{HELPER}\nconnection.execute(text("create index parted_id on only parted (id)"))'
    busy.fast("1.0.0", 1, "Index", body, transactional=False)
    assert upgrade(busy).failures == []
    assert indexes(busy) == {"old": False, "busy_note": True}


def test_index_that_somebody_is_building_is_not_blamed_on_the_step(busy: Project):
    """It is invalid only until it is built."""
    with busy.connect() as connection:
        connection.execute("create table other (id int)")
        connection.execute("insert into other values (1)")
    # The command itself waits until the other session builds: that index is not there when the step begins.
    body = """
    import time
    waits = "select from pg_stat_activity where wait_event_type = 'Lock' and query like 'create index%other_id%'"
    while not connection.execute(text(waits)).all():
        time.sleep(0.02)
    """
    busy.fast("1.0.0", 1, "Look", body, transactional=False)
    with holding(busy, "update other set id = 2") as holder, busy.connect() as builder:
        create = b"create index concurrently other_id on other (id)"
        thread = threading.Thread(target=lambda: builder.execute(create))

        def begin(event: Event) -> None:
            if isinstance(event, StepStarted):
                thread.start()

        report = busy.api(emit=begin).upgrade(UpgradeOptions())
        assert is_waiting(busy, "other_id")
        holder.rollback()
        thread.join(60)
    assert report.failures == []


def test_foreign_leftover_is_never_dropped_however_often_the_step_is_tried(busy: Project):
    """Only what the helper began itself is dropped by it."""
    with busy.connect() as connection, pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute("create unique index concurrently busy_note on busy (note)")
    ((oid,),) = busy.query("select 'busy_note'::regclass::oid")
    busy.fast("1.0.0", 1, "Index", HELPER, transactional=False)
    for attempt in (1, 2, 3):
        (failure,) = upgrade(busy).failures
        assert failure.attempt == attempt
        assert "and not by an unfinished attempt of this step" in str(failure.error)
    assert busy.query("select 'busy_note'::regclass::oid") == [(oid,)]
    with busy.connect() as connection:
        connection.execute("drop index concurrently busy_note")
    assert upgrade(busy).completed == 1


def test_progress_of_a_long_build(busy: Project):
    """Phases with percent, in order, from a build that takes a moment."""
    busy.fast(
        "1.0.0",
        1,
        "Index",
        "connection.execute(text(\"set maintenance_work_mem = '1MB'\"))\n"
        + HELPER.replace('"note"', '"(slowly(id))"'),
        transactional=False,
    )
    with busy.connect() as connection:
        connection.execute(
            "create function slowly(int) returns int language plpgsql immutable as"
            " $$ begin perform pg_sleep(0.003); return $1; end $$"
        )
    sink = RecordingSink()
    assert upgrade(busy, sink).failures == []
    seen = [event.index for event in sink.of(StepProgress) if event.index is not None]
    assert any(index.phase.startswith("building index") for index in seen)
    assert all(index.percent is None or 0 < index.percent < 100 for index in seen)


MAY_STUMBLE = f"""
    if connection.execute(text("select stumbles from switch")).scalar():
        raise RuntimeError("stumbled")
    {HELPER.replace(")", ", unique=True)")}
    """


@pytest.fixture
def switch(busy: Project) -> Callable[[bool], None]:
    """Say whether the command that may stumble does so, before it comes to its index."""
    with busy.connect() as connection:
        connection.execute("create table switch as select true as stumbles")
    busy.fast("1.0.0", 1, "Index", MAY_STUMBLE, transactional=False)

    def turn(stumbles: bool) -> None:
        with busy.connect() as connection:
            connection.execute("update switch set stumbles = %s", [stumbles])

    return turn


def oid_of_index(project: Project) -> int:
    ((oid,),) = project.query("select 'busy_note'::regclass::oid::bigint")
    return int(oid)


def build_in_vain(project: Project) -> int:
    """Leave an invalid index, as an administrator who was interrupted."""
    with project.connect() as connection, pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute("create unique index concurrently busy_note on busy (note)")
    return oid_of_index(project)


@pytest.mark.parametrize("stumbling", [(True, False), (False, True, False), (True, True, False, False)])
def test_foreign_invalid_index_is_never_dropped(
    busy: Project, switch: Callable[[bool], None], stumbling: tuple[bool, ...]
):
    """However many attempts failed meanwhile, and whether they came to the index or not."""
    oid = build_in_vain(busy)
    for stumbles in stumbling:
        switch(stumbles)
        (failure,) = upgrade(busy).failures
        reason = "stumbled" if stumbles else "and not by an unfinished attempt of this step"
        assert reason in str(failure.error)
    assert oid_of_index(busy) == oid


def test_foreign_invalid_index_between_two_attempts_is_not_dropped(
    busy: Project, switch: Callable[[bool], None]
):
    """The attempt before tells that it has left none."""
    switch(True)
    assert upgrade(busy).failures
    oid = build_in_vain(busy)
    switch(False)
    (failure,) = upgrade(busy).failures
    assert "and not by an unfinished attempt of this step" in str(failure.error)
    assert oid_of_index(busy) == oid


def test_own_invalid_index_is_mended_after_more_failures(busy: Project, switch: Callable[[bool], None]):
    """What an attempt has left is its own also when the next one did not come to it."""
    switch(False)
    assert "left behind: the invalid index public.busy_note" in str(upgrade(busy).failures[0].error)
    switch(True)
    assert upgrade(busy).failures
    switch(False)
    with busy.connect() as connection:
        connection.execute("update busy set note = id")
    assert upgrade(busy).failures == []
    assert indexes(busy) == {"busy_note": True}


def test_invalid_index_of_a_killed_attempt_is_mended(busy: Project, switch: Callable[[bool], None]):
    """A killed attempt tells nothing of what it left: what shows up after it may be its own."""
    switch(True)
    assert upgrade(busy).failures
    with busy.connect() as connection:
        connection.execute(
            "update upgrader.history set status = 'running', error_message = null where status = 'failed'"
        )
    build_in_vain(busy)
    with busy.connect() as connection:
        connection.execute("update busy set note = id")
    switch(False)
    assert upgrade(busy).failures == []
    assert indexes(busy) == {"busy_note": True}
