"""Puts backfills together with a run: their transactions, their checkpoints, who paces them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection

from upgrader.backfill.backfills import Backfills
from upgrader.backfill.checkpoint import NoCheckpoints, SqlCheckpoints
from upgrader.backfill.control import Governor, OpenGovernor, Pacer
from upgrader.backfill.ground import Ground, TrialGround
from upgrader.backfill.options import Resumption
from upgrader.backfill.pacing import MeasuredPacer
from upgrader.backfill.walk_parts import TellRetry, WalkParts
from upgrader.database.guard import check_transaction
from upgrader.database.leftovers import guarded
from upgrader.database.message import send_message
from upgrader.database.session import CommandSession
from upgrader.errors import StepError
from upgrader.model import Direction, Scope, Step
from upgrader.runner.step_parts import StepParts


@dataclass(frozen=True)
class OwnTransactions:
    """Batches of a data migration: each in a transaction of the runner's."""

    session: CommandSession
    open: Callable[[Callable[[], str]], AbstractContextManager[Connection]]
    is_trial: bool = False

    @property
    def driver(self) -> psycopg.Connection:
        """The connection on which batches run; another one after a failure."""
        return self.session.driver

    def transaction(self, final: Callable[[], str]) -> AbstractContextManager[Connection]:
        """Open a transaction for the block."""
        return self.open(final)


@dataclass(frozen=True)
class OutsideTransactions:
    """Batches of a command that runs in autocommit, on its own connection.

    Attributes:
        settings: names and values for each transaction, as SET takes them.
        check: gives the SQL that checks a transaction, by its marker.
        watching: somebody looks in the block at what the session waits for.
    """

    connection: Connection
    settings: dict[str, str]
    check: Callable[[str], str]
    watching: Callable[[], AbstractContextManager[None]]
    is_trial: bool = False

    @property
    def driver(self) -> psycopg.Connection:
        """The connection on which batches run."""
        driver = self.connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        return driver

    @contextmanager
    def transaction(self, final: Callable[[], str]) -> Iterator[Connection]:
        """Open a transaction for the block."""
        driver, token = self.driver, secrets.token_hex(8)
        if driver.info.transaction_status is not TransactionStatus.IDLE:
            raise StepError(
                "a backfill was begun inside a transaction, or inside a loop over batches",
                hint="end that first; one transaction at a time",
            )
        root = self.connection.get_transaction() or self.connection.begin()  # SQLAlchemy's bookkeeping only
        settings = {**self.settings, "upgrader.step": f"'{token}'"}
        configure = "; ".join(f"set local {name} = {value}" for name, value in settings.items())
        with self.watching():
            try:
                send_message(driver, f"begin; {configure}")
                yield self.connection
                check_transaction(self.connection, root, driver.info.transaction_status)
                send_message(driver, f"{self.check(token)}; {final()}; commit")
            except BaseException as error:
                with suppress(psycopg.Error):  # of a lost connection nothing is left
                    driver.rollback()
                raise guarded(error) from error


def run_backfills(
    parts: StepParts, step: Step, scope: Scope, direction: Direction, *, ground: Ground, tell_retry: TellRetry
) -> Backfills:
    """Make what does the backfills of one attempt."""
    resumption = parts.backfill.resumption
    return Backfills(
        WalkParts(
            step=step,
            scope=scope,
            checksum=step.checksum,
            ground=ground,
            checkpoints=SqlCheckpoints(
                lambda: parts.session.driver,
                parts.settings.schema,
                step=step.name,
                scope=scope,
                run_id=parts.run_id,
                waits_for_disk=parts.settings.batches_wait_for_disk,
            ),
            emit=parts.emit,
            wait=parts.stop.wait,
            tell_retry=tell_retry,
            keeps_checkpoint=resumption is Resumption.KEEP,
        ),
        make_pacer=lambda most_rows: make_pacer(parts, most_rows),
        make_governor=lambda: make_governor(parts),
        label_prefix="down: " if direction is Direction.DOWN else "",
    )


def trial_backfills(
    parts: StepParts, step: Step, scope: Scope, connection: Connection, *, most_rows: int
) -> Backfills:
    """Make what tries backfills inside a transaction that is rolled back.

    Args:
        most_rows: how many rows of each are tried; 0 all of them.
    """
    return Backfills(
        WalkParts(
            step=step,
            scope=scope,
            checksum=step.checksum,
            ground=TrialGround(connection),
            checkpoints=NoCheckpoints(),
            emit=parts.emit,
            wait=parts.stop.wait,
            most_rows=most_rows,
        ),
        make_pacer=lambda most_rows: make_trial_pacer(parts, most_rows),
        make_governor=lambda: OpenGovernor(parts.stop.wait),
    )


def make_pacer(parts: StepParts, most_rows: int | None) -> Pacer:
    """Make what paces one walk.

    Args:
        most_rows: that the author wants in a batch.
    """
    return MeasuredPacer(parts.settings.pace.with_options(parts.backfill, author_rows=most_rows))


def make_trial_pacer(parts: StepParts, most_rows: int | None) -> Pacer:
    """Make what paces one walk of a dry run: it never rests, for its locks stay until it is rolled back."""
    pace = parts.settings.pace.with_options(parts.backfill, author_rows=most_rows)
    return MeasuredPacer(replace(pace, pause_seconds=0.0, max_rows_per_second=None))


def make_governor(parts: StepParts) -> Governor:
    """Make what lets the batches of one walk through."""
    control = parts.backfill_control
    return control.governor() if control is not None else OpenGovernor(parts.stop.wait)
