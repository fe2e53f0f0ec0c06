"""A project with one table that a backfill counts up, and the upgrades that do it."""

from __future__ import annotations

from typing import Any

from tests.support.project import Project
from upgrader.events import EventSink, ignore_events
from upgrader.runner.options import UpgradeOptions
from upgrader.runner.result import RunReport
from upgrader.runner.stop import StopToken

COUNT_UP = 'ctx.backfill("item", set_={"counter": "counter + 1"}, batch_size=10)'


def make_items(project: Project, rows: int = 100, *, key: str = "primary key") -> None:
    """Make the table `item`: an id, a note, and a counter of how often a row was changed."""
    with project.connect() as connection:
        connection.execute(
            f"create table item (id int {key}, note text not null default '', counter int not null default 0)".encode()
        )
        connection.execute("insert into item select i from generate_series(1, %s) i", [rows])


def upgrade(
    project: Project, *, emit: EventSink = ignore_events, stop: StopToken | None = None, **options: Any
) -> RunReport:
    """Run an upgrade, slow steps included."""
    return project.api(emit=emit, stop=stop).upgrade(UpgradeOptions(include_slow=True, **options))


def counters(project: Project, *, upto: int = 2**31 - 1) -> list[tuple[int, int]]:
    """Give how often rows were changed, and how many were so; of the rows with an id up to `upto`."""
    return project.query("select counter, count(*) from item where id <= %s group by 1 order by 1", upto)


def checkpoints(project: Project) -> list[tuple[str, int, int, bool]]:
    """Give the checkpoints: label, rows done, batches, whether they are finished."""
    return project.query("select label, rows_done, batches, is_finished from upgrader.backfill order by id")


def error_of(report: RunReport) -> str:
    """Give the text of the only failure."""
    (failure,) = report.failures
    assert failure.error is not None
    return failure.error
