"""A backfill that was cut off goes on at the next batch and does nothing twice."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from tests.integration.backfill.place import COUNT_UP, checkpoints, counters, error_of, make_items, upgrade
from tests.support.project import Project
from tests.support.results import attempts
from upgrader.backfill.options import BackfillOptions, Resumption
from upgrader.errors import OperatorError, RunError
from upgrader.events import Event, StatementExecuted
from upgrader.model import Outcome
from upgrader.runner.stop import StopToken

FAILS_AT_55 = 'ctx.backfill("item", set_={"counter": "counter + 1 / (id - 55)"}, where="true", batch_size=10)'
RESTART = BackfillOptions(resumption=Resumption.RESTART)
KEEP = BackfillOptions(resumption=Resumption.KEEP)
SLOWLY = BackfillOptions(pause_ms=15)  # so that whoever is to end it comes in time


class StopAfter:
    """Asks the run to stop when it has seen so many statements of a command."""

    def __init__(self, statements: int) -> None:
        self.stop = StopToken()
        self._left = statements

    def __call__(self, event: Event) -> None:
        if isinstance(event, StatementExecuted):
            self._left -= 1
            if not self._left:
                self.stop.request("SIGTERM")


def test_a_stop_ends_it_after_the_batch_at_hand(project: Project):
    """The step is interrupted, its checkpoint stays, and the next run goes on there."""
    make_items(project)
    project.slow("1.0.0", 1, "Fill", migrate=COUNT_UP)
    stopping = StopAfter(3)

    report = upgrade(project, emit=stopping, stop=stopping.stop, verbose=True)

    assert report.outcome is Outcome.INTERRUPTED
    assert checkpoints(project) == [("item", 30, 3, False)]
    assert counters(project) == [(0, 70), (1, 30)]
    assert upgrade(project).outcome is Outcome.DONE
    assert counters(project) == [(1, 100)]
    assert attempts(project) == [("Fill", None, 1, "interrupted"), ("Fill", None, 2, "completed")]
    assert checkpoints(project) == []


def test_a_stop_is_heeded_although_the_command_swallows_it(project: Project):
    """Whatever the author's code makes of the end between two batches, the step is not done."""
    make_items(project)
    project.slow("1.0.0", 1, "Fill", migrate=f"try:\n    {COUNT_UP}\nexcept Exception:\n    pass")
    stopping = StopAfter(3)
    assert upgrade(project, emit=stopping, stop=stopping.stop, verbose=True).outcome is Outcome.INTERRUPTED
    assert attempts(project) == [("Fill", None, 1, "interrupted")]


def test_what_was_finished_is_not_done_again(project: Project):
    """Of two backfills in one step the first is remembered; so is one after which `up` fails."""
    make_items(project)
    first = 'ctx.backfill("item", set_={"counter": "counter + 1"})'
    second = 'ctx.backfill("item", label="notes", set_={"note": "\'x\'"}, where="id > 0")'
    project.slow("1.0.0", 1, "Fill", "alter table nothing add column a int", migrate=f"{first}\n{second}")

    assert upgrade(project).outcome is Outcome.FAILED
    assert checkpoints(project) == [("item", 100, 1, True), ("notes", 100, 1, True)]
    with project.connect() as connection:
        connection.execute("create table nothing ()")
        connection.execute("update item set note = ''")
    assert upgrade(project).outcome is Outcome.DONE
    assert counters(project) == [(1, 100)]
    assert project.query("select count(*) from item where note = 'x'") == [(0,)]


def test_a_failed_batch_leaves_those_before_it(project: Project):
    """The error names the batch; what was committed before it is not done again by the code that is mended."""
    make_items(project)
    project.slow("1.0.0", 1, "Fill", migrate=FAILS_AT_55)

    text = error_of(upgrade(project))

    assert "division by zero" in text
    assert "in the batch of item with id > 50 and id <= 60 (10 rows)" in text
    assert checkpoints(project) == [("item", 50, 5, False)]
    before = project.query("select sum(counter) from item where id <= 50")

    project.slow("1.0.0", 1, "Fill", migrate=COUNT_UP)
    text = error_of(upgrade(project))
    assert "has changed since its backfill began (item: 50 rows done)" in text
    assert "--restart-backfill" in text
    assert "--keep-checkpoint" in text
    assert project.query("select sum(counter) from item where id <= 50") == before

    assert upgrade(project, backfill=KEEP).outcome is Outcome.DONE
    assert project.query("select sum(counter) from item where id <= 50") == before
    assert project.query("select sum(counter) from item where id > 50") == [(50,)]


def test_a_restart_begins_at_the_first_row(project: Project):
    """`--restart-backfill` forgets the checkpoint, with changed code or without."""
    make_items(project)
    project.slow("1.0.0", 1, "Fill", migrate=FAILS_AT_55)
    upgrade(project)
    with project.connect() as connection:
        connection.execute("update item set counter = 0")
    project.slow("1.0.0", 1, "Fill", migrate=COUNT_UP)
    assert upgrade(project, backfill=RESTART).outcome is Outcome.DONE
    assert counters(project) == [(1, 100)]


@pytest.mark.parametrize(
    ("change", "words", "may_be_kept"),
    [
        pytest.param(
            "alter table item rename to old; create table item (like old including all); insert into item table old",
            "was made anew since its backfill began",
            True,
            id="another table",
        ),
        pytest.param(
            "alter table item drop constraint item_pkey; alter table item add primary key (note, id)",
            "was walked along id until now, and would be along note, id from here",
            False,
            id="another key",
        ),
    ],
)
def test_a_table_that_has_changed_since(project: Project, change: str, words: str, may_be_kept: bool):
    """A checkpoint is not taken for that of another table or key without a word from the operator."""
    make_items(project)
    project.slow("1.0.0", 1, "Fill", migrate=FAILS_AT_55)
    upgrade(project)
    with project.connect() as connection:
        connection.execute(change.encode())
    assert words in error_of(upgrade(project))
    kept = error_of(upgrade(project, backfill=KEEP))
    assert ("division by zero" in kept) is may_be_kept
    assert "id > 50 and id <= 60" in kept or not may_be_kept


def test_a_walk_by_ctid_does_not_outlive_a_rewrite(project: Project):
    """After VACUUM FULL the rows lie elsewhere: only a restart is left."""
    make_items(project, key="")
    project.slow("1.0.0", 1, "Fill", migrate=FAILS_AT_55.replace("batch_size=10", "batch_size=1"))
    with project.connect() as connection:
        connection.execute("update item set note = repeat('x', 7000)")
        connection.execute("alter table item alter column note set storage plain")
        connection.execute("update item set note = repeat('x', 7000)")
    upgrade(project)
    assert 0 < checkpoints(project)[0][1] < 100
    with project.connect() as connection:
        connection.execute("vacuum full item")
    assert "was rewritten since its backfill began" in error_of(upgrade(project))


@pytest.mark.parametrize("key", ["primary key", ""], ids=["key", "ctid"])
def test_sessions_that_are_killed_at_any_moment(project: Project, key: str):
    """However often the server ends the run's sessions, each row is changed once."""
    rows, kills = 10_000, 10
    make_items(project, rows, key=key)
    project.slow("1.0.0", 1, "Fill", migrate=COUNT_UP.replace("batch_size=10", "batch_size=25"))
    chance = random.Random(4711)
    for number in range(kills):
        with (
            project.connect() as connection,
            _ending_sessions(
                connection, after=number * rows // (2 * kills) + 1, seconds=chance.uniform(0, 0.02)
            ),
        ):
            outcome = _outcome(project)
        assert outcome is not Outcome.DONE
        changed = project.query("select count(*) from item where counter = 1")[0][0]
        (done,) = checkpoints(project)
        assert changed == done[1]
    assert upgrade(project).outcome is Outcome.DONE
    assert counters(project) == [(1, rows)]


def _outcome(project: Project) -> Outcome:
    try:
        return upgrade(project, backfill=SLOWLY).outcome
    except (RunError, OperatorError):  # cut off while it was opening its connections
        return Outcome.FAILED


@contextmanager
def _ending_sessions(connection: psycopg.Connection[Any], *, after: int, seconds: float) -> Iterator[None]:
    """End the sessions of a run once it has changed so many rows, and so much later."""
    is_over = threading.Event()

    def end() -> None:
        while not is_over.is_set():
            if _rows_changed(connection) >= after:
                is_over.wait(seconds)
                connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where application_name like 'upgrader/%' and datname = current_database()"
                )
                return

    killer = threading.Thread(target=end)
    killer.start()
    try:
        yield
    finally:
        is_over.set()
        killer.join()


def _rows_changed(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("select count(*) from item where counter = 1").fetchone()
    assert row is not None
    return int(row[0])
