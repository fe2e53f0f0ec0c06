"""What the backfills of one run share: their pace, the readings of the database, the orders of operators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from upgrader.backfill.brake import BrakeLimits
from upgrader.backfill.control import Governor
from upgrader.backfill.governor import HealthWatch, OrderBook, WatchfulGovernor
from upgrader.backfill.orders import OrderTable
from upgrader.backfill.pacing import Pace
from upgrader.database.aside import Asks
from upgrader.database.health import HealthReader
from upgrader.events import EventSink
from upgrader.settings.backfill import BackfillSettings


@dataclass(frozen=True)
class BackfillControl:
    """Makes what is asked before each batch. All of it shares the connection of the history, in single statements."""

    run_id: str
    book: OrderBook
    watch: HealthWatch
    emit: EventSink
    wait: Callable[[float], bool]

    @classmethod
    def of_run(
        cls,
        run_id: str,
        *,
        asks: Callable[[], Asks],
        schema: str,
        limits: BrakeLimits,
        emit: EventSink,
        wait: Callable[[float], bool],
    ) -> BackfillControl:
        """Make it for a run; asks nothing yet.

        Args:
            asks: gives the connection of the history, aside.
            wait: sleeps, but no longer than until the run is asked to stop; tells whether it was.
        """
        own = (f"upgrader/{run_id}", f"upgrader-watch/{run_id}")
        book = OrderBook(OrderTable(asks, schema))
        return cls(run_id, book, HealthWatch(HealthReader(asks, own), limits, emit), emit, wait)

    def governor(self) -> Governor:
        """Make what lets the batches of one backfill through."""
        return WatchfulGovernor(self.book, self.watch, self.emit, self.run_id, self.wait)


def pace(settings: BackfillSettings) -> Pace:
    """Put the settings of the pace of backfills into its own terms."""
    return Pace(
        target_seconds=settings.batch_seconds,
        min_rows=settings.min_batch_rows,
        max_rows=settings.max_batch_rows,
        batch_rows=settings.batch_rows or None,
        pause_seconds=settings.pause_seconds,
        max_rows_per_second=settings.max_rows_per_second or None,
        max_failures=settings.batch_tries,
    )


def brake_limits(settings: BackfillSettings) -> BrakeLimits:
    """Put the settings of the limits at which backfills step back into their own terms."""
    return BrakeLimits(
        replication_lag_bytes=settings.replication_lag_bytes,
        replication_lag_seconds=settings.replication_lag_seconds,
        ignored_standbys=settings.ignored_standbys,
        archive_files=settings.archive_files,
        vacuum_wait_seconds=settings.vacuum_wait_seconds,
        lock_wait_seconds=settings.lock_wait_seconds,
        transaction_seconds=settings.transaction_seconds,
    )
