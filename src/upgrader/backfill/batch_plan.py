"""Whether a batch's statement reads its rows alone, by the plan that the server would run it with.

A planner that takes the batch for a large part of the table (old statistics; a key whose first column has few
values) reads the whole table for every batch: the walk takes as many times as long as it has batches.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from upgrader.backfill.keys import WalkKey
from upgrader.backfill.table import WalkedTable

# The share of a table from which on reading all of it is no waste.
_LARGE_SHARE = 0.2
WITHOUT_WHOLE_READS = "set local enable_seqscan = off"


def reads_more_than_its_rows(plan: str, table: WalkedTable, key: WalkKey, *, rows: int) -> bool:
    """Tell whether a statement reads more of its table than the batch.

    Args:
        plan: as EXPLAIN (FORMAT JSON) gives it.
        rows: of the batch.
    """
    if table.is_partitioned or rows > _LARGE_SHARE * table.most_rows:
        return False
    scans = [node for node in _nodes(json.loads(plan)[0]["Plan"]) if _is_scan_of(node, table)]
    return any(not _is_bounded(node, key) for node in scans)


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def _is_scan_of(node: dict[str, Any], table: WalkedTable) -> bool:
    return node.get("Relation Name") == table.name and node["Node Type"].endswith("Scan")


def _is_bounded(node: dict[str, Any], key: WalkKey) -> bool:
    if key.is_ctid:
        return bool(node["Node Type"] == "Tid Range Scan")
    return any(
        inner.get("Index Name") == key.index and bool(inner.get("Index Cond")) for inner in _nodes(node)
    )
