"""The SQL of one stretch of a walk."""

import pytest

from upgrader.backfill.keys import CTID, KeyColumn, WalkKey
from upgrader.backfill.ranges import KeyRange, end_of_batch, keys_in, upper_end
from upgrader.backfill.table import WalkedTable

ID = WalkKey("invoice_pkey", (KeyColumn("id", is_integer=True),))
NAME = WalkKey("by_name", (KeyColumn("Name", collation='pg_catalog."C"'),))
PAIR = WalkKey("pair", (KeyColumn("tenant"), KeyColumn("id", is_integer=True)))
TABLE = WalkedTable(4711, "core", "invoice", 1)


@pytest.mark.parametrize(
    ("stretch", "condition", "shown"),
    [
        (KeyRange(ID, None, None), "true", "all id"),
        (KeyRange(ID, None, ("-5",)), '("i"."id" <= -5)', "id <= -5"),
        (KeyRange(ID, ("5",), ("9",)), '("i"."id" > 5 and "i"."id" <= 9)', "id > 5 and id <= 9"),
        (
            KeyRange(NAME, ("it's",), None),
            """("i"."Name" collate pg_catalog."C" > 'it''s')""",
            'Name > "it\'s"',
        ),
        (
            KeyRange(PAIR, ("a", "1"), ("b", "2")),
            """(("i"."tenant", "i"."id") > ('a', 1) and ("i"."tenant", "i"."id") <= ('b', 2))""",
            "(tenant, id) > ('a', 1) and (tenant, id) <= ('b', 2)",
        ),
        (
            KeyRange(PAIR, ("a", "1"), ("a", "2")),
            """("i"."tenant" = 'a' and "i"."id" > 1 and "i"."id" <= 2)""",
            "(tenant, id) > ('a', 1) and (tenant, id) <= ('a', 2)",
        ),
        (
            KeyRange(CTID, ("3",), ("7",), excluded=(5, 6)),
            """("i".ctid >= '(3,0)' and "i".ctid < '(7,0)' and "i".xmin <> all ('{5,6}'::xid[]))""",
            "pages 3 to 6",
        ),
        (KeyRange(CTID, None, None, excluded_since=9), """(age("i".xmin) > age('9'::xid))""", "pages 0 to …"),
    ],
)
def test_conditions(stretch: KeyRange, condition: str, shown: str):
    """Values are literals; equal heads of both ends are equations, so that the planner can estimate the rest."""
    assert stretch.condition('"i"') == condition
    assert str(stretch) == shown


def test_a_number_that_is_none_is_quoted():
    """What is written without quotes is digits, whatever the checkpoint holds."""
    assert KeyRange(ID, ("5; drop table x",), None).condition("i") == """(i."id" > '5; drop table x')"""


def test_the_end_of_a_batch_is_looked_for_in_what_is_left():
    """One row is read: the last of the batch."""
    query = end_of_batch(TABLE, KeyRange(ID, ("5",), ("900",)), 100)
    assert query.endswith('order by "core"."invoice"."id" offset 99 limit 1')
    assert '"id" > 5' in query
    assert '"id" <= 900' in query


def test_the_end_of_a_walk():
    """The greatest key, or the number of pages."""
    assert "desc" in upper_end(TABLE, PAIR)
    assert "pg_relation_size(4711)" in upper_end(TABLE, CTID)


def test_the_keys_of_a_batch():
    """In their own types and in order; only a table alone where children are left alone."""
    only = WalkedTable(4711, "core", "invoice", 1, is_only=True)
    assert keys_in(only, KeyRange(ID, None, None)).startswith(
        'select "core"."invoice"."id" from only "core"."invoice"'
    )
