"""The figures that all workers hand out: what one of them saw last, with the queues as they are just now."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from upgrader.database.connect import identifier
from upgrader.worker.metrics.figures import Figure, figures_document, figures_from, queue_figures

if TYPE_CHECKING:
    import psycopg

    from upgrader.worker.ground import WorkerGround
    from upgrader.worker.queue.administration import QueueState

_TABLE = "upgrade_status"


def keep_figures(driver: psycopg.Connection, schema: str, figures: Iterable[Figure]) -> None:
    """Write down what was seen of instance, workspaces and backfills, for every worker."""
    driver.execute(
        f"insert into {identifier(schema, _TABLE)} (document) values (%s::jsonb) on conflict (only_row) do update"
        " set document = excluded.document, taken_at = clock_timestamp()".encode(),
        [json.dumps(figures_document(figures))],
    )


def kept_figures(driver: psycopg.Connection, schema: str) -> tuple[Figure, ...]:
    """Read what was seen last; nothing where nobody has looked yet."""
    row = driver.execute(f"select document from {identifier(schema, _TABLE)}".encode()).fetchone()
    return figures_from(row[0]) if row else ()


class WorkerFigures:
    """Reads the figures that a worker hands out, on a connection for each time."""

    def __init__(self, ground: WorkerGround) -> None:
        """Open nothing yet."""
        self._ground = ground

    def __call__(self) -> tuple[Figure, ...]:
        """Read them.

        Raises:
            UpgraderError: the database does not answer.
        """
        with self._ground.connected() as driver:
            figures = kept_figures(driver, self._ground.schema)
            return (*figures, *figures_of_queues(self._queues(driver)))

    def waiting(self) -> dict[str, int]:
        """Read how many jobs wait in each queue."""
        with self._ground.connected() as driver:
            return {state.name: state.waiting for state in self._queues(driver)}

    def _queues(self, driver: psycopg.Connection) -> Iterable[QueueState]:
        from upgrader.worker.queue.administration import QueueAdministration

        return QueueAdministration(driver, self._ground.schema).queues()


def figures_of_queues(states: Iterable[QueueState]) -> tuple[Figure, ...]:
    """Give the figures of queues."""
    found = list(states)
    return queue_figures(
        {state.name: state.waiting for state in found}, failed={state.name: state.failed for state in found}
    )
