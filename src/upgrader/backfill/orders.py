"""What operators want of backfills: rows that one terminal writes and the run at work reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

import psycopg

from upgrader.database.aside import Asks, ConnectionBusy
from upgrader.database.connect import identifier


class Wanted(StrEnum):
    """What an operator wants of a backfill."""

    PAUSE = "pause"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Order:
    """An operator's word on one backfill; it stands until it is withdrawn or obeyed.

    Attributes:
        by: the database's user and the host.
        at: in seconds of the server's clock.
    """

    backfill_id: int
    wanted: Wanted
    by: str
    at: float


class OrderTable:
    """The orders in the history schema. Every method is one statement in autocommit."""

    def __init__(self, asks: Callable[[], Asks], schema: str) -> None:
        """Read nothing yet.

        Args:
            asks: gives an open connection in autocommit, or somebody else's, aside.
            schema: the history schema.
        """
        self._asks = asks
        self._orders = identifier(schema, "backfill_order").replace("%", "%%")
        self._backfills = identifier(schema, "backfill").replace("%", "%%")

    def read(self) -> tuple[float, Mapping[int, Order]]:
        """Give the server's time in seconds and all orders, by the backfill's id.

        As numbers: how the server writes times is a setting of role and database.
        """
        rows = (
            self._asks()
            .execute(
                "select extract(epoch from clock_timestamp())::float8, o.backfill_id, o.wanted, o.ordered_by,"
                " extract(epoch from o.ordered_at)::float8"
                f" from (select) now left join {self._orders} o on true",
                [],
            )
            .fetchall()
        )
        orders = {row[1]: Order(row[1], Wanted(row[2]), row[3], row[4]) for row in rows if row[1] is not None}
        return rows[0][0], orders

    def give(self, backfill_id: int, wanted: Wanted, *, by: str) -> None:
        """Order something, instead of what was ordered before; the same again leaves the first one."""
        self._asks().execute(
            f"insert into {self._orders} as o (backfill_id, wanted, ordered_by)"
            " values (%s, %s, session_user || ' on ' || %s) on conflict (backfill_id) do update"
            " set wanted = excluded.wanted, ordered_by = excluded.ordered_by, ordered_at = clock_timestamp()"
            " where o.wanted <> excluded.wanted",
            [backfill_id, wanted.value, by],
        )

    def withdraw(self, backfill_id: int, wanted: Wanted) -> bool:
        """Take an order back, or note that it is obeyed; tell whether it was there."""
        return bool(
            self._asks()
            .execute(
                f"delete from {self._orders} where backfill_id = %s and wanted = %s returning backfill_id",
                [backfill_id, wanted.value],
            )
            .fetchall()
        )

    def note_waiting(self, backfill_id: int, reason: str | None, *, run_id: str) -> None:
        """Write what a backfill waits for into its row, for other terminals; None: it waits no longer.

        The time is that of the first word: figures in it change while it waits. Never raises what the server
        says: whatever waits goes on waiting.
        """
        with suppress(psycopg.Error, ConnectionBusy):
            self._asks().execute(
                f"update {self._backfills} set waiting_for = %s, run_id = %s, waiting_since = case"
                " when %s then coalesce(waiting_since, clock_timestamp()) end where id = %s",
                [reason, run_id, reason is not None, backfill_id],
            )
