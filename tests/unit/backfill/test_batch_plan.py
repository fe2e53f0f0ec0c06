"""Whether a plan reads more of a table than a batch."""

import json

import pytest

from upgrader.backfill.batch_plan import reads_more_than_its_rows
from upgrader.backfill.keys import CTID, KeyColumn, WalkKey
from upgrader.backfill.table import WalkedTable

TABLE = WalkedTable(4711, "core", "invoice", 1, rows_estimated=1_000_000)
KEY = WalkKey("invoice_pkey", (KeyColumn("id"),))
BY_KEY = {
    "Node Type": "Index Scan",
    "Relation Name": "invoice",
    "Index Name": "invoice_pkey",
    "Index Cond": "(id > 1)",
}


def plan(scan: dict) -> str:
    return json.dumps([{"Plan": {"Node Type": "ModifyTable", "Relation Name": "invoice", "Plans": [scan]}}])


@pytest.mark.parametrize(
    ("scan", "wastes"),
    [
        (BY_KEY, False),
        (BY_KEY | {"Index Name": "invoice_account"}, True),
        (BY_KEY | {"Index Cond": None}, True),
        ({"Node Type": "Seq Scan", "Relation Name": "invoice"}, True),
        ({"Node Type": "Seq Scan", "Relation Name": "account"}, False),
        (
            {
                "Node Type": "Bitmap Heap Scan",
                "Relation Name": "invoice",
                "Plans": [
                    {"Node Type": "Bitmap Index Scan", "Index Name": "invoice_pkey", "Index Cond": "(id > 1)"}
                ],
            },
            False,
        ),
    ],
)
def test_a_walk_along_a_key(scan: dict, wastes: bool):
    """The key's own index has to be used, with a condition."""
    assert reads_more_than_its_rows(plan(scan), TABLE, KEY, rows=1_000) is wastes


def test_a_large_part_of_a_table_may_be_read_as_a_whole():
    """By the statistics, or by its size where there are none."""
    scan = plan({"Node Type": "Seq Scan", "Relation Name": "invoice"})
    assert not reads_more_than_its_rows(scan, TABLE, KEY, rows=500_000)
    assert not reads_more_than_its_rows(scan, WalkedTable(1, "core", "invoice", 1, pages=1), KEY, rows=30)
    assert reads_more_than_its_rows(scan, WalkedTable(1, "core", "invoice", 1, pages=1000), KEY, rows=30)


def test_a_walk_by_ctid():
    """Only its range of pages is read."""
    wanted = plan({"Node Type": "Tid Range Scan", "Relation Name": "invoice"})
    assert not reads_more_than_its_rows(wanted, TABLE, CTID, rows=10)
    assert reads_more_than_its_rows(plan(BY_KEY), TABLE, CTID, rows=10)
