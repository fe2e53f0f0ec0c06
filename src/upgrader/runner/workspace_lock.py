"""The lock of one workspace: no two runners, of whatever kind, work on it at once.

In a step's transaction it is asked for in the message that begins it, and ends with it. Where a step goes on
outside of a transaction the session holds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import psycopg

if TYPE_CHECKING:
    from upgrader.database.session import CommandSession


class WorkspaceBusy(Exception):  # noqa: N818 - not an error: somebody else is at work on the workspace
    """Another session holds the lock of the workspace; nothing ran."""


class WorkspaceLock:
    """What one attempt holds of the lock of its workspace; without a key there is nothing to lock."""

    def __init__(self, session: CommandSession, key: int | None) -> None:
        """Take nothing yet."""
        self._session = session
        self._key = key
        self._held_by: psycopg.Connection | None = None
        self._is_wanted = False

    @property
    def column(self) -> str:
        """An expression for the probe of a step's transaction; see `is_granted`. Empty without a key."""
        return "" if self._key is None else f"pg_try_advisory_xact_lock({self._key})"

    def split(self, row: tuple[object, ...] | None) -> tuple[tuple[object, ...] | None, bool]:
        """Part the row of a probe with `column` at its end into the probe's own and whether the lock is held."""
        if self._key is None or row is None:
            return row, True
        return row[:-1], row[-1] == "t"

    @property
    def is_held(self) -> bool:
        """Whether the session holds it, beyond the transaction at hand."""
        return self._held_by is not None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold it in the block, for as long as the session has this connection; see `renew`.

        Raises:
            WorkspaceBusy: somebody else has it.
        """
        if self._key is None:
            yield
            return
        if not self._try():
            raise WorkspaceBusy
        self._is_wanted = True
        try:
            yield
        finally:
            self._is_wanted = False
            self._release()

    def renew(self) -> bool:
        """Take it again where the session that held it was replaced; False where somebody came in between.

        That may be the replaced session itself: the server ends it in a moment.
        """
        return not self._is_wanted or self._held_by is self._session.driver or self._try()

    def _try(self) -> bool:
        driver = self._session.driver
        row = driver.execute(f"select pg_try_advisory_lock({self._key})".encode()).fetchone()
        self._held_by = driver if row == (True,) else None
        return self._held_by is not None

    def _release(self) -> None:
        driver, self._held_by = self._held_by, None
        if driver is not None and not driver.closed:
            with suppress(psycopg.Error):  # a session that is lost holds nothing
                driver.execute(f"select pg_advisory_unlock({self._key})".encode())
