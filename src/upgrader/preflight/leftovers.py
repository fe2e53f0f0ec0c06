"""What was left behind: invalid indexes, replication slots that nobody reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from upgrader.database.connect import literal
from upgrader.model import PreflightCheck, PreflightFinding, PreflightLevel
from upgrader.preflight.wording import counted, enumerated, size

if TYPE_CHECKING:
    from upgrader.preflight.facts import Facts, IdleSlot


def invalid_indexes(facts: Facts) -> Iterator[PreflightFinding]:
    """Name indexes that cost every write and serve no query, and that nobody is building."""
    found = facts.indexes
    if not found.count:
        return
    told = enumerated([f"{one.index} on {one.table}" for one in found.shown], found.count)
    yield PreflightFinding(
        PreflightCheck.INVALID_INDEXES,
        PreflightLevel.WARN,
        f"{counted(found.count, 'invalid index', 'invalid indexes')} that nobody is building: {told}",
        f"DROP INDEX CONCURRENTLY {found.shown[0].index}; (create_index_concurrently removes by itself what an "
        "earlier attempt of its own step left)",
    )


def replication_slots(facts: Facts) -> Iterator[PreflightFinding]:
    """Name slots without a consumer: all that a backfill writes is kept for them, until the disk is full."""
    found = facts.slots
    if not found.count:
        return
    told = enumerated([_slot(one) for one in found.shown], found.count)
    yield PreflightFinding(
        PreflightCheck.REPLICATION_SLOTS,
        PreflightLevel.WARN,
        f"{counted(found.count, 'replication slot')} without a consumer: {told}",
        "what a run writes is kept for it until the disk is full: start its consumer, or run "
        f"SELECT pg_drop_replication_slot({literal(found.shown[0].name)});",
    )


def _slot(one: IdleSlot) -> str:
    kept = f", keeps {size(max(0, one.retained_bytes))}" if one.retained_bytes is not None else ""
    return f"{one.name} ({one.kind}{kept})"
