"""Backfills while others write to the same table."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest

from tests.integration.backfill.place import COUNT_UP, counters, error_of, make_items, upgrade
from tests.support.project import Project
from tests.support.server import Role, wait_until
from upgrader.backfill.options import BackfillOptions, Resumption
from upgrader.events import BackfillMoved, Event, Notice, StepRetried
from upgrader.model import Outcome
from upgrader.testing import RecordingSink

ROWS = 4_000


@contextmanager
def writing(
    project: Project, write: Callable[[psycopg.Connection[object], int], None]
) -> Iterator[list[int]]:
    """Call `write` in a thread of its own, over and over while the block lasts; gives the numbers of its calls."""
    is_over, calls = threading.Event(), list[int]()

    def run() -> None:
        with project.connect() as connection:
            while not is_over.is_set():
                try:
                    write(connection, len(calls))
                except psycopg.errors.DeadlockDetected:
                    continue
                calls.append(len(calls))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        wait_until(lambda: len(calls) > 3)
        yield calls
    finally:
        is_over.set()
        thread.join()


def test_each_row_is_changed_once_while_others_write(project: Project):
    """Rows that others insert, change, delete or keep locked for a while neither stop the walk nor are done twice."""
    make_items(project, ROWS)
    project.slow("1.0.0", 1, "Fill", migrate=COUNT_UP.replace("batch_size=10", "batch_size=100"))
    chance = random.Random(7)

    def write(connection: psycopg.Connection[object], number: int) -> None:
        some = [chance.randrange(1, ROWS) for _ in range(5)]
        with connection.transaction():
            connection.execute("insert into item values (%s), (%s)", [ROWS + 1 + number, -1 - number])
            connection.execute("update item set note = note || 'x' where id = any(%s)", [some])
            connection.execute("delete from item where id = %s", [chance.randrange(1, ROWS)])

    with writing(project, write) as calls:
        assert upgrade(project).outcome is Outcome.DONE
    assert calls
    left = project.query("select count(*) from item where id between 1 and %s", ROWS)[0][0]
    assert left < ROWS
    changed = project.query("select counter, count(*) from item where id between 1 and %s group by 1", ROWS)
    assert changed == [(1, left)]


def test_rows_beyond_the_end_are_left_to_the_application(project: Project):
    """The end is what was the last row at the start: an application that inserts without end does not hold it up."""
    make_items(project, 500)
    project.slow("1.0.0", 1, "Fill", migrate=COUNT_UP)

    def write(connection: psycopg.Connection[object], number: int) -> None:
        connection.execute(
            "insert into item select i from generate_series(%s::int, %s::int) i",
            [number * 50 + 501, number * 50 + 550],
        )

    with writing(project, write):
        assert upgrade(project).outcome is Outcome.DONE
    assert counters(project, upto=500) == [(1, 500)]
    assert 0 in dict(counters(project))


def test_by_ctid_with_a_condition_nothing_is_missed(project: Project):
    """Rows that the application moves while the walk goes on are found by the second look."""
    make_items(project, ROWS, key="")
    with project.connect() as connection:
        connection.execute("alter table item add column done boolean not null default false")
        connection.execute("delete from item where id % 7 = 0")
        connection.execute("vacuum item")
    project.slow(
        "1.0.0",
        1,
        "Fill",
        migrate='ctx.backfill("item", set_={"counter": "counter + 1", "done": "true"}, where="not done",'
        " batch_size=50)",
    )
    chance = random.Random(7)

    def write(connection: psycopg.Connection[object], number: int) -> None:
        del number
        connection.execute(
            "update item set note = note || 'x' where id = any(%s)",
            [[chance.randrange(1, ROWS) for _ in range(20)]],
        )

    with writing(project, write):
        assert upgrade(project).outcome is Outcome.DONE
    assert counters(project) == [(1, ROWS - ROWS // 7)]


def test_by_ctid_its_own_rows_ahead_are_left_alone(project: Project):
    """A changed row whose new version comes to lie ahead of the walk, in free space, is not changed again."""
    make_items(project, ROWS, key="")
    with project.connect() as connection:
        connection.execute("update item set note = repeat('x', 300)")
        connection.execute("vacuum full item")
        connection.execute("delete from item where id > %s and id %% 2 = 0", [ROWS // 2])
        connection.execute("vacuum item")
    project.slow("1.0.0", 1, "Fill", migrate=COUNT_UP.replace("batch_size=10", "batch_size=50"))
    assert upgrade(project).outcome is Outcome.DONE
    assert counters(project) == [(1, ROWS - ROWS // 4)]


def test_a_condition_that_changed_rows_still_meet_gets_no_second_look(project: Project):
    """By ctid: what could be done twice is not looked for again."""
    make_items(project, 200, key="")
    project.slow(
        "1.0.0",
        1,
        "Fill",
        migrate='ctx.backfill("item", set_={"counter": "counter + 1"}, where="id > 100", batch_size=20)',
    )
    assert upgrade(project).outcome is Outcome.DONE
    assert counters(project) == [(0, 100), (1, 100)]


def test_a_table_without_a_key_is_told(project: Project):
    """What a walk by ctid cannot promise is said once, with the way out."""
    make_items(project, key="")
    project.slow("1.0.0", 1, "Fill", migrate=COUNT_UP)
    sink = RecordingSink()
    upgrade(project, emit=sink)
    texts = [
        event.message
        for event in sink.events
        if hasattr(event, "message") and "is walked as it is stored" in event.message
    ]
    assert len(texts) == 1
    assert "a unique key over NOT NULL columns" in texts[0]


def test_most_rows_done_already(project: Project):
    """A `where` that most rows do not meet changes the others, each once."""
    make_items(project, ROWS)
    with project.connect() as connection:
        connection.execute("update item set note = 'done' where id <= %s", [ROWS * 3 // 10])
    project.slow(
        "1.0.0",
        1,
        "Fill",
        migrate='ctx.backfill("item", set_={"counter": "counter + 1", "note": "\'done\'"}, where="note = \'\'")',
    )
    assert upgrade(project).outcome is Outcome.DONE
    assert counters(project) == [(0, ROWS * 3 // 10), (1, ROWS * 7 // 10)]


def test_a_batch_that_waits_for_a_lock_is_tried_again_smaller(project: Project):
    """A lock timeout halves the batch; once the row is free the walk goes on."""
    make_items(project)
    project.configure(lock_timeout_seconds=0.2)
    project.slow("1.0.0", 1, "Fill", migrate=COUNT_UP)
    retries: list[StepRetried] = []
    with project.connect(autocommit=False) as other:
        other.execute("select from item where id = 7 for update")

        def emit(event: Event) -> None:
            if isinstance(event, StepRetried):
                retries.append(event)
                if len(retries) == 2:
                    other.rollback()

        assert upgrade(project, emit=emit).outcome is Outcome.DONE
    assert [retry.reason for retry in retries] == ["lock timeout", "lock timeout"]
    assert counters(project) == [(1, 100)]


def test_a_batch_that_never_gets_its_lock_ends_the_step(project: Project):
    """After the last try the error names the rows in question, and who holds them."""
    make_items(project)
    project.configure(lock_timeout_seconds=0.3, backfill={"batch_tries": 3})
    project.slow("1.0.0", 1, "Fill", migrate=COUNT_UP)
    with project.connect(autocommit=False) as other:
        other.execute("select from item where id = 17 for update")
        text = error_of(upgrade(project))
    assert "lock timeout" in text
    assert "in the batch of item with id > " in text
    assert re.search(r"tried \d+ times", text)
    assert "in the way: " in text


def test_a_statement_timeout_halves_the_batch(project: Project):
    """A batch that takes too long is tried again, smaller, until it does not."""
    make_items(project, 64)
    project.slow(
        "1.0.0",
        1,
        "Fill",
        migrate='ctx.backfill("item", set_={"counter": "counter + length(pg_sleep(0.02)::text) + 1"}, batch_size=32)',
        statement_timeout_seconds=0.3,
    )
    sink = RecordingSink()
    assert upgrade(project, emit=sink).outcome is Outcome.DONE
    assert "statement timeout" in {event.reason for event in sink.of(StepRetried)}
    assert counters(project) == [(1, 64)]


@pytest.mark.parametrize("key", ["primary key", ""])
def test_a_table_that_takes_the_name_of_the_one_that_is_walked(project: Project, key: str):
    """It is found before the next batch: what the walk has done was done to the other one."""
    make_items(project, 200, key=key)
    is_swapped = threading.Event()

    def swap(event: Event) -> None:
        if isinstance(event, BackfillMoved) and not is_swapped.is_set():
            is_swapped.set()
            with project.connect() as connection:
                connection.execute(
                    f"begin; alter table item rename to old; create table item (id int {key}, note text,"
                    " counter int not null default 0); insert into item select id, note from old; commit".encode()
                )

    project.slow("1.0.0", 1, "Fill", migrate=COUNT_UP)
    text = error_of(upgrade(project, emit=swap))
    assert "the name public.item has become that of another table" in text
    assert "--restart-backfill" in text
    options = BackfillOptions(resumption=Resumption.RESTART)
    assert upgrade(project, backfill=options).outcome is Outcome.DONE
    assert counters(project) == [(1, 200)]


@pytest.mark.parametrize("is_superuser", [True, False])
def test_rows_that_a_policy_hides_are_not_passed_over_in_silence(
    project: Project, make_role: Callable[..., Role], is_superuser: bool
):
    """A role for which row-level security holds is told that it may not see every row."""
    make_items(project, 20)
    with project.connect() as connection:
        connection.execute(
            "alter table item enable row level security; create policy few on item using (id <= 5);"
            "grant all on item to public; do $$ begin"
            " execute format('grant create on database %I to public', current_database()); end $$"
        )
    if not is_superuser:
        project.configure(database_url=make_role().url(project.database_url))
    project.slow("1.0.0", 1, "Fill", migrate=COUNT_UP)
    sink = RecordingSink()
    assert upgrade(project, emit=sink).outcome is Outcome.DONE
    told = [notice.message for notice in sink.of(Notice) if "row-level security" in notice.message]
    assert bool(told) is not is_superuser
    assert counters(project) == ([(1, 20)] if is_superuser else [(0, 15), (1, 5)])
