"""What an operator asks of the backfills of one run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Resumption(StrEnum):
    """What is done with a checkpoint that was found."""

    REFUSE_IF_CHANGED = "refuse-if-changed"
    """Go on from it, unless the command's code has changed since."""

    KEEP = "keep"
    """Go on from it, whatever has changed."""

    RESTART = "restart"
    """Drop it and begin again at the first row."""


@dataclass(frozen=True, slots=True)
class BackfillOptions:
    """The flags of `upgrade` that concern backfills.

    Attributes:
        batch_size: rows per batch, always; None lets the pace be found by measurement.
        pause_ms: the pause after each batch; None as the settings say.
        max_rows_per_second: the most rows per second; None as the settings say.
        resumption: what is done with checkpoints of earlier runs.
        dry_run_rows: how many rows of each backfill a dry run tries; 0 all of them.
    """

    batch_size: int | None = None
    pause_ms: int | None = None
    max_rows_per_second: float | None = None
    resumption: Resumption = Resumption.REFUSE_IF_CHANGED
    dry_run_rows: int = 10_000
