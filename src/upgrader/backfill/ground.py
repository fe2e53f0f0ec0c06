"""Where the batches of a backfill run: each in a transaction of its own, which commits it with its checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, cast

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection


class Ground(Protocol):
    """Gives the batches their transactions."""

    @property
    def is_trial(self) -> bool:
        """Whether everything is rolled back in the end; a sample of the rows is enough then."""

    @property
    def driver(self) -> psycopg.Connection:
        """The connection on which they run, for the walk's own statements."""

    def transaction(self, final: Callable[[], str]) -> AbstractContextManager[Connection]:
        """Open a transaction for the block; it commits at the block's end, with what `final` gives then.

        An exception in the block, or in `final`, rolls it back.

        Raises:
            StepError: one is open already.
        """


class TrialGround:
    """Savepoints in a transaction that is somebody else's: a dry run's, or an author's test's.

    On a connection in autocommit, which has none, each batch is a transaction; no checkpoint is kept either way.
    """

    is_trial = True

    def __init__(self, connection: Connection) -> None:
        """Take the connection inside the transaction."""
        self._connection = connection

    @property
    def driver(self) -> psycopg.Connection:
        """The connection on which batches run."""
        return cast("psycopg.Connection", self._connection.connection.driver_connection)

    @contextmanager
    def transaction(self, final: Callable[[], str]) -> Iterator[Connection]:
        """Set a savepoint for the block, or begin a transaction."""
        is_outside = self.driver.autocommit and self.driver.info.transaction_status is TransactionStatus.IDLE
        with self.driver.transaction() if is_outside else self._connection.begin_nested():
            yield self._connection
            final()
