"""The settings of backfills in the terms of those who use them."""

from upgrader.backfill.brake import BrakeLimits
from upgrader.backfill.pacing import Pace
from upgrader.runner.backfill_control import brake_limits, pace
from upgrader.runner.given_settings import run_settings
from upgrader.settings import Settings
from upgrader.settings.backfill import BackfillSettings
from upgrader.version import ApplicationVersion


def test_defaults_are_the_same():
    """What the reference shows is what a pace and limits of their own begin with."""
    assert pace(BackfillSettings()) == Pace()
    assert brake_limits(BackfillSettings()) == BrakeLimits()


def test_every_setting_arrives():
    """Each one, by another value than its default; no two are mixed up."""
    given = {
        "batch_seconds": 0.5,
        "batch_rows": 7,
        "min_batch_rows": 8,
        "max_batch_rows": 9,
        "batch_tries": 10_000,
        "pause_seconds": 0.25,
        "max_rows_per_second": 11.0,
        "synchronous_commit": True,
        "replication_lag_bytes": 12,
        "replication_lag_seconds": 13.0,
        "ignored_standbys": ("late",),
        "archive_files": 14,
        "vacuum_wait_seconds": 15.0,
        "lock_wait_seconds": 16.0,
        "transaction_seconds": 17.0,
    }
    assert given.keys() == BackfillSettings.model_fields.keys()
    settings = Settings.model_validate({"backfill": given})
    found = run_settings(settings, ApplicationVersion.parse("1.0.0"))
    assert found.pace == Pace(0.5, 8, 9, 7, 0.25, 11.0, 10_000)
    assert found.brake == BrakeLimits(12, 13.0, ("late",), 14, 15.0, 16.0, 17.0)
    assert found.batches_wait_for_disk
    assert not run_settings(Settings(), ApplicationVersion.parse("1.0.0")).batches_wait_for_disk
