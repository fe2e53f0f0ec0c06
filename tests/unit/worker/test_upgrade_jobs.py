"""When deferred slow steps may run; no database is touched."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from upgrader.database.connect import Connector
from upgrader.registry import Registry
from upgrader.settings import Settings
from upgrader.worker.ground import WorkerGround
from upgrader.worker.running import RunningJob, run_job
from upgrader.worker.upgrade_jobs import DEFERRED_JOB, UpgradeJobs

DUE = datetime(2026, 3, 1, 2, tzinfo=UTC)


class BegunError(Exception):
    """The commands are wanted: it would begin."""


def run(*, due: datetime | None, after_seconds: float) -> object:
    """Run the job so long after a window began, an hour's."""
    settings = Settings.model_validate(
        {"database_url": "postgresql://nowhere/none", "worker": {"deferred_window_cron": "0 0 2 * * *"}}
    )
    ground = WorkerGround(
        settings, Connector("postgresql://nowhere/none"), "upgrader_worker", "w", is_queueing=False
    )

    def load_commands() -> Registry:
        raise BegunError

    jobs = UpgradeJobs(
        ground,
        directory=Path(),
        load_commands=load_commands,
        clock=lambda: DUE + timedelta(seconds=after_seconds),
    )
    return run_job(RunningJob(DEFERRED_JOB, due=due), jobs.run_deferred)


@pytest.mark.parametrize(
    ("due", "after_seconds"),
    [(DUE, 0), (DUE, 3_599), (None, 60), (None, 4 * 3_600)],
    ids=["in time", "at the end", "started in a window", "somebody asked for it"],
)
def test_it_runs_in_its_window_and_when_it_is_asked_for(due: datetime | None, after_seconds: float) -> None:
    """Whoever asks for it has a window of its own."""
    with pytest.raises(BegunError):
        run(due=due, after_seconds=after_seconds)


@pytest.mark.parametrize("after_seconds", [3_600, 4 * 3_600])
def test_a_tick_that_is_fired_after_its_window(
    after_seconds: float, caplog: pytest.LogCaptureFixture
) -> None:
    """The database was away meanwhile, for example: nothing is run in the hours for which nobody gave leave."""
    caplog.set_level("INFO")
    assert run(due=DUE, after_seconds=after_seconds) == {"outcome": "over"}
    assert "the window that began at 2026-03-01T02:00:00+00:00 is over" in caplog.text
