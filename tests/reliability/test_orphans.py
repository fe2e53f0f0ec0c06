"""Runs that are killed while the server is at work for them: a COMMIT or an index build outlives its run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest

from tests.reliability.boundaries import (
    COMMAND,
    CONTROL,
    LOCK,
    OTHER,
    SENT,
    SIGKILL,
    TERMINATE,
    Kill,
)
from tests.reliability.cases import COMMIT, INDEX, LANES_COMMIT, Case, spread
from tests.reliability.stage import UPGRADE, Stage, check_terminated, tune
from tests.reliability.state import attempts_of
from tests.reliability.waiting import kill_while_another_waits

_COMMIT_SECONDS = 0.9
_AT_WORK = 0.1
_COMMITS = (("CreateLedger", "instance", 1), *(("RaisePrices", f"w{n}", n) for n in range(1, 7)))
_BUILD = 'create index concurrently "customer_key_idx"'


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test for each kill."""
    kinds = {
        test_killed_with_a_commit_in_flight: COMMIT,
        test_killed_with_commits_of_several_lanes_in_flight: LANES_COMMIT,
        test_killed_with_an_index_build_at_work: INDEX,
    }
    spread(metafunc, kinds.get(metafunc.function))


def test_killed_with_a_commit_in_flight(case: Case, stage: Stage, note: Callable[..., None]) -> None:
    """A run is killed while its COMMIT is at work, and run again at once: the step is completed once."""
    chance = case.random()
    step, scope, occurrence = chance.choice(_COMMITS)
    target = COMMAND if case.how == SIGKILL else chance.choice((COMMAND, LOCK, CONTROL))
    kill = Kill(case.how, target=target, text=f"_{step}_", occurrence=occurrence, delay=_AT_WORK)
    with case.noted(note, kill) as noted:
        with stage.database() as url:
            with _slow_commit_of(url, step, scope):
                killed, next_one, waited = kill_while_another_waits(stage, url, kill)
            stage.check_end(url)
            attempts = attempts_of(url, step, scope)
        assert attempts == 1  # what was in flight was waited for, or had left nothing
        if target == LOCK:
            assert "run lock was lost" in killed.stderr
            assert killed.completions_after_kill() == []
        noted.update(target=target, waited=waited, kills=1, runs=2, codes=[killed.code, next_one.code])


def test_killed_with_commits_of_several_lanes_in_flight(
    case: Case, lanes: Stage, note: Callable[..., None]
) -> None:
    """All COMMITs in flight are waited for by the next run, or have left nothing: each is made once."""
    chance = case.random()
    target = COMMAND if case.how == SIGKILL else chance.choice((COMMAND, OTHER, LOCK, CONTROL))
    kill = Kill(
        case.how, target=target, text="_RaisePrices_", occurrence=chance.randint(2, 6), delay=_AT_WORK
    )
    with case.noted(note, kill) as noted:
        with lanes.database() as url:
            with _slow_commit_of(url, "RaisePrices", None):
                killed, next_one, waited = kill_while_another_waits(lanes, url, kill)
            lanes.check_end(url)
            attempts = {scope: attempts_of(url, "RaisePrices", scope) for _, scope, _ in _COMMITS[1:]}
        assert set(attempts.values()) == {1}, attempts
        if target == LOCK:
            assert "run lock was lost" in killed.stderr
        noted.update(target=target, waited=waited, kills=1, runs=2, codes=[killed.code, next_one.code])


def test_killed_with_an_index_build_at_work(case: Case, stage: Stage, note: Callable[..., None]) -> None:
    """A run is killed while it builds an index concurrently, and run again at once: it is built, and valid."""
    chance = case.random()
    target = COMMAND if case.how == SIGKILL else chance.choice((COMMAND, LOCK, CONTROL))
    # A killed client's backend is ended after a second at most: the build is through by then, or is not.
    is_through = chance.random() < 0.5
    seconds = chance.uniform(0.6, 0.9) if is_through else chance.uniform(1.6, 2.4)
    has_snapshot = chance.random() < 0.5
    kill = Kill(case.how, target=target, text=_BUILD, delay=_AT_WORK)
    with case.noted(note, (kill, seconds, has_snapshot)) as noted:
        with stage.database(index=0.0 if has_snapshot else seconds / 30) as url:
            with _old_snapshot(url, seconds if has_snapshot else 0.0):
                killed, next_one, waited = kill_while_another_waits(stage, url, kill)
            stage.check_end(url)
            attempts = attempts_of(url, "IndexCustomers", "instance")
        if case.how == SIGKILL:
            assert attempts == 2
        noted.update(target=target, waited=waited, kills=1, runs=2, codes=[killed.code, next_one.code])


def test_store_session_that_ends_between_running_row_and_effect(stage: Stage) -> None:
    """A data migration whose running row is there, and whose store is gone, is completed by the next run."""
    kill = Kill(TERMINATE, target=CONTROL, text="core.take_time('batch')", occurrence=2)
    with stage.database() as url:
        ended = stage.launcher.run(url, *UPGRADE, kill=kill)
        check_terminated(ended)
        assert ended.code == 1
        stage.finish(url, [Kill(TERMINATE, target=COMMAND, text="core.take_time('batch')")])


@pytest.mark.parametrize(
    ("after", "text"),
    [
        ("", "pg_try_advisory_lock"),
        ("", "pg_advisory_unlock"),
        ("", "create table"),
        ("", "pg_catalog.version()"),
        ('from "upgrader"."scope"', "pg_catalog.version()"),
        ("pg_catalog.version()", "pg_advisory_lock_shared"),
        ("create table if not exists core.item_count", "select a.attname"),
        ("complete_step", "; set search_path"),
    ],
    ids=["lock", "fence", "layout", "store", "commands", "holding-the-fence", "listing", "autocommit"],
)
def test_session_that_is_ended_while_the_program_itself_uses_it(after: str, text: str, stage: Stage) -> None:
    """Whatever the program's own statement is: exit 1 with what to do, no failed attempt, and no bug."""
    sent = [boundary for boundary in stage.boundaries if boundary.point == SENT]
    begin = next((n for n, boundary in enumerate(sent) if after in boundary.text), 0)
    at = next(boundary.number for boundary in sent[begin:] if text in boundary.text)
    with stage.database() as url:
        ended = stage.launcher.run(url, *UPGRADE, kill=Kill(TERMINATE, at))
        check_terminated(ended)
        assert ended.code == 1
        stage.finish(url, [])


@contextmanager
def _slow_commit_of(url: str, step: str, scope: str | None) -> Iterator[None]:
    """Make the COMMIT of one step in one scope slow, or in all of them."""
    tune(url, commit=_COMMIT_SECONDS)
    wanted = "new.scope" if scope is None else f"'{scope}'"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "create or replace function core.settle() returns trigger language plpgsql as $$ begin"
            f" if (new.step, new.scope) = ('{step}', {wanted}) then perform core.take_time('commit'); end if;"
            " return null; end $$".encode()
        )
    yield
    tune(url, commit=0.0)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_SETTLE.encode())


_SETTLE = """
create or replace function core.settle() returns trigger language plpgsql as $$
begin
    perform core.take_time('commit');
    return null;
end $$;
"""


@contextmanager
def _old_snapshot(url: str, seconds: float) -> Iterator[None]:
    """Keep a snapshot open for a while, which the last part of an index build waits for."""
    if not seconds:
        yield
        return
    taken = threading.Event()

    def keep() -> None:
        with psycopg.connect(url) as connection:
            connection.execute("set transaction isolation level repeatable read")
            connection.execute("select count(*) from core.customer")
            taken.set()
            time.sleep(seconds)

    keeper = threading.Thread(target=keep)
    keeper.start()
    taken.wait()
    try:
        yield
    finally:
        keeper.join()
