"""Reads the figures of a database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from upgrader.worker.metrics.figures import Figure, figures_of

if TYPE_CHECKING:
    from pathlib import Path

    from upgrader.api import Upgrader


def read_figures(upgrader: Upgrader) -> tuple[Figure, ...]:
    """Look at instance, workspaces, deferred steps and backfills; writes nothing, takes no lock.

    As long as `status` takes: a worker does it now and then, and hands out what it saw.

    Raises:
        UpgraderError: the database does not answer, or the commands do not load.
    """
    report = upgrader.status()
    return figures_of(
        report,
        backfills=upgrader.backfills(limit=100),
        deferred_since=upgrader.deferred_since(report.deferred),
        now=datetime.now(UTC),
    )


def read_all_figures(upgrader: Upgrader, *, directory: Path | None = None) -> tuple[Figure, ...]:
    """Read them with those of the queues, where a worker has made some; writes nothing.

    Args:
        directory: what an embedded server's relative directory is relative to.

    Raises:
        UpgraderError: as `read_figures`, or the queue's database does not answer.
    """
    from upgrader.worker.metrics.kept import figures_of_queues
    from upgrader.worker.queue.administration import queue_administration

    with queue_administration(upgrader.settings, directory=directory) as queues:
        return (*read_figures(upgrader), *figures_of_queues(queues.queues()))
