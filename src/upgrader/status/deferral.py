"""Since when slow steps have been put off."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from upgrader.command import CommandKind
from upgrader.history.store import AttemptFilter
from upgrader.model import AttemptStatus

if TYPE_CHECKING:
    from datetime import datetime

    from upgrader.history.store import HistoryStore
    from upgrader.model import Step
    from upgrader.sequence.sequence import StepSequence


def deferred_since(
    deferred: Iterable[Step], sequence: StepSequence, store: HistoryStore
) -> Mapping[str, datetime]:
    """Give the moment from which each slow step could have run: when the fast step before it was completed.

    A step without one before it, or whose was never completed, has none. One query for each of those fast steps.
    """
    found: dict[str, datetime] = {}
    known: dict[str, datetime | None] = {}
    for step in deferred:
        before = _fast_step_before(step, sequence)
        if before is None:
            continue
        if before not in known:
            known[before] = _completed_at(before, store)
        moment = known[before]
        if moment is not None:
            found[step.name] = moment
    return found


def _fast_step_before(step: Step, sequence: StepSequence) -> str | None:
    earlier = [
        one.name for one in sequence.steps if one.kind is CommandKind.FAST and one.sort_key < step.sort_key
    ]
    return earlier[-1] if earlier else None


def _completed_at(name: str, store: HistoryStore) -> datetime | None:
    wanted = AttemptFilter(step=name, instance_only=True, status=AttemptStatus.COMPLETED, limit=1)
    return next((attempt.finished_at for attempt in store.attempts(wanted)), None)
