"""`ctx.batches`: an author's own loop over the batches of a table."""

from __future__ import annotations

import uuid

import pytest

from tests.integration.backfill.place import checkpoints, counters, error_of, make_items, upgrade
from tests.integration.backfill.test_resumption import StopAfter
from tests.support.project import Project
from tests.support.results import attempts
from upgrader.events import StepRetried
from upgrader.model import Outcome
from upgrader.testing import RecordingSink

LOOP = """
for batch in ctx.batches("item", batch_size=10):
    batch.connection.execute(text(f"update item set counter = counter + 1 where {batch.where}"))
"""


def test_a_loop_goes_through_all_rows(project: Project):
    """Each batch tells its keys; its SQL condition chooses just its rows."""
    make_items(project, 25)
    with project.connect() as connection:
        connection.execute("create table seen (first int, last int, keys int)")
    project.slow(
        "1.0.0",
        1,
        "Fill",
        migrate=LOOP + '    batch.connection.execute(text("insert into seen values (:a, :b, :c)"),'
        ' {"a": batch.first, "b": batch.last, "c": len(batch.keys)})\n',
    )
    assert upgrade(project).failures == []
    assert counters(project) == [(1, 25)]
    assert project.query("table seen order by 1") == [(1, 10, 10), (11, 20, 10), (21, 25, 5)]


@pytest.mark.parametrize(
    ("columns", "values", "keys"),
    [
        pytest.param("id uuid primary key", f"'{uuid.UUID(int=7)}'", [uuid.UUID(int=7)], id="uuid"),
        pytest.param("a int, b text, primary key (b, a)", "7, 'x'", [("x", 7)], id="composite"),
        pytest.param("id int", "7", ["(0,1)"], id="ctid"),
    ],
)
def test_keys_come_in_their_own_types(project: Project, columns: str, values: str, keys: list[object]):
    """A key of several columns is a tuple; without a key the place is text."""
    with project.connect() as connection:
        connection.execute(f"create table item ({columns})".encode())
        connection.execute(f"insert into item values ({values})".encode())
    project.slow(
        "1.0.0",
        1,
        "Fill",
        migrate=f"""
from uuid import UUID
for batch in ctx.batches("item"):
    assert list(batch.keys) == {keys!r}, batch.keys
    assert batch.connection.exec_driver_sql("select count(*) from item where " + batch.where).scalar() == 1
""",
    )
    assert upgrade(project).failures == []


@pytest.mark.parametrize("keeps_the_traceback", [True, False])
def test_an_error_in_the_loop_rolls_its_batch_back(project: Project, keeps_the_traceback: bool):
    """The batches before it are done, the error says where it was; whoever still holds its traceback."""
    make_items(project, 30)
    body = LOOP + "    if batch.first > 10:\n        raise ValueError('no')\n"
    if keeps_the_traceback:
        lines = "\n".join("    " + line for line in body.strip().splitlines())
        body = f"try:\n{lines}\nexcept ValueError as error:\n    self.kept = error\n    raise"
    project.slow("1.0.0", 1, "Fill", migrate=body)

    text = error_of(upgrade(project))

    assert "ValueError: no" in text
    assert "in the batch of item with id > 10 and id <= 20 (10 rows)" in text
    assert counters(project) == [(0, 20), (1, 10)]
    assert checkpoints(project) == [("item", 10, 1, False)]


@pytest.mark.parametrize("leaves", ["break", "return"])
def test_a_loop_that_is_left_fails_the_step(project: Project, leaves: str):
    """A step whose walk did not come to its end is not completed; the batch at hand is rolled back."""
    make_items(project, 30)
    project.slow("1.0.0", 1, "Fill", migrate=LOOP + f"    if batch.first > 10:\n        {leaves}\n")
    text = error_of(upgrade(project))
    assert "was left before its end (item, after 10 rows)" in text
    assert "ctx.stop_requested" in text
    assert counters(project) == [(0, 20), (1, 10)]


def test_an_error_that_is_swallowed_outside_the_loop_fails_the_step(project: Project):
    """Whatever became of the loop, it did not come to its end."""
    make_items(project, 30)
    lines = "\n".join("    " + line for line in (LOOP + "    1 / 0").strip().splitlines())
    project.slow("1.0.0", 1, "Fill", migrate=f"try:\n{lines}\nexcept ZeroDivisionError:\n    pass")
    assert "was left before its end (item, after 0 rows)" in error_of(upgrade(project))
    assert counters(project) == [(0, 30)]


def test_a_loop_that_is_never_begun_fails_the_step(project: Project):
    """`ctx.batches()` without a loop has done nothing."""
    make_items(project, 3)
    project.slow("1.0.0", 1, "Fill", migrate='ctx.batches("item")')
    assert "was left before its end" in error_of(upgrade(project))


def test_a_loop_that_is_left_because_the_run_stops(project: Project):
    """With `ctx.stop_requested` asked before, leaving is right: interrupted, to be gone on with."""
    make_items(project, 30)
    project.slow("1.0.0", 1, "Fill", migrate=LOOP + "    if ctx.stop_requested:\n        break\n")
    stopping = StopAfter(2)
    report = upgrade(project, emit=stopping, stop=stopping.stop, verbose=True)
    assert report.outcome is Outcome.INTERRUPTED
    assert counters(project) == [(0, 20), (1, 10)]
    assert upgrade(project).outcome is Outcome.DONE
    assert counters(project) == [(1, 30)]


def test_a_loop_ends_after_its_batch_when_the_run_stops(project: Project):
    """Without asking, too: the batch at hand commits, there is no next one, and what follows the loop is not run."""
    make_items(project, 30)
    project.slow("1.0.0", 1, "Fill", migrate=LOOP + "raise AssertionError('the loop came to its end')")
    stopping = StopAfter(2)
    report = upgrade(project, emit=stopping, stop=stopping.stop, verbose=True)
    assert report.outcome is Outcome.INTERRUPTED
    assert attempts(project) == [("Fill", None, 1, "interrupted")]
    assert counters(project) == [(0, 10), (1, 20)]


def test_a_passing_trouble_in_a_loop_calls_the_migration_again(project: Project):
    """The loop goes on at the same place with a smaller batch."""
    make_items(project, 40)
    with project.connect() as connection:
        connection.execute("create sequence tries")
    project.slow(
        "1.0.0",
        1,
        "Fill",
        migrate=LOOP + "    if batch.first == 21 and len(batch.keys) > 5:\n"
        "        batch.connection.exec_driver_sql(\"select nextval('tries')\")\n"
        "        batch.connection.exec_driver_sql(\"do $$begin raise exception using errcode = '40001'; end$$\")\n",
    )
    sink = RecordingSink()
    assert upgrade(project, emit=sink).failures == []
    assert [event.reason for event in sink.of(StepRetried)] == ["serialization failure"]
    assert counters(project) == [(1, 40)]
    assert attempts(project) == [("Fill", None, 1, "completed")]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("batch.connection.commit()", "may not call commit()"),
        ('batch.connection.exec_driver_sql("commit")', "may not execute COMMIT"),
        ("batch.connection.begin_nested()", "left a savepoint open"),
        (
            'try:\n    batch.connection.exec_driver_sql("select 1/0")\nexcept Exception:\n    pass',
            "left the transaction aborted",
        ),
        ("batch.connection.connection.driver_connection.execute('rollback; begin')", "ended its transaction"),
        ("ctx.transaction().__enter__()", "was opened inside another one"),
        ('ctx.backfill("item", label="other", set_={"counter": "0"})', "was opened inside another one"),
    ],
)
def test_what_a_loop_may_not_do_to_its_transaction(project: Project, body: str, words: str):
    """The guards of `ctx.transaction()` hold in a batch; nothing of it is kept."""
    make_items(project, 30)
    lines = "\n".join("    " + line for line in body.splitlines())
    project.slow("1.0.0", 1, "Fill", migrate=f"{LOOP}{lines}")
    assert words in error_of(upgrade(project))
    assert counters(project) == [(0, 30)]


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("is_transactional", [True, False])
def test_commits_of_batches_wait_for_the_disk_where_it_is_asked_for(
    project: Project, waits: bool, is_transactional: bool
):
    """What is lost in a crash of the server is lost with its checkpoint; the step's own commit always waits."""
    make_items(project, 25)
    with project.connect() as connection:
        connection.execute("create table seen (counter int, setting text)")
        connection.execute(
            "create function tell() returns trigger language plpgsql as $$ begin"
            " insert into seen values (new.counter, current_setting('synchronous_commit')); return null; end $$"
        )
        connection.execute(
            "create constraint trigger told after update on item deferrable initially deferred for each row"
            " execute function tell()"
        )
    project.configure(backfill={"synchronous_commit": waits})
    if is_transactional:
        project.slow("1.0.0", 1, "Fill", "update item set counter = 7", migrate=LOOP)
    else:
        backfill = (
            'from upgrader import backfill_table\nbackfill_table(connection, "item", set_={"counter": "1"})'
        )
        project.fast("1.0.0", 1, "Fill", backfill, transactional=False)
    assert upgrade(project).failures == []
    assert project.query("select distinct setting from seen where counter = 1") == [
        ("on" if waits else "off",)
    ]
    if is_transactional:
        assert project.query("select distinct setting from seen where counter = 7") == [("on",)]
