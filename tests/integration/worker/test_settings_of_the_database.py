"""What role and database have set for their sessions: runs and workers read and write as ever."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.support.project import Project
from tests.support.queue_hosts import Mails, consuming
from tests.support.schedulers import Schedulers, ticks_of
from tests.support.server import wait_until
from tests.support.worker_queue import QueueGround
from upgrader.database.connect import Connector
from upgrader.worker import scheduled_job


class Often:
    """A job that is due every so often."""

    @scheduled_job(name="often", interval=0.2)
    def run(self) -> None:
        """Do nothing."""


def set_for_sessions(url: str, **settings: str) -> None:
    """Set what sessions of a database begin with."""
    with psycopg.connect(url, autocommit=True) as admin:
        for name, value in settings.items():
            admin.execute(f"alter database {admin.info.dbname} set {name} = {value}".encode())


def test_the_style_of_dates(project: Project) -> None:
    """psycopg reads no other than ISO; in which order a date is written stays as it was, after a RESET, too."""
    set_for_sessions(project.database_url, datestyle="'SQL, DMY'", timezone="'Asia/Kolkata'")
    with Connector(project.database_url).connect() as driver:
        for _ in range(2):
            assert driver.info.parameter_status("DateStyle") == "ISO, DMY"
            assert driver.execute("select '02/03/2026'::date::text").fetchone() == ("2026-03-02",)
            driver.execute("reset all")
    project.create_workspaces("a", "b", "c")
    project.workspace("1.0.0", 1, "Fine", "SELECT 1 / (current_setting('datestyle') = 'SQL, DMY')::int")
    for verb in (
        ("upgrade", "--workspace-id", "a"),
        ("workspace", "quarantine", "b", "--reason", "to be looked at"),
        ("upgrade", "--dry-run"),
        ("upgrade", "--jobs", "2"),
        ("status",),
        ("history",),
        ("why", "b"),
        ("preflight",),
        ("plan",),
        ("workspace", "list"),
        ("backfill", "list"),
    ):
        told = project.run_cli(*verb)
        assert told.returncode in (0, 4), (verb, told.stderr)
        assert "bug of the program" not in told.stderr, verb


def test_ticks_where_dates_have_another_style(
    scheduler: Schedulers, connection: psycopg.Connection[Any], database_url: str
) -> None:
    """A scheduler reads when the last ones were."""
    set_for_sessions(database_url, datestyle="'German, DMY'")
    for ticks in (1, 3):
        with scheduler(Often) as made:
            made.start()
            wait_until(lambda: len(ticks_of(connection)) >= ticks)  # noqa: B023 - called within the loop


def test_a_worker_where_transactions_are_serializable(
    ground: QueueGround, caplog: pytest.LogCaptureFixture
) -> None:
    """Jobs are taken and ended at the same time, and none is in another's way."""
    set_for_sessions(ground.url, default_transaction_isolation="'serializable'")
    for number in range(100):
        ground.queue.add("mails", "send", {"n": number})
    first, second = Mails(), Mails()
    with consuming(ground.url, first), consuming(ground.url, second):
        wait_until(lambda: len(first.seen) + len(second.seen) == 100)
        wait_until(lambda: set(ground.jobs("status::text")) == {("succeeded",)})
    assert "could not serialize access" not in caplog.text
