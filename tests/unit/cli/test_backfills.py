"""Backfills for people: in lists, in the display of a run, and as JSON."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.cli.builders import STARTED, Clock, Recorded, step, text
from upgrader import events
from upgrader.backfill.orders import Wanted
from upgrader.backfill.standing import Backfill, BackfillState
from upgrader.cli.backfill_meters import BackfillMeters
from upgrader.cli.progress import RunDisplay
from upgrader.cli.rate import TimeLeft
from upgrader.cli.render.backfills import (
    backfill_blocks,
    backfill_fields,
    backfills_blocks,
    rows_text,
    short_moved_text,
    state_text,
)
from upgrader.model import INSTANCE, Scope

RUNNING = Backfill(
    id=3,
    step="1.2.0_FillTotals_17",
    workspace_id=None,
    label="core.invoice",
    relation="core.invoice",
    key_columns=("id",),
    rows_done=1_200_000,
    batches=64,
    rows_estimated=10_000_000,
    batch_rows=20_000,
    rows_per_second=50_000.0,
    waiting_for=None,
    waiting_since=None,
    is_finished=False,
    run_id="f00",
    started_at=STARTED,
    updated_at=STARTED + timedelta(seconds=24),
    wanted=None,
    wanted_by=None,
    wanted_at=None,
    waiting_seconds=None,
    wanted_seconds=None,
    idle_seconds=0.2,
    has_run=True,
)
PAUSED = replace(RUNNING, id=4, wanted=Wanted.PAUSE, wanted_by="ana on db1", wanted_seconds=75.0)
WAITING = replace(
    RUNNING, id=5, workspace_id="acme", waiting_for="replication lag of one", waiting_seconds=14.0
)


def moved(done: int, **rest: Any) -> events.BackfillMoved:
    """Make the event of a backfill of ten million rows."""
    given = {"scope": INSTANCE, "rows_estimated": 10_000_000, **rest}
    return events.BackfillMoved(
        step("FillTotals"), label="core.invoice", rows_done=done, batches=1, batch_rows=20_000, **given
    )


def test_list_says_how_far_each_is_and_why_it_waits() -> None:
    """One line for each; who does not run is explained below."""
    told = text(backfills_blocks([RUNNING, PAUSED, WAITING], has_more=True, width=None)).splitlines()
    assert told[0].split() == ["id", "backfill", "rows", "done", "rows/s", "left", "state"]
    assert " ".join(told[2].split()) == "3 FillTotals/core.invoice 1,200,000 ~12% 50,000 2-4 min running"
    assert " ".join(told[3].split()) == "4 FillTotals/core.invoice 1,200,000 ~12% 50,000 paused"
    assert "in workspace acme" in told[4]
    assert told[6:] == [
        "4: paused by ana on db1, since 1 min 15 s",
        "5: waiting for replication lag of one, since 14.0 s",
        "there are more than these 3: --limit N shows more",
    ]


def test_narrow_list_and_empty_list() -> None:
    """A block for each; nothing is told as nothing."""
    told = text(backfills_blocks([RUNNING], has_more=False, width=60))
    assert told.splitlines() == [
        "3  FillTotals/core.invoice",
        "  1,200,000 of about 10,000,000 rows (12%), 50,000/s, 2-4 min left",
        "  running",
    ]
    assert text(backfills_blocks([], has_more=False, width=None)).startswith("no backfill is at work")


@pytest.mark.parametrize(
    ("changes", "state", "words"),
    [
        ({}, BackfillState.RUNNING, "running"),
        ({"has_run": False}, BackfillState.STOPPED, "the next `upgrader upgrade` goes on from here"),
        ({"is_finished": True, "has_run": False}, BackfillState.FINISHED, "its step is not complete yet"),
        ({"wanted": Wanted.CANCEL, "wanted_by": "ana"}, BackfillState.CANCELLED, "cancelled by ana"),
        (
            {"wanted": Wanted.PAUSE, "wanted_by": "ana", "wanted_seconds": 3.0, "has_run": False},
            BackfillState.PAUSED,
            "paused by ana, since 3.0 s; no run is at work",
        ),
    ],
)
def test_states(changes: dict[str, Any], state: BackfillState, words: str) -> None:
    """What is wanted, whether its run lives, and what it waits for make the state."""
    one = replace(RUNNING, **changes)
    assert one.state is state
    assert words in state_text(one)


@pytest.mark.parametrize(
    ("done", "estimated", "told"),
    [
        (1, None, "1 row"),
        (0, 1_000, "0 of about 1,000 rows (0.0%)"),
        (999_999, 1_000_000, "999,999 of about 1,000,000 rows (99.9%)"),
        (1_000, 1_000, "1,000 of about 1,000 rows (100.0%)"),
        (1_500, 1_000, "1,500 rows, more than the 1,000 that were estimated"),
    ],
)
def test_estimate_is_never_told_as_more_than_it_is(done: int, estimated: int | None, told: str) -> None:
    """No part above all of it, and no whole before its end."""
    assert rows_text(done, estimated) == told


def test_estimate_that_was_too_low() -> None:
    """The part is unknown then, and so is the time that is left."""
    low = replace(RUNNING, rows_estimated=1_000)
    fields = backfill_fields(low)
    assert (fields["percent"], fields["is_estimate_too_low"], fields["left_seconds"]) == (100.0, True, None)
    assert "> estimate" in text(backfills_blocks([low], has_more=False, width=None))
    assert "left:" not in text(backfill_blocks(low))


def test_show_tells_everything() -> None:
    """Table, key, state, rows, batches, rate, time left."""
    told = text(backfill_blocks(replace(RUNNING, key_columns=())))
    for words in (
        "backfill 3: FillTotals/core.invoice",
        "table: core.invoice, by ctid: it has no usable key",
        "state: running",
        "done: 1,200,000 of about 10,000,000 rows (12%)",
        "batches: 64, 20,000 rows in the last one",
        "rate: 50,000 rows/s",
        "left: 2-4 min",
    ):
        assert words in told


def test_display_without_a_terminal() -> None:
    """A line per ten seconds, one when it begins to wait, one when it goes on, one at its end."""
    output, clock = Recorded(), Clock()
    with RunDisplay(output, clock=clock) as display:
        for second in range(1, 25):
            clock.now += 1.0
            display(moved(second * 50_000, rows_per_second=50_000.0))
        for second in range(15):
            clock.now += 1.0
            waits = {"waiting_for": f"replication lag of one: {120 + second} MB (limit 100 MB)"}
            display(moved(1_200_000, waiting_seconds=second + 0.5, **waits))
        clock.now += 1.0
        display(moved(1_250_000, rows_per_second=50_000.0))
        display(moved(10_000_000, rows_per_second=50_000.0, is_finished=True))
    lines = output.err.getvalue().splitlines()
    assert [line.partition(" rows")[0].strip() for line in lines] == [
        "core.invoice: 500,000 of about 10,000,000",
        "core.invoice: 1,000,000 of about 10,000,000",
        "core.invoice: 1,200,000 of about 10,000,000",
        "core.invoice: 1,200,000 of about 10,000,000",
        "core.invoice: 1,250,000 of about 10,000,000",
        "core.invoice: 10,000,000 of about 10,000,000",
    ]
    assert lines[0].endswith(" left")
    assert "; waiting for replication lag of one: 120 MB (limit 100 MB), since 500 ms" in lines[2]
    assert "130 MB (limit 100 MB), since 10.5 s" in lines[3]
    assert lines[5].endswith("(100.0%), 50,000/s")


def test_display_of_many_workspaces() -> None:
    """Their ends are told with the segment; which one waits is told with its name."""
    output, clock = Recorded(), Clock()
    with RunDisplay(output, clock=clock) as display:
        for name in ("one", "two"):
            display(moved(500, scope=Scope(name), is_finished=True))
        display(moved(500, scope=Scope("three"), waiting_for="the autovacuum of the table"))
    (line,) = output.err.getvalue().splitlines()
    assert line.startswith(
        "  workspace three: core.invoice: 500 of about 10,000,000 rows (0.0%); waiting for"
    )


def test_time_left_is_that_of_this_run() -> None:
    """What an earlier run has done counts for no rate."""
    clock = Clock()
    meters = BackfillMeters(clock)
    meters.follow(moved(5_000_000))
    for _ in range(30):
        clock.now += 1.0
        word = meters.follow(moved(5_000_000 + int(clock.now) * 10_000))
    assert word.text.endswith("6-10 min left")


@pytest.mark.parametrize(
    ("given", "left", "told"),
    [
        (
            {"rows_per_second": 50_000.0},
            TimeLeft(150, 230),
            "core.invoice: 12%, 2-4 min left, 50,000/s, 1,200,000 of ~10,000,000 rows",
        ),
        (
            {"waiting_for": "replication lag of one", "waiting_seconds": 3.0},
            TimeLeft(1, 2),
            "core.invoice: 12%, waits for replication lag of one, 1,200,000 of ~10,000,000 rows",
        ),
        ({"rows_estimated": 1_000_000, "rows_per_second": None}, None, "core.invoice: 1,200,000 rows"),
        (
            {"scope": Scope("acme"), "rows_estimated": None, "rows_per_second": 7.4},
            None,
            "workspace acme: core.invoice: 1,200,000 rows, 7/s",
        ),
    ],
)
def test_where_there_is_little_room(given: dict[str, Any], left: TimeLeft | None, told: str):
    """What matters most stands first."""
    assert short_moved_text(moved(1_200_000, **given), left) == told
