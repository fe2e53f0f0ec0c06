"""What a backfill refuses, and what it says then."""

from __future__ import annotations

import pytest

from tests.integration.backfill.place import counters, error_of, make_items, upgrade
from tests.support.project import Project
from upgrader.backfill.options import BackfillOptions, Resumption
from upgrader.model import Outcome


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ('ctx.backfill("nowhere", set_={"a": "1"})', "there is no table nowhere to backfill"),
        ("ctx.backfill('a\"b', set_={'a': '1'})", 'a"b'),
        ('ctx.backfill("item")', "takes either set_ or update"),
        ('ctx.backfill("item", set_={})', "is empty"),
        ('ctx.backfill("item", set_={"counter": 1})', "1 in a backfill is no SQL"),
        ('ctx.backfill("item", update="update item set counter = 1")', "{batch} is missing"),
        ('ctx.backfill("item", update="update item set counter = 1 -- {batch}")', "{batch} is missing"),
        ('ctx.backfill("item", update="update item set note = \'{batch}\'")', "{batch} is missing"),
        (
            'ctx.backfill("item", update="update item set a = 1 where {batch}; select 1")',
            "several statements",
        ),
        ('ctx.backfill("item", update="x {batch}", where="true")', "from_ and where belong to set_"),
        ('ctx.backfill("item", set_={"a": "1"}, key="other")', "item has no unique index other"),
        ('ctx.backfill("item", set_={"a": "1"}, key="item_part")', "its index is partial"),
        ('ctx.backfill("item", set_={"a": "1"}, key="item_low")', "its index is on an expression"),
        ('ctx.backfill("item", set_={"a": "1"}, key="note")', "its index has an order of its own on note"),
        ('ctx.backfill("item", set_={"a": "1"}, key=("id", "note"))', "ordered in both directions"),
        ('ctx.backfill("item", set_={"a": "1"}, key=["maybe"])', "maybe may be NULL"),
        ('ctx.backfill("item", set_={"a": "1"}, key="cost")', "is of the type money"),
        ('ctx.backfill("item", set_={"a": "1"}, batch_size=0)', "a batch of 0 rows is none"),
        ('ctx.backfill("view", set_={"a": "1"})', "is a view and cannot be walked"),
        ('ctx.backfill("parent", set_={"a": "1"})', "has inheritance children"),
        ('ctx.backfill("parts", set_={"a": "1"})', "is partitioned and has no key"),
        ('ctx.backfill("item", set_={"note": "\'x\'", "id": "id + 5"})', "changes id, and walks along it"),
        ('ctx.backfill("item", set_={"\\"id\\"": "id + 5"})', "changes id, and walks along it"),
        ('ctx.backfill("item", set_={"none": "1"})', 'column "none" of relation "item" does not exist'),
        (
            'ctx.backfill("item", set_={"note": "note"}); ctx.backfill("item", set_={"note": "note"})',
            "two backfills with the label item",
        ),
    ],
)
def test_refusals(project: Project, call: str, words: str):
    """Each names what is wrong, and what to write instead."""
    make_items(project)
    with project.connect() as connection:
        connection.execute(
            "alter table item add maybe int unique, add cost money not null default 0;"
            "update item set cost = id;"
            "create unique index on item (cost);"
            "create unique index item_part on item (id) where id > 0;"
            "create unique index item_low on item ((id + 1));"
            "create unique index item_pattern on item (note text_pattern_ops) where false;"
            "create unique index on item (id, note desc);"
            'create view "view" as select * from item;'
            "create table parent (id int primary key); create table child () inherits (parent);"
            "create table parts (id int, note text) partition by range (id);"
            "create table parts_1 partition of parts for values from (0) to (10);"
            "insert into parts values (1);"
        )
        connection.execute("drop index item_pattern; update item set note = id;")
        connection.execute("create unique index item_pattern on item (note text_pattern_ops)")
    project.slow("1.0.0", 1, "Fill", migrate=call)
    text = error_of(upgrade(project))
    assert words in text
    assert "hint:" in text or "SQLSTATE" in text


def test_a_key_that_keeps_its_value_may_be_set(project: Project):
    """To touch every row, for its triggers."""
    make_items(project, 20)
    project.slow(
        "1.0.0", 1, "Fill", migrate='ctx.backfill("item", set_={"ID": "item.id", "counter": "counter + 1"})'
    )
    assert upgrade(project).outcome is Outcome.DONE
    assert counters(project) == [(1, 20)]


def test_savepoints_in_a_batch_by_ctid(project: Project):
    """Rows that are written in one could not be told from those of others; with a key that makes no difference."""
    make_items(project, key="")
    body = """
for batch in ctx.batches("item", batch_size=10):
    with batch.connection.begin_nested():
        batch.connection.execute(text(f"update item set counter = counter + 1 where {batch.where}"))
"""
    project.slow("1.0.0", 1, "Fill", migrate=body)
    assert "a batch by ctid may not use savepoints" in error_of(upgrade(project))
    assert counters(project) == [(0, 100)]
    with project.connect() as connection:
        connection.execute("alter table item add primary key (id)")
    assert upgrade(project, backfill=BackfillOptions(resumption=Resumption.RESTART)).outcome is Outcome.DONE
    assert counters(project) == [(1, 100)]


def test_other_keys_and_tables_that_can_be_walked(project: Project):
    """A named unique key, a partitioned table with a key, a parent alone, names that need quotes, no schema."""
    make_items(project, 20)
    with project.connect() as connection:
        connection.execute("create schema core")
        connection.execute(
            "create unique index item_note on item (id desc, note desc);"
            "create table core.parts (id int primary key, counter int default 0) partition by range (id);"
            "create table core.parts_1 partition of core.parts for values from (0) to (10);"
            "create table core.parts_2 partition of core.parts for values from (10) to (100);"
            "insert into core.parts select i from generate_series(1, 50) i;"
            'create table core."Odd ""Name" (id int primary key, "My Counter" int default 0);'
            'insert into core."Odd ""Name" select i from generate_series(1, 30) i;'
            "create table parent (id int primary key, counter int default 0);"
            "create table child (primary key (id)) inherits (parent);"
            "insert into parent select i from generate_series(1, 10) i; insert into child values (1, 0);"
        )
    project.slow(
        "1.0.0",
        1,
        "Fill",
        migrate="""
        ctx.backfill("item", set_={"counter": "counter + 1"}, key="item_note", batch_size=3)
        ctx.backfill("item", label="x", update="update item i set counter = i.counter + 1 where {i.batch}")
        ctx.backfill("core.parts", set_={"counter": "counter + 1"}, batch_size=7)
        ctx.backfill('core."Odd \\"\\"Name"', set_={'"My Counter"': '"My Counter" + 1 -- so'}, batch_size=7)
        ctx.backfill("only parent", set_={"counter": "counter + 1"}, batch_size=3)
        """,
    )
    assert upgrade(project).failures == []
    assert counters(project) == [(2, 20)]
    assert project.query("select counter, count(*) from core.parts group by 1") == [(1, 50)]
    assert project.query('select "My Counter", count(*) from core."Odd ""Name" group by 1') == [(1, 30)]
    assert project.query("select counter, count(*) from parent group by 1 order by 1") == [(0, 1), (1, 10)]


def test_what_sql_means_stays_as_it_is(project: Project):
    """Percent signs, colons, braces, comments and backslashes reach the server as they were written."""
    make_items(project, 5)
    project.slow(
        "1.0.0",
        1,
        "Fill",
        migrate=r"""
        ctx.backfill("item", set_={"note": "'100% :sure {x} ' || '{}'::jsonb::text -- %s :p"},
                     where="note like '%' -- all of them")
        ctx.backfill("item", label="2", update="update item set note = note || E'\\t' where {batch} and 7 % 5 = 2;")
        """,
    )
    assert upgrade(project).failures == []
    assert project.query("select distinct note from item") == [("100% :sure {x} {}\t",)]


def test_settings_of_the_walk_do_not_reach_the_authors_sql(project: Project):
    """Dates are read and written as the session says, whatever the walk needs for its keys."""
    make_items(project, 5)
    with project.connect() as connection:
        connection.execute(f"alter database \"{connection.info.dbname}\" set datestyle = 'SQL, DMY'".encode())
        connection.execute(
            f"alter database \"{connection.info.dbname}\" set timezone = 'Asia/Kolkata'".encode()
        )
    project.slow(
        "1.0.0",
        1,
        "Fill",
        migrate="""
        ctx.backfill("item", set_={"note": "date '2024-02-01' || current_setting('timezone')"}, batch_size=2)
        for batch in ctx.batches("item", label="loop", batch_size=2):
            shown = batch.connection.exec_driver_sql("select current_setting('datestyle')").scalar()
            assert shown == "SQL, DMY", shown
        """,
    )
    assert upgrade(project).failures == []
    assert project.query("select distinct note from item") == [("01/02/2024Asia/Kolkata",)]
