"""The statements of a step by the transactions that issued them: each is read as a file of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from upgrader.lint.tables import made_in
from upgrader.model import CapturedStatement

# No rule looks at them beside others: ten thousand batches are not read one by one.
_ROWS_ALONE = re.compile(r"\s*(?:select|insert|update|delete|merge|values|with)\b", re.IGNORECASE)


def split_transactions(
    statements: Sequence[CapturedStatement],
) -> Iterator[tuple[tuple[CapturedStatement, ...], tuple[str, ...]]]:
    """Give the statements of each transaction, in order, with the tables that earlier ones of the step have made.

    One that only reads and writes rows is joined to the one before it.
    """
    made: list[str] = []
    for transaction in _joined(statements):
        yield tuple(transaction), tuple(dict.fromkeys(made))
        made += [name for one in transaction for name in made_in(one.text)]


def _joined(statements: Sequence[CapturedStatement]) -> list[list[CapturedStatement]]:
    joined: list[list[CapturedStatement]] = []
    for _, same in groupby(statements, key=lambda one: (one.transaction, one.in_transaction)):
        transaction = list(same)
        if (
            joined
            and joined[-1][0].in_transaction == transaction[0].in_transaction
            and all(_ROWS_ALONE.match(one.text) for one in transaction)
        ):
            joined[-1] += transaction
        else:
            joined.append(transaction)
    return joined
