"""What drives the walk of a backfill: how large the next batch is, and whether there may be one now."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from upgrader.model import Scope, Step


class BackfillStopped(Exception):  # noqa: N818 - not an error: the operator asked
    """A backfill ends before its end, between two batches; the next run goes on there.

    Attributes:
        reason: in words for the history; None where the run was asked to stop.
    """

    def __init__(self, reason: str | None = None) -> None:
        self.reason = reason
        super().__init__(reason or "the run was asked to stop")


class Verdict(StrEnum):
    """What becomes of the next batch."""

    PROCEED = "proceed"
    STOP = "stop"
    """The run was asked to stop."""
    CANCEL = "cancel"
    """The operator cancelled this backfill."""


@dataclass(frozen=True, slots=True)
class BackfillProgress:
    """How far a backfill is.

    Attributes:
        checkpoint_id: of its row in the table `backfill`; None where no checkpoint is kept (in a dry run).
        relation_oid: of the table that is walked.
        relation: its qualified name, as SQL.
        rows_done: rows gone through, by all runs together.
        rows_estimated: rows of the table by the planner's statistics when it began; None where there are none.
        batches: committed, by all runs together.
        batch_rows: the size of the next batch.
        rows_per_second: lately; None before the first batch of this run.
    """

    step: Step
    scope: Scope
    label: str
    checkpoint_id: int | None
    relation_oid: int
    relation: str
    rows_done: int
    rows_estimated: int | None
    batches: int
    batch_rows: int
    rows_per_second: float | None = None


class Pacer(Protocol):
    """Decides how large a batch is; pure. One for each walk."""

    @property
    def rows(self) -> int:
        """The size of the next batch, at least 1."""

    @property
    def rows_per_second(self) -> float | None:
        """How fast it goes lately; None before the first batch."""

    def succeeded(self, *, rows: int, seconds: float) -> None:
        """Take note of a batch that was committed.

        Args:
            rows: of the table, that it went through; whether they were changed or were as they should be already.
            seconds: from its first message to its commit.
        """

    def failed(self, error_kind: str) -> bool:
        """Take note of a batch that met `error_kind` (a timeout, a deadlock, …) and was rolled back.

        Returns:
            Whether it is to be tried again, smaller; False once there were too many in a row.
        """

    def begin_again(self) -> None:
        """Forget what was measured: the rows that come now take longer than those that went before."""

    def pause_seconds(self) -> float:
        """Give the pause before the next batch."""


class Governor(Protocol):
    """Decides whether there may be a batch now. One for each walk."""

    def before_batch(self, progress: BackfillProgress, *, rest_seconds: float = 0.0) -> Verdict:
        """Wait until the next batch may begin, or is not to; called outside of any transaction.

        Args:
            rest_seconds: what the pacer wants to rest in any case.
        """

    @property
    def reason(self) -> str | None:
        """Why it said STOP or CANCEL, in words for the history: `cancelled by ana`; None for a plain stop."""


@dataclass
class FixedPacer:
    """Batches of one size; after a failure half of it, until the next success. At most `tries` failures in a row."""

    size: int = 1_000
    pause: float = 0.0
    tries: int = 10
    rows_per_second: float | None = None
    _rows: int = 0
    _failures: int = 0

    @property
    def rows(self) -> int:
        """The size of the next batch."""
        return self._rows or self.size

    def succeeded(self, *, rows: int, seconds: float) -> None:
        """Take note of a batch that was committed: back to the full size."""
        self._rows, self._failures = 0, 0
        self.rows_per_second = rows / max(seconds, 1e-6)

    def failed(self, error_kind: str) -> bool:
        """Take note of a batch that was rolled back."""
        del error_kind
        self._failures += 1
        self._rows = max(1, self.rows // 2)
        return self._failures < self.tries

    def begin_again(self) -> None:
        """Keep to the size."""

    def pause_seconds(self) -> float:
        """Give the pause before the next batch."""
        return self.pause


def _never_asked(seconds: float) -> bool:
    time.sleep(seconds)
    return False


class OpenGovernor:
    """Lets every batch through, until the run is asked to stop."""

    reason: str | None = None

    def __init__(self, wait: Callable[[float], bool] = _never_asked) -> None:
        """Take what sleeps, but no longer than until the run is asked to stop; it tells whether it was."""
        self._wait = wait

    def before_batch(self, progress: BackfillProgress, *, rest_seconds: float = 0.0) -> Verdict:
        """Let the batch through."""
        del progress
        return Verdict.STOP if self._wait(rest_seconds) else Verdict.PROCEED
