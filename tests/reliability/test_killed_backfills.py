"""Backfills that are killed: taken up, every row is changed once, whatever the table is walked along."""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg
import pytest

from tests.reliability.boundaries import COMMAND, CONTROL, LOCK, OTHER, OWN, SIGKILL, TERMINATE, Kill
from tests.reliability.cases import FILL, FILL_COMMIT, FILL_MOMENT, Case, spread
from tests.reliability.harness import RUN_SECONDS
from tests.reliability.killing import kill_at_a_moment, kill_at_boundaries
from tests.reliability.stage import Stage, check_ended, tune
from tests.reliability.state import state_between_runs
from tests.reliability.waiting import kill_while_another_waits, wait_for_boundary

_TARGETS = (OWN, OWN, OTHER, LOCK, CONTROL)
_COMMIT_SECONDS = 0.9
_BATCH_SECONDS = 0.3
_AT_WORK = 0.1
# The tables whose COMMITs may be slow, with the batches of 150 rows of which some are.
_WALKED = ("account", "entry", "payment", "visit")
_BATCHES = 16
_WAITING = "select from upgrader.backfill where waiting_for like '%paused by ana%'"
_COUNTERS = """
select format('%I.%I', table_schema, table_name), quote_ident(column_name) from information_schema.columns
where column_name in ('touched', 'again', 'measured') order by 1, 2
"""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test for each kill."""
    kinds = {
        test_killed_at_a_boundary: FILL,
        test_killed_at_a_moment: FILL_MOMENT,
        test_killed_with_the_commit_of_a_batch_in_flight: FILL_COMMIT,
    }
    spread(metafunc, kinds.get(metafunc.function))


def test_undisturbed(backfills: Stage) -> None:
    """What killed runs are compared with: each row was changed once, in more than one batch per table."""
    with backfills.database() as url:
        run = backfills.launcher.run(url, *backfills.arguments)
        assert run.code == 0, run
        check_counters(url)
    moves = sum(
        boundary.point == "answered" and "move_backfill" in boundary.text for boundary in run.boundaries
    )
    assert moves > len(_WALKED) * _BATCHES


def test_killed_at_a_boundary(case: Case, backfills: Stage, note: Callable[..., None]) -> None:
    """A run that is ended at any boundary, between batches or inside of one, goes on at the next batch."""
    kills = case.kills(backfills.boundaries, _TARGETS)
    kill_at_boundaries(case, backfills, note, kills, must_come=False, then=check_counters)


def test_killed_at_a_moment(case: Case, backfills: Stage, note: Callable[..., None]) -> None:
    """A run that is ended at a random moment, from another process, goes on at the next batch."""
    kill_at_a_moment(case, backfills, note, then=check_counters)


def test_killed_with_the_commit_of_a_batch_in_flight(
    case: Case, backfills: Stage, note: Callable[..., None]
) -> None:
    """The next run, which begins at once, waits for the batch, and does it only if it was not committed."""
    chance = case.random()
    target = COMMAND if case.how == SIGKILL else chance.choice((COMMAND, LOCK, CONTROL))
    batch = chance.randrange(len(_WALKED)) * _BATCHES + chance.randint(1, _BATCHES)
    kill = Kill(case.how, target=target, text="move_backfill", occurrence=batch, delay=_AT_WORK)
    with case.noted(note, kill) as noted:
        with backfills.database(commit=_COMMIT_SECONDS) as url:
            killed, next_one, waited = kill_while_another_waits(backfills, url, kill)
            backfills.check_end(url)
            check_counters(url)
        noted.update(target=target, waited=waited, kills=1, runs=2, codes=[killed.code, next_one.code])


@pytest.mark.parametrize("batch", [3, 20, 40, 60])
def test_backfill_without_its_run_lock_stops(batch: int, backfills: Stage) -> None:
    """At most the batch at hand is committed once the run lock is lost, however many are still to come."""
    kill = Kill(TERMINATE, target=LOCK, text="move_backfill", occurrence=batch)
    with backfills.database() as url:
        ended = backfills.launcher.run(url, *backfills.arguments, kill=kill)
        check_ended(ended, kill)
        assert ended.code == 1, ended
        assert len(ended.sent_after_kill("move_backfill")) <= 1
        assert "run lock was lost" in ended.stderr
        backfills.finish(url, [])
        check_counters(url)


@pytest.mark.parametrize("table", ["payment", "visit"])
def test_killed_inside_a_batch(table: str, backfills: Stage) -> None:
    """What the batch at hand had changed is rolled back, its checkpoint is where it was, and it is done again."""
    kill = Kill(SIGKILL, text="core.take_time('batch')", occurrence=5, delay=_AT_WORK)
    if table == "visit":
        kill = Kill(SIGKILL, text="update core.visit", occurrence=5, delay=_AT_WORK)
    with backfills.database() as url:
        tune(url, batch=_BATCH_SECONDS if table == "payment" else 0.0)
        ended = backfills.launcher.run(url, *backfills.arguments, kill=kill)
        check_ended(ended, kill)
        state_between_runs(url)  # waits until its sessions are gone
        with psycopg.connect(url, autocommit=True) as connection:
            checkpoint = connection.execute(
                "select relation::regclass::text, batches, rows_done from upgrader.backfill where not is_finished"
            ).fetchall()
            touched = connection.execute(f"select sum(touched) from core.{table}".encode()).fetchall()
        assert [row[:2] for row in checkpoint] == [(f"core.{table}", 4)]
        assert touched == [(checkpoint[0][2],)]
        tune(url, batch=0.0)
        backfills.finish(url, [])
        check_counters(url)


def check_counters(url: str) -> None:
    """Check that each row was changed once, of every table and by every backfill."""
    with psycopg.connect(url, autocommit=True) as connection:
        counters = connection.execute(_COUNTERS).fetchall()
        assert len(counters) == 5 + 3 * 5
        for table, column in counters:
            found = connection.execute(
                f"select {column}, count(*) from {table} where {column} <> 1 group by 1".encode()
            ).fetchall()
            assert found == [], f"{table}.{column}: value and number of rows: {found}"


def test_paused_backfill_without_its_run_lock_stops(backfills: Stage) -> None:
    """A backfill that waits for its operator hears that the run is over, and does not keep the next run waiting."""
    with backfills.database(batch=0.1) as url, psycopg.connect(url, autocommit=True) as connection:
        run = backfills.launcher.start(url, *backfills.arguments)
        wait_for_boundary(run, lambda boundary: "update core.payment" in boundary.text)
        connection.execute(
            "insert into upgrader.backfill_order (backfill_id, wanted, ordered_by)"
            " select id, 'pause', 'ana' from upgrader.backfill where not is_finished"
        )
        give_up = time.monotonic() + RUN_SECONDS
        while not connection.execute(_WAITING).fetchall():
            assert time.monotonic() < give_up, "it does not wait for its operator"
            time.sleep(0.05)
        lock = next(boundary.pid for boundary in run.boundaries if boundary.role == LOCK)
        connection.execute("select pg_terminate_backend(%s)", [lock])
        ended = backfills.launcher.wait(run)
        assert ended.code == 1, ended
        assert "run lock was lost" in ended.stderr
        connection.execute("delete from upgrader.backfill_order")
        tune(url, batch=0.0)
        connection.close()
        backfills.finish(url, [])
        check_counters(url)
