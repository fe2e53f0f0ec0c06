"""A batch reads its own rows alone, whatever the planner knows of the table."""

from __future__ import annotations

import pytest

from tests.integration.backfill.place import counters, make_items, upgrade
from tests.support.project import Project
from tests.support.server import wait_until
from upgrader.events import Notice, StatementExecuted
from upgrader.testing import RecordingSink

ROWS = 20_000
BATCHES = 40
# Rows that were read of the table, by whatever way; a look and a change read each row of the batch once.
READ = """
select seq_tup_read + (select coalesce(sum(idx_tup_read), 0)::bigint from pg_stat_user_indexes where relname = 'item'),
    n_tup_upd
from pg_stat_user_tables where relname = 'item'
"""


@pytest.mark.parametrize("statistics", ["none", "stale", "fresh"])
@pytest.mark.parametrize(
    "source", ["", ' from_="account", where="account.id = item.account"'], ids=["alone", "join"]
)
@pytest.mark.parametrize(
    ("columns", "values"),
    [
        pytest.param("id bigint primary key", "i", id="integer"),
        pytest.param("id uuid primary key", "md5(i::text)::uuid", id="uuid"),
        pytest.param("id text primary key", "md5(i::text)", id="text"),
        pytest.param("tenant int, id int, primary key (tenant, id)", "i % 3, i", id="few tenants"),
    ],
)
def test_a_batch_reads_its_own_rows(
    project: Project, columns: str, values: str, source: str, statistics: str
):
    """With no statistics, with those of a time when there were ten rows, and with fresh ones."""
    with project.connect() as connection:
        connection.execute(
            f"create table item ({columns}, account int, counter int default 0) with (autovacuum_enabled = off);"
            "create table account (id int primary key);"
            "create index on item (account);"
            "insert into account select i from generate_series(0, 999) i; analyze account".encode()
        )
        insert = f"insert into item select {values}, i % 1000 from generate_series"
        connection.execute(f"{insert}(1, 10) i".encode())
        connection.execute("analyze item" if statistics == "stale" else "select")
        connection.execute(f"{insert}(11, {ROWS}) i".encode())
        connection.execute("analyze item" if statistics == "fresh" else "select")
    ((before, _),) = _read(project, 0)
    call = f'ctx.backfill("item", set_={{"counter": "counter + 1"}}, batch_size={ROWS // BATCHES},{source})'
    project.slow("1.0.0", 1, "Fill", migrate=call)
    sink = RecordingSink()

    assert upgrade(project, emit=sink).failures == []

    ((after, changed),) = _read(project, ROWS)
    assert changed == ROWS
    assert after - before < 8 * ROWS, (
        f"{(after - before) / ROWS:.1f} rows were read for each that was changed"
    )
    assert [event.message for event in sink.of(Notice) if "reads more" in event.message] == []


def test_a_plan_that_cannot_be_helped_is_told(project: Project):
    """A statement that has the table scanned for each batch is named once."""
    with project.connect() as connection:
        connection.execute("create table item (id bigint primary key, counter int default 0)")
        connection.execute("insert into item select i from generate_series(1, 20000) i")
        connection.execute("analyze item")
    update = "update item set counter = 1 where {batch} and item.id in (select max(id) from item group by counter, id)"
    project.slow("1.0.0", 1, "Fill", migrate=f'ctx.backfill("item", update="{update}", batch_size=1000)')
    sink = RecordingSink()
    assert upgrade(project, emit=sink).failures == []
    told = [
        event.message for event in sink.of(Notice) if "reads more of the table than its rows" in event.message
    ]
    assert len(told) == 1


def _read(project: Project, changed: int) -> list[tuple[int, int]]:
    wait_until(lambda: project.query(READ)[0][1] >= changed)
    return project.query(READ)


@pytest.mark.parametrize("key", ["primary key", ""], ids=["key", "ctid"])
def test_rows_to_change_after_many_without(project: Project, key: str):
    """Where batches have grown over rows that are done already, the first rows that are not come in a small one."""
    rows, done = 60_000, 50_000
    make_items(project, rows, key=key)
    with project.connect() as connection:
        connection.execute("update item set note = 'x' where id <= %s", [done])
        connection.execute("vacuum full item")
        connection.execute("analyze item")
    project.slow(
        "1.0.0",
        1,
        "Fill",
        migrate='ctx.backfill("item", set_={"counter": "counter + 1", "note": "\'x\'"}, where="note = \'\'")',
    )
    sink = RecordingSink()

    assert upgrade(project, emit=sink, verbose=True).failures == []

    assert counters(project) == [(0, done), (1, rows - done)]
    batches = [event for event in sink.of(StatementExecuted) if "update" in event.statement.lower()]
    if key:
        changed = [event.row_count for event in batches if event.row_count]
        assert changed[0] <= 1_000
        assert sum(changed) == rows - done
    assert len(batches) < 60
