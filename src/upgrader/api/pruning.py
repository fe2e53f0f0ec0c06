"""The verb that makes the history shorter."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from upgrader.api.foundation import Foundation
from upgrader.database.failures import translating
from upgrader.history.folding import Folded, HistoryFolding


@dataclass(frozen=True, slots=True)
class PruneReport:
    """What was folded.

    Attributes:
        before: attempts that ended before this time were looked at.
        attempts: rows that are gone, or would be in a dry run.
        kept: rows that stand for them.
        is_whole: False where the run was asked to stop before its end.
    """

    database: str
    before: datetime
    attempts: int
    kept: int
    dry_run: bool
    is_whole: bool = True


class Pruning(Foundation):
    """Folds what decides nothing any more."""

    def prune(self, older_than: timedelta, *, dry_run: bool = False) -> PruneReport:
        """Fold attempts in vain that a later one like them has superseded; nothing that is pending changes by it.

        Takes no run lock: it is safe beside a run. Attempts of commands that run outside a transaction stay, because
        the next attempt goes by what each of them has left behind. Repeatable, and asked to stop after a batch.

        Args:
            older_than: how long ago an attempt has ended at least.
            dry_run: only count.

        Raises:
            LayoutError: the history is of a newer program.
        """
        spared = [step.name for step in self.registry.sequence if not step.transactional]
        before = datetime.now(UTC) - older_than
        with translating(), self._access.reading() as reading:
            folding = HistoryFolding(reading.session.driver, self._access.settings.history_schema)
            done, is_whole = Folded(), True
            for batch in folding.batches(before=before, spared=spared, is_trial=dry_run):
                done += batch
                if self.stop.requested:
                    is_whole = False
                    break
            return PruneReport(reading.description, before, done.attempts, done.kept, dry_run, is_whole)
