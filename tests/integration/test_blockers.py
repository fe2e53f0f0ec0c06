"""Who is in the way of a session that waits for a lock, as another connection sees it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg
import pytest

from tests.support.locks import holding
from tests.support.project import Project
from tests.support.server import Role, wait_until
from upgrader.database.blockers import cancel_wait, find_wait
from upgrader.model import Blocker, LockWait
from upgrader.redaction import Redactor


@pytest.fixture
def busy(project: Project) -> Project:
    with project.connect() as connection:
        connection.execute(
            "create table busy (id int primary key, note text); insert into busy values (1), (2)"
        )
    return project


@contextmanager
def waiting(url: str, statement: str) -> Iterator[int]:
    """Execute a statement in another session, which waits for a lock by the time the block begins; give its pid."""
    with (
        psycopg.connect(url, autocommit=True) as connection,
        psycopg.connect(url, autocommit=True) as observer,
    ):

        def execute() -> None:
            with suppress(psycopg.Error):
                connection.execute(statement.encode())

        thread = threading.Thread(target=execute)
        thread.start()
        pid = connection.info.backend_pid
        wait_until(lambda: find_wait(observer, pid) is not None)
        try:
            yield pid
        finally:
            observer.execute("select pg_cancel_backend(%s)", [pid])
            thread.join(60)


def seen(project: Project, pid: int) -> LockWait:
    with project.connect() as observer:
        found = find_wait(observer, pid)
    assert found is not None
    return found


def only(wait: LockWait) -> Blocker:
    (blocker,) = wait.blockers
    return blocker


def test_reader_in_the_way_of_ddl(busy: Project):
    """Everything that an operator needs: pid, user, program, state, age, query, lock and table."""
    with (
        holding(busy, "select note from busy") as holder,
        waiting(busy.database_url, "alter table busy add x int") as pid,
    ):
        wait = seen(busy, pid)
        blocker = only(wait)
        assert (wait.lock_mode, wait.locked) == ("AccessExclusiveLock", "public.busy")
        assert wait.keeps_others_waiting
        assert wait.seconds >= 0
        assert blocker.pid == holder.info.backend_pid
        assert (blocker.user, blocker.application_name) == (holder.info.user, "reporting")
        assert (blocker.state, blocker.query) == ("idle in transaction", "select note from busy")
        assert (blocker.lock_mode, blocker.locked) == ("AccessShareLock", "public.busy")
        assert blocker.transaction_seconds is not None
        assert 0 < blocker.transaction_seconds < 60
        assert not blocker.is_waiting
        assert blocker.remedy == f"end it with SELECT pg_terminate_backend({holder.info.backend_pid})"


def test_strongest_lock_is_named(busy: Project):
    """A session may hold several on one table."""
    with (
        holding(busy, "select 1 from busy", "lock busy in share mode"),
        waiting(busy.database_url, "update busy set note = 'x'") as pid,
    ):
        assert only(seen(busy, pid)).lock_mode == "ShareLock"


def test_row_of_a_table(busy: Project):
    """Who waits for a row waits for a transaction; the table is named all the same."""
    with (
        holding(busy, "update busy set note = 'x' where id = 1") as holder,
        waiting(busy.database_url, "update busy set note = 'y' where id = 1") as pid,
    ):
        wait = seen(busy, pid)
        assert wait.locked == "a row of public.busy"
        assert not wait.keeps_others_waiting
        assert (only(wait).pid, only(wait).locked) == (holder.info.backend_pid, "a row of public.busy")


def test_concurrent_index_waits_for_a_transaction(busy: Project):
    """Nobody queues up behind that."""
    with (
        holding(busy, "update busy set note = 'x' where id = 1") as holder,
        waiting(busy.database_url, "create index concurrently on busy (note)") as pid,
    ):
        wait = seen(busy, pid)
        assert wait.locked == "the end of a transaction"
        assert not wait.keeps_others_waiting
        assert only(wait).pid == holder.info.backend_pid
        assert "whose transaction has to end" in only(wait).text


def test_head_of_the_queue_is_named_first(busy: Project):
    """A reader is blocked by DDL, which waits for a transaction: that one is the cause."""
    with (
        holding(busy, "select 1 from busy") as holder,
        waiting(busy.database_url, "alter table busy add x int") as queued,
        waiting(busy.database_url, "select note from busy") as pid,
    ):
        first, second = seen(busy, pid).blockers
        assert (first.pid, first.is_waiting) == (holder.info.backend_pid, False)
        assert (second.pid, second.is_waiting) == (queued, True)
        assert "waits before us for AccessExclusiveLock on public.busy" in second.text


def test_prepared_transaction(busy: Project):
    """It has no process: it is named by its gid, with how to end it."""
    if busy.query("show max_prepared_transactions") == [("0",)]:
        pytest.skip("prepared transactions are off on this server")
    gid = f"it's {busy.query('select current_database()')[0][0]}"
    quoted = gid.replace("'", "''")
    with psycopg.connect(busy.database_url, autocommit=True) as preparing:
        preparing.execute(f"begin; update busy set note = 'x'; prepare transaction '{quoted}'".encode())
        try:
            with waiting(busy.database_url, "alter table busy add x int") as pid:
                blocker = only(seen(busy, pid))
        finally:
            preparing.execute(f"rollback prepared '{quoted}'".encode())
    assert (blocker.pid, blocker.gid, blocker.lock_mode) == (None, gid, "RowExclusiveLock")
    assert blocker.text.startswith(f"prepared transaction '{quoted}' (user ")
    assert f"ROLLBACK PREPARED '{quoted}'" in blocker.remedy


def test_role_that_may_not_see_others(busy: Project, make_role: Callable[..., Role]):
    """Who it is and what it locks is told; that the rest cannot be seen, too."""
    url = make_role().url(busy.database_url)
    with busy.connect() as connection:
        connection.execute("grant all on busy to public")
    with (
        holding(busy, "update busy set note = 'secret' where id = 1") as holder,
        waiting(url, "update busy set note = 'y' where id = 1") as pid,
        psycopg.connect(url, autocommit=True) as observer,
    ):
        found, holding_pid = find_wait(observer, pid), holder.info.backend_pid
    assert found is not None
    blocker = only(found)
    assert (blocker.pid, blocker.is_hidden) == (holding_pid, True)
    assert (blocker.query, blocker.state) == (None, None)
    assert blocker.text.endswith("what it does cannot be seen without the role pg_read_all_stats")


def test_long_query_is_cut(busy: Project):
    """To one line of 200 characters."""
    with (
        holding(busy, f"select note\n  from busy where note <> '{'x' * 5000}'"),
        waiting(busy.database_url, "alter table busy add x int") as pid,
    ):
        query = only(seen(busy, pid)).query
    assert query is not None
    assert query.startswith("select note from busy")
    assert len(query) == 201


def test_secret_across_the_cut_is_not_told(busy: Project):
    """Secrets go before a query is cut: half of one is none that anybody recognises."""
    url = "postgresql://app:hunter2hunter2@db.example/shop"
    for filler in (150, 160, 170, 180):
        start = f"select '{'x' * filler}', '{url}' from busy"
        with (
            holding(busy, start),
            waiting(busy.database_url, "alter table busy add x int") as pid,
            busy.connect() as connection,
        ):
            found = find_wait(connection, pid, redact=Redactor().redact)
        assert found is not None
        assert "hunter" not in str(found)


def test_nothing_is_waited_for(busy: Project):
    """None, for a session that works and for one that is not there."""
    with busy.connect() as observer, busy.connect() as idle:
        assert find_wait(observer, idle.info.backend_pid) is None
        assert find_wait(observer, 2**31 - 1) is None


def test_only_that_very_wait_is_ended(busy: Project):
    """A session that has got its lock meanwhile goes on undisturbed."""
    with (
        holding(busy, "select 1 from busy") as holder,
        waiting(busy.database_url, "alter table busy add x int; select pg_sleep(0.5)") as pid,
        busy.connect() as observer,
    ):
        wait = seen(busy, pid)
        holder.rollback()
        wait_until(lambda: find_wait(observer, pid) is None)
        assert not cancel_wait(observer, pid, wait)
    with (
        holding(busy, "select 1 from busy"),
        waiting(busy.database_url, "alter table busy add y int") as pid,
        busy.connect() as observer,
    ):
        assert cancel_wait(observer, pid, seen(busy, pid))
        wait_until(lambda: find_wait(observer, pid) is None)
