"""What was issued in one transaction is read as one file."""

from __future__ import annotations

import pytest

from tests.unit.lint.builders import FILE, step, told
from upgrader.lint import squawk
from upgrader.lint.program import Squawk
from upgrader.model import CapturedStatement

ADD = "alter table t add constraint c check (a > 0) not valid"
VALIDATE = "alter table t validate constraint c"


def issued(text: str, transaction: int, *, line: int = 1, in_transaction: bool = True) -> CapturedStatement:
    return CapturedStatement(text, FILE, line, in_transaction, transaction=transaction)


def test_validating_later():
    """A check is validated in a transaction after the one that adds it, and not in the same."""
    assert told(step(issued(ADD, 1), issued(VALIDATE, 2))) == []
    assert told(step(issued(ADD, 1), issued(VALIDATE, 1))) == [(1, "constraint-missing-not-valid")]


def test_new_tables():
    """What an earlier transaction of the step has made is new, by whatever words; all else is not."""
    index = issued('create index i on core."T" (a)', 2, line=7)
    made = issued('-- new\ncreate unlogged table if not exists core."T" (a int8)', 1)
    assert told(step(made, index)) == []
    assert told(step(issued("create table core.u (a int8)", 1), index)) == [
        (7, "require-concurrent-index-creation")
    ]


def test_not_null_that_needs_no_scan():
    """A check that an earlier transaction has validated lets SET NOT NULL be quick."""
    add = issued("alter table t add constraint c check (a is not null) not valid", 1)
    required = issued("alter table t alter column a set not null", 3, line=9)
    assert told(step(add, issued(VALIDATE, 2), required)) == []
    assert told(step(add, required)) == [(9, "adding-not-nullable-field")]


def test_lines_and_ignores_behind_new_tables():
    """Findings and comments of a later transaction keep their lines."""
    made = [issued(f"create table t{number} (a int8)", number) for number in range(1, 4)]
    ignored = issued("-- squawk-ignore ban-drop-column\nalter table x drop column a", 5, line=2)
    useless = issued("select 1\n-- squawk-ignore ban-drop-table", 5, line=3)
    dropped = issued("alter table x\n  drop column b", 5, line=4)
    assert told(step(*made, ignored, useless, dropped)) == [(4, "ban-drop-column"), (3, "unused-ignore")]


def test_unreadable_transactions():
    """One that nothing can be read of hides no other."""
    statements = (
        issued("create table t (a int8)", 1),
        issued("frobnicate (", 2),
        issued("drop table x", 3, line=9),
    )
    assert told(step(*statements)) == [(1, "syntax-error"), (9, "ban-drop-table")]


def test_batches_are_joined(monkeypatch: pytest.MonkeyPatch):
    """Transactions that only read and write rows are read with the one before, not one by one."""
    readings: list[str] = []

    class Counted(Squawk):
        def read(self, text, *, in_transaction):
            readings.append(text)
            return super().read(text, in_transaction=in_transaction)

    monkeypatch.setattr(squawk, "Squawk", Counted)
    batches = [issued(f"update t set a = {number}", number) for number in range(10, 40)]
    assert told(step(issued(ADD, 1), *batches, issued(VALIDATE, 50))) == []
    assert len(readings) == 3
    assert told(step(issued(ADD, 1), *batches)) == []
    assert len(readings) == 4
