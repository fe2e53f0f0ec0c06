"""When a backfill steps back: readings against limits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from upgrader.backfill.brake import Brake, BrakeLimits
from upgrader.database.health import (
    Archiving,
    Health,
    LockWaits,
    OldTransaction,
    Reading,
    Standby,
    Vacuum,
    files_behind,
)

MB = 1024 * 1024
NO_LIMITS = BrakeLimits(0, 0, (), 0, 0, 0, 0)
BAD = Health(
    standbys=(Standby("one", 200 * MB, 5.0),),
    archiving=Archiving(50, is_failing=True, failed_file="0000000100000000000000A5"),
    vacuums=(Vacuum(11, is_automatic=True, is_against_wraparound=True, percent=41.7),),
    lock_waits=LockWaits((12, 13), 2.0),
    oldest_transaction=OldTransaction("pid 14 (report)", 4_000.0, "idle in transaction"),
)


def texts(health: Health, limits: BrakeLimits | None = None, *, now: float = 0.0) -> list[str]:
    """Give what one look says."""
    return [one.text for one in Brake(limits or BrakeLimits()).hindrances(health, now=now)]


def test_healthy_database_lets_go_on():
    """Without standbys, archive and vacuum, and with all of them well."""
    assert texts(Health()) == []
    well = Health(
        standbys=(Standby("one", 8 * MB, 0.2),),
        archiving=Archiving(1),
        lock_waits=LockWaits((12,), 0.4),
        oldest_transaction=OldTransaction("pid 14", 600.0, "active"),
    )
    assert texts(well) == []


def test_everything_at_once():
    """Each reason with its figure and its limit, in one order."""
    assert texts(BAD) == [
        "replication lag of one: 200 MB (limit 100 MB)",
        "the WAL archiver, which fails on 0000000100000000000000A5: 50 files behind (limit 42)",
        "the autovacuum against wraparound of the table, pid 11, 42% scanned (for 600 s at most)",
        "2 sessions that waited for a lock on the table for 2.0 s (limit 1 s): pid 12, 13",
        "the end of a transaction that keeps dead rows: pid 14 (report), idle in transaction,"
        " open for 4000 s (limit 3600 s)",
    ]


def test_limits_turned_off():
    """Zero is off, one by one and all together; what has no limit is not read."""
    assert texts(BAD, NO_LIMITS) == []
    assert NO_LIMITS.readings == frozenset()
    assert BrakeLimits().readings == frozenset(Reading)
    assert replace(NO_LIMITS, replication_lag_seconds=1.5).readings == {Reading.REPLICATION}
    (only_archive,) = texts(BAD, replace(NO_LIMITS, archive_files=50))
    assert "50 files behind" in only_archive


def test_what_is_unknown_holds_nothing_up():
    """A standby whose position is hidden, an archiver that never archived."""
    hidden = Health(
        standbys=(Standby("one", None),),
        archiving=Archiving(None, is_failing=True),
        unknown=frozenset(Reading),
    )
    assert texts(hidden) == []


@pytest.mark.parametrize(
    ("lag_bytes", "lag_seconds", "told"),
    [
        (MB, 1.5, ["replication lag of one: 1.5 s (limit 1.5 s)"]),
        (100 * MB, None, ["replication lag of one: 100 MB (limit 100 MB)"]),
        (100 * MB - 1, 1.4, []),
        (0, 20.0, []),  # its last measure stands after it has caught up
    ],
)
def test_lag_in_bytes_or_seconds(lag_bytes: int, lag_seconds: float | None, told: list[str]):
    """Either limit is enough; seconds alone are an old measure."""
    assert texts(Health(standbys=(Standby("one", lag_bytes, lag_seconds),))) == told


def test_delayed_standby_may_be_behind():
    """One that is named is left out, its old snapshots too; another one is not."""
    health = Health(standbys=(Standby("late", 900 * MB, 3_600.0, 7), Standby("two", 200 * MB)))
    limits = BrakeLimits(ignored_standbys=("late",))
    brake = Brake(limits)
    for now in (0.0, 4_000.0):
        (text,) = [one.text for one in brake.hindrances(health, now=now)]
        assert text == "replication lag of two: 200 MB (limit 100 MB)"


def test_one_vacuum_is_waited_for_so_long_and_no_longer():
    """Ten minutes, then the backfill works beside it; the next vacuum is waited for anew."""
    brake = Brake(BrakeLimits(vacuum_wait_seconds=600))
    first, second = Health(vacuums=(Vacuum(11),)), Health(vacuums=(Vacuum(12),))
    assert brake.hindrances(first, now=100.0)
    assert brake.hindrances(first, now=699.0)
    assert not brake.hindrances(first, now=700.0)
    assert not brake.hindrances(first, now=5_000.0)
    assert brake.hindrances(second, now=5_001.0)
    assert not brake.hindrances(Health(), now=5_002.0)
    assert brake.hindrances(first, now=5_003.0)


def test_horizon_that_stands_still_is_an_old_transaction():
    """Queries of a standby and slots tell no time: it runs from the first look as long as the horizon stands."""
    brake = Brake(BrakeLimits(transaction_seconds=60))
    held = Health(standbys=(Standby("one", 0, held_xmin=700),), slots=(("slot_one", 800),))
    assert not brake.hindrances(held, now=0.0)
    moved = replace(held, standbys=(Standby("one", 0, held_xmin=701),))
    (one,) = brake.hindrances(moved, now=61.0)
    assert "the replication slot slot_one, open for 61 s" in one.text
    assert not brake.hindrances(replace(moved, slots=()), now=61.5)


_SEGMENT = 16 * MB


@pytest.mark.parametrize(
    ("archived", "failed", "behind"),
    [
        ("000000010000000000000009", None, 0),
        ("000000010000000000000008", None, 1),
        ("000000010000000000000005", "000000010000000000000006", 4),
        (None, "000000010000000000000006", 4),
        (None, None, None),
        ("00000002.history", None, None),
        ("000000010000000000000008.00000028.backup", None, 1),
        ("00000001000000000000000A", None, 0),
    ],
)
def test_files_behind_the_archiver(archived: str | None, failed: str | None, behind: int | None):
    """From the names of the files; the one that is being written does not count."""
    current = "00000001000000000000000A"
    assert files_behind(current, archived=archived, failed=failed, segment_bytes=_SEGMENT) == behind


def test_files_behind_over_a_timeline_and_a_border():
    """256 files of 16 MB, or 4 of 1 GB, are one step of the middle number."""
    current, archived = "000000020000000100000001", "0000000100000000000000FE"
    assert files_behind(current, archived=archived, failed=None, segment_bytes=_SEGMENT) == 2
    archived = "000000010000000000000003"
    assert files_behind(current, archived=archived, failed=None, segment_bytes=1024 * MB) == 1
