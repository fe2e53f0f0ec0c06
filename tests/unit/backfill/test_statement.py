"""The statement of a batch, as the author's SQL makes it."""

import pytest

from upgrader.backfill.keys import KeyColumn, WalkKey
from upgrader.backfill.ranges import KeyRange
from upgrader.backfill.statement import BatchChange
from upgrader.backfill.table import WalkedTable
from upgrader.errors import StepError

TABLE = WalkedTable(4711, "core", "invoice", 1)
BATCH = KeyRange(WalkKey("pk", (KeyColumn("id", is_integer=True),)), ("1",), ("9",))
WHERE = '("core"."invoice"."id" > 1 and "core"."invoice"."id" <= 9)'


@pytest.mark.parametrize(
    ("change", "sql"),
    [
        (BatchChange(set_={"a": "1", "b": "c"}), f'update "core"."invoice" set a = 1, b = c where {WHERE}'),
        (
            BatchChange(set_={"a": "x.a"}, from_="x", where="x.id = invoice.x or true"),
            f'update "core"."invoice" set a = x.a from x where (x.id = invoice.x or true) and {WHERE}',
        ),
        (
            BatchChange(set_={"a": "1 -- one"}, where="b -- so"),
            f'update "core"."invoice" set a = 1 -- one\n where (b -- so\n) and {WHERE}',
        ),
        (
            BatchChange(update="delete from core.invoice where {batch}"),
            f"delete from core.invoice where {WHERE}",
        ),
        (
            BatchChange(
                update="with x as (select '{}'::jsonb) update core.invoice i set a = 1 where { i.batch }"
            ),
            'with x as (select \'{}\'::jsonb) update core.invoice i set a = 1 where (i."id" > 1 and i."id" <= 9)',
        ),
    ],
)
def test_statements(change: BatchChange, sql: str):
    """The batch's condition is added to what the author wrote, in parentheses."""
    assert change.sql(TABLE, BATCH) == sql


def test_a_statement_for_no_row():
    """For an empty table: right or wrong, it changes nothing."""
    assert BatchChange(set_={"a": "1"}, where="b").sql(TABLE, None).endswith("where (b) and false")
    assert BatchChange(update="update t set a = 1 where {batch}").sql(TABLE, None).endswith("where false")


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"update": "x {batch}", "set_": {"a": "1"}},
        {"update": ""},
        {"update": "update t set a = 1 /* {batch} */"},
        {"set_": {"a": None}},
        {"set_": {"a": "1"}, "where": 7},
    ],
)
def test_what_is_no_statement_is_refused_at_once(given: dict):
    """Before a table is looked at."""
    with pytest.raises(StepError) as caught:
        BatchChange(**given)
    assert caught.value.hint
