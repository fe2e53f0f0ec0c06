"""Reads the figures of a database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from upgrader.worker.metrics.figures import Figure, figures_of

if TYPE_CHECKING:
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
