"""How fast backfills go, and for what they step back."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from upgrader.settings.group import Count, OptionalTimeoutSeconds, PauseSeconds, SettingsGroup, no_boolean

_BatchSeconds = Annotated[float, BeforeValidator(no_boolean), Field(ge=0.001, le=3_600, allow_inf_nan=False)]
_BatchRows = Annotated[int, BeforeValidator(no_boolean), Field(ge=1, le=100_000_000)]
_OptionalBatchRows = Annotated[int, BeforeValidator(no_boolean), Field(ge=0, le=100_000_000)]
_OptionalRate = Annotated[float, BeforeValidator(no_boolean), Field(ge=0, le=1e12, allow_inf_nan=False)]
_OptionalBytes = Annotated[int, BeforeValidator(no_boolean), Field(ge=0, le=2**63 - 1)]
_OptionalCount = Annotated[int, BeforeValidator(no_boolean), Field(ge=0, le=1_000_000_000)]


class BackfillSettings(SettingsGroup):
    """The pace of backfills, and the limits at which they step back; a limit of 0 is off.

    Where the figures come from stands with `BrakeLimits` and `Pace`, in whose terms they are used.

    Attributes:
        batch_seconds: how long a batch should take.
        batch_rows: the size of every batch; 0: found by measurement.
        min_batch_rows: the smallest that measurement may choose.
        max_batch_rows: the largest.
        batch_tries: so many batches that fail one after the other end the step.
        pause_seconds: the rest after each batch.
        max_rows_per_second: over seconds, rests included; 0: as fast as it goes.
        synchronous_commit: whether a batch is on disk, and with synchronous standbys, before the next one begins.
        replication_lag_bytes: of log that a standby has not replayed.
        replication_lag_seconds: how old what it replays may be.
        ignored_standbys: names of standbys that may be behind.
        archive_files: log files that wait for the archiver.
        vacuum_wait_seconds: how long one vacuum of the table is waited for.
        lock_wait_seconds: how long others may have waited for a lock on the table.
        transaction_seconds: how old a transaction may be that keeps dead rows.
    """

    batch_seconds: _BatchSeconds = 0.2
    batch_rows: _OptionalBatchRows = 0
    min_batch_rows: _BatchRows = 10
    max_batch_rows: _BatchRows = 1_000_000
    batch_tries: Count = 10
    pause_seconds: PauseSeconds = 0.0
    max_rows_per_second: _OptionalRate = 0.0
    synchronous_commit: bool = False
    replication_lag_bytes: _OptionalBytes = 104_857_600
    replication_lag_seconds: OptionalTimeoutSeconds = 1.5
    ignored_standbys: tuple[str, ...] = ()
    archive_files: _OptionalCount = 42
    vacuum_wait_seconds: OptionalTimeoutSeconds = 600.0
    lock_wait_seconds: OptionalTimeoutSeconds = 1.0
    transaction_seconds: OptionalTimeoutSeconds = 3_600.0

    @model_validator(mode="after")
    def _sizes_in_order(self) -> Self:
        if self.min_batch_rows > self.max_batch_rows:
            raise PydanticCustomError(
                "conflict",
                "the smallest batch is larger than the largest",
                {"keys": ("backfill.min_batch_rows", "backfill.max_batch_rows")},
            )
        return self
