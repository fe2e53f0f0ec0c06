"""How large the tables are that statements work on, as a live database tells it."""

from __future__ import annotations

import psycopg

from tests.unit.lint.builders import step
from upgrader.command import CommandKind
from upgrader.lint.sizes import describe_tables


def test_tables_and_indexes(connection: psycopg.Connection):
    """By name as it is written, quoted or not; an index stands for its table; what is not there is left out."""
    connection.execute(
        'create schema core; create table core."Invoice" (id int); create table thing (id int)'
    )
    connection.execute('insert into core."Invoice" select generate_series(1, 20000)')
    connection.execute('create index number_idx on core."Invoice" (id)')
    connection.execute("insert into thing values (1)")
    connection.execute('analyze core."Invoice"')
    texts = [
        'alter table core."Invoice" add column a text',
        "drop index core.number_idx",
        "alter table THING drop column id",
        "drop table nowhere",
        "drop table core.invoice",
        "drop table nowhere.invoice",
    ]
    sizes = describe_tables(connection, [step(*texts)])
    invoice, index, thing, *rest = (sizes.of(text, in_workspace=False) for text in texts)
    assert str(invoice[0]).startswith('core."Invoice" has about 20,000 rows, ')
    assert invoice[0].size > 20_000 * 30
    assert (index[0].rows, index[0].size) == (20_000, invoice[0].size)
    assert str(thing[0]) == "THING has a number of rows that is not known, 8 kB"
    assert rest == [[], [], []]


def test_partitions(connection: psycopg.Connection):
    """A partitioned table is the sum of its partitions."""
    connection.execute("create table p (id int) partition by range (id)")
    for number in range(3):
        connection.execute(
            f"create table p{number} partition of p for values from ({number * 1000}) to ({number * 1000 + 1000})"
        )
    connection.execute("insert into p select generate_series(0, 2999)")
    connection.execute("analyze p0; analyze p1; analyze p2")
    text = "alter table p add column a text"
    (size,) = describe_tables(connection, [step(text)]).of(text, in_workspace=False)
    assert size.rows == 3000
    assert size.size > 3 * 8192


def test_workspaces(connection: psycopg.Connection):
    """A name without a schema in a workspace step is that of a table in each workspace: the largest tells."""
    for number in (1, 2, 3):
        connection.execute(f"create schema ws_{number}; create table ws_{number}.thing (id int)")
    connection.execute("insert into ws_2.thing select generate_series(1, 5000)")
    connection.execute("analyze ws_2.thing")
    text = "alter table thing drop column id"
    found = describe_tables(connection, [step(text, kind=CommandKind.WORKSPACE)])
    (size,) = found.of(text, in_workspace=True)
    assert str(size).startswith("the largest of 3 tables thing has about 5,000 rows, ")
    assert found.of(text, in_workspace=False) == []


def test_locked_table(connection: psycopg.Connection, database_url: str):
    """While somebody has locked a table nothing is said of sizes, and nobody waits for long."""
    connection.execute("create table thing (id int)")
    text = "alter table thing drop column id"
    with psycopg.connect(database_url) as other:
        other.execute("lock table thing in access exclusive mode")
        assert describe_tables(connection, [step(text)]).of(text, in_workspace=False) == []
    assert describe_tables(connection, [step(text)]).of(text, in_workspace=False)


def test_nothing_to_look_up(connection: psycopg.Connection):
    """Steps without a table ask the server nothing."""
    connection.close()
    assert describe_tables(connection, [step("select 1")]).of("select 1", in_workspace=False) == []
