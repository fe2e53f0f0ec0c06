"""Backfills in commands with `transactional=False`, and what they say inside a transaction."""

from __future__ import annotations

import pytest

from tests.integration.backfill.place import checkpoints, counters, error_of, make_items, upgrade
from tests.integration.backfill.test_resumption import StopAfter
from tests.support.project import Project
from tests.support.results import attempts
from upgrader.model import Outcome

IMPORT = "from upgrader import backfill_table, table_batches\n"
COUNT_UP = IMPORT + 'backfill_table(connection, "item", set_={"counter": "counter + 1"}, batch_size=10)'
LOOP = (
    IMPORT
    + """
for batch in table_batches(connection, "item", batch_size=10):
    batch.connection.exec_driver_sql(f"update item set counter = counter + 1 where {batch.where}")
"""
)


@pytest.mark.parametrize("body", [COUNT_UP, LOOP], ids=["backfill_table", "table_batches"])
def test_a_command_in_autocommit_walks_in_batches(project: Project, body: str):
    """It stops after a batch, goes on in the next run, and its checkpoint goes with its completion."""
    make_items(project, 40)
    project.fast("1.0.0", 1, "Fill", body, transactional=False)
    stopping = StopAfter(2)

    report = upgrade(project, emit=stopping, stop=stopping.stop, verbose=True)

    assert report.outcome is Outcome.INTERRUPTED
    assert checkpoints(project) == [("item", 20, 2, False)]
    assert upgrade(project).failures == []
    assert counters(project) == [(1, 40)]
    assert checkpoints(project) == []
    assert attempts(project) == [("Fill", None, 1, "interrupted"), ("Fill", None, 2, "completed")]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("    1 / 0", "division by zero"),
        ("    break", "was left before its end (item, after 0 rows)"),
        ("    batch.connection.exec_driver_sql('commit')", "may not execute COMMIT"),
        ("    batch.connection.begin_nested()", "left a savepoint open"),
        (
            "    backfill_table(connection, 'item', label='x', set_={'note': 'note'})",
            "begun inside a transaction",
        ),
    ],
)
def test_a_loop_in_autocommit_that_fails(project: Project, more: str, words: str):
    """The batch at hand is rolled back, as in a data migration."""
    make_items(project, 40)
    project.fast("1.0.0", 1, "Fill", LOOP + more, transactional=False)
    assert words in error_of(upgrade(project))
    assert counters(project) == [(0, 40)]


def test_a_workspace_command_in_autocommit(project: Project):
    """`ctx.backfill` and `ctx.batches` walk the table of the workspace's schema, with a checkpoint per workspace."""
    project.create_workspaces("a", "b")
    with project.connect() as connection:
        for schema in ("ws_a", "ws_b"):
            connection.execute(
                f"create table {schema}.item (id int primary key, counter int default 0)".encode()
            )
            connection.execute(f"insert into {schema}.item select i from generate_series(1, 20) i".encode())
    project.workspace(
        "1.0.0",
        1,
        "Fill",
        """
        ctx.backfill("item", set_={"counter": "counter + 1"}, batch_size=7)
        for batch in ctx.batches("item", label="loop"):
            batch.connection.exec_driver_sql(f"update item set counter = counter + 1 where {batch.where}")
        """,
        transactional=False,
    )
    assert upgrade(project).failures == []
    for schema in ("ws_a", "ws_b"):
        assert project.query(f"select counter, count(*) from {schema}.item group by 1") == [(2, 20)]


def test_a_data_migration_of_a_workspace(project: Project):
    """It walks the table that the workspace's search_path finds; each workspace has a checkpoint of its own."""
    project.create_workspaces("a", "b")
    with project.connect() as connection:
        for schema, divisor in (("ws_a", 1), ("ws_b", 0)):
            connection.execute(
                f"create table {schema}.item (id int primary key, counter int default 0)".encode()
            )
            connection.execute(f"insert into {schema}.item select i from generate_series(1, 20) i".encode())
            connection.execute(f"create table {schema}.divisor as select {divisor} as value".encode())
    project.workspace(
        "1.0.0",
        1,
        "Fill",
        migrate='ctx.backfill("item", set_={"counter": "counter + 1 / (case when id > 10 then value else 1 end)"},'
        ' from_="divisor", batch_size=5)',
    )
    (failure,) = upgrade(project).failures
    assert failure.scope.workspace_id == "b"
    assert project.query("select workspace_id, last_key from upgrader.backfill") == [("b", ["10"])]
    with project.connect() as connection:
        connection.execute("update ws_b.divisor set value = 1")
    assert upgrade(project).failures == []
    for schema in ("ws_a", "ws_b"):
        assert project.query(f"select counter, count(*) from {schema}.item group by 1") == [(1, 20)]


@pytest.mark.parametrize(
    "call",
    [
        'backfill_table(connection, "item", set_={"counter": "0"})',
        'table_batches(connection, "item")',
    ],
)
def test_a_transaction_of_a_step_is_no_place_for_batches(project: Project, call: str):
    """The error says that, and where they can be done."""
    make_items(project)
    project.fast("1.0.0", 1, "Fill", IMPORT + call)
    text = error_of(upgrade(project))
    assert "cannot run inside a step's transaction" in text
    assert "run_data_migration" in text
    assert "transactional=False" in text


def test_a_transaction_of_a_workspace_is_no_place_for_batches(project: Project):
    """The same for the context's methods, and inside `ctx.transaction()` of a data migration."""
    project.create_workspaces("a")
    project.workspace("1.0.0", 1, "Fill", 'ctx.backfill("item", set_={"counter": "0"})')
    project.workspace("1.0.0", 2, "Loop", 'ctx.batches("item")')
    assert "ctx.backfill cannot run inside a step's transaction" in error_of(upgrade(project))


def test_one_label_for_both_methods_of_a_command(project: Project):
    """What is done in `run_data_migration` is not taken for what `up` is to do."""
    make_items(project, 10)
    project.slow(
        "1.0.0",
        1,
        "Fill",
        COUNT_UP,
        migrate='ctx.backfill("item", set_={"note": "\'x\'"})',
        transactional=False,
    )
    assert "two backfills with the label item" in error_of(upgrade(project))
