"""The verbs for backfills that are at work in another process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from upgrader.api.foundation import Foundation
from upgrader.backfill.orders import OrderTable, Wanted
from upgrader.backfill.standing import Backfill, BackfillFilter, BackfillState
from upgrader.database.connect import client_name, identifier
from upgrader.database.failures import translating
from upgrader.errors import LayoutError, OperatorError
from upgrader.runner.database_access import Reading
from upgrader.status.backfills import find_backfill, find_backfills


@dataclass(frozen=True)
class Ordered:
    """What became of an operator's word.

    Attributes:
        backfill: as it is now.
        is_changed: whether it was not so before.
    """

    backfill: Backfill
    is_changed: bool


class Backfilling(Foundation):
    """Looks at backfills and tells them what to do. Needs no run lock, and no command modules."""

    def backfills(self, *, limit: int | None = None) -> tuple[Backfill, ...]:
        """Give the backfills whose step is not complete, the oldest first; writes nothing, takes no lock.

        Args:
            limit: at most so many.
        """
        schema = self.settings.history_schema
        with translating(), self._access.reading() as reading:
            wanted = BackfillFilter(limit=limit)
            return find_backfills(reading.session.driver, reading.store, schema=schema, wanted=wanted)

    def backfill(self, name: str) -> Backfill:
        """Give one backfill; writes nothing, takes no lock.

        Args:
            name: its id, `STEP/label`, or one of the two where that is enough.

        Raises:
            OperatorError: there is none of that name, or more than one.
        """
        with translating(), self._access.reading() as reading:
            return self._find(reading, name)

    def pause_backfill(self, name: str) -> Ordered:
        """Let a backfill rest after the batch at hand, until it is resumed; in the next run, too.

        Raises:
            OperatorError: there is no such backfill, or nothing is left of it.
        """
        with translating(), self._access.reading() as reading:
            found = self._find(reading, name)
            if found.state is BackfillState.FINISHED:
                raise OperatorError(
                    f"backfill {found.id} ({found.name}) is through: nothing is left to pause",
                    hint="the step that it belongs to goes on by itself, or with the next `upgrader upgrade`",
                )
            if found.state is BackfillState.PAUSED:
                return Ordered(found, is_changed=False)
            with self._ordering(reading) as orders:
                orders.give(found.id, Wanted.PAUSE, by=client_name())
            return Ordered(self._find(reading, str(found.id)), is_changed=True)

    def resume_backfill(self, name: str) -> Ordered:
        """Take the word back that paused a backfill.

        Raises:
            OperatorError: there is no such backfill.
        """
        with translating(), self._access.reading() as reading:
            found = self._find(reading, name)
            with self._ordering(reading) as orders:
                is_changed = orders.withdraw(found.id, Wanted.PAUSE)
            return Ordered(self._find(reading, str(found.id)), is_changed=is_changed)

    def cancel_backfill(self, name: str) -> Ordered:
        """End the step of a backfill after the batch at hand; the next run goes on from there.

        Raises:
            OperatorError: there is no such backfill, or no run works on it.
        """
        with translating(), self._access.reading() as reading:
            found = self._find(reading, name)
            if found.state is BackfillState.FINISHED or not found.has_run:
                why = "is through" if found.state is BackfillState.FINISHED else "has no run that works on it"
                raise OperatorError(
                    f"backfill {found.id} ({found.name}) {why}: there is nothing to cancel",
                    hint=f"`upgrader backfill pause {found.id}` keeps the next run from going on with it",
                )
            if found.wanted is Wanted.CANCEL:
                return Ordered(found, is_changed=False)
            with self._ordering(reading) as orders:
                orders.give(found.id, Wanted.CANCEL, by=client_name())
            return Ordered(found, is_changed=True)

    def _find(self, reading: Reading, name: str) -> Backfill:
        schema = self.settings.history_schema
        return find_backfill(reading.session.driver, reading.store, schema=schema, name=name)

    @contextmanager
    def _ordering(self, reading: Reading) -> Iterator[OrderTable]:
        driver, schema = reading.session.driver, self.settings.history_schema
        try:
            yield OrderTable(lambda: driver, schema)
        except psycopg.errors.InsufficientPrivilege as error:
            user, table = identifier(driver.info.user), identifier(schema, "backfill_order")
            raise LayoutError(
                f"role {user} may not give orders to backfills",
                hint=f"let its owner run: GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {user};",
            ) from error
