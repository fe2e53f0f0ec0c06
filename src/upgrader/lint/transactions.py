"""A step is read as a whole and transaction by transaction: what counts is what both say.

The transaction alone tells that a lock is gone before the next one: a constraint is added in one and validated in
another. The whole tells what went before: a table is new, a column is known to have no NULL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import groupby

from upgrader.lint.program import Remark
from upgrader.lint.step_file import StepFile

Read = Callable[[str, bool], list[Remark]]
"""Lets squawk read a text; told whether a transaction is around it."""

# No rule looks at them beside others: ten thousand batches are not read one by one.
_ROWS_ALONE = re.compile(r"\s*(?:select|insert|update|delete|merge|values|with)\b", re.IGNORECASE)


def read_transactions(file: StepFile, text: str, read: Read) -> list[Remark]:
    """Give what squawk says of the file as a whole and of the transaction, too.

    Args:
        text: that of the file, or like it line by line.
    """
    parts = list(_parts(file))
    wholes = {flag: read(text, flag) for flag in {in_transaction for *_, in_transaction in parts}}
    if len(parts) == 1:
        return next(iter(wholes.values()))
    lines = text.split("\n")
    remarks: list[Remark] = []
    for start, stop, in_transaction in parts:
        known = {_key(remark) for remark in wholes[in_transaction]}
        alone = "\n" * start + "\n".join(lines[start:stop]) + "\n"
        remarks += [remark for remark in read(alone, in_transaction) if _key(remark) in known]
    return remarks


def _parts(file: StepFile) -> Iterator[tuple[int, int, bool]]:
    """Give first line, line after the last, and whether it is one, of each transaction.

    One that only reads and writes rows is joined to the one before it.
    """
    found: list[tuple[int, bool]] = []
    numbered = enumerate(file.statements)
    for (_, in_transaction), same in groupby(
        numbered, key=lambda one: (one[1].transaction, one[1].in_transaction)
    ):
        statements = list(same)
        has_rows_alone = all(_ROWS_ALONE.match(statement.text) for _, statement in statements)
        if not (found and found[-1][1] == in_transaction and has_rows_alone):
            found.append((file.first_line(statements[0][0]), in_transaction))
    stops = [start for start, _ in found[1:]] + [file.text.count("\n") + 1]
    yield from ((start, stop, flag) for (start, flag), stop in zip(found, stops, strict=True))


def _key(remark: Remark) -> tuple[str, int, int]:
    return (remark.rule, remark.line, remark.column)
