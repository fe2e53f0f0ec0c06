"""How a worker shows itself to whoever watches: a page for Prometheus, and a gauge for OpenTelemetry."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from upgrader.worker.metrics.exposition import MetricsServer
from upgrader.worker.metrics.kept import WorkerFigures
from upgrader.worker.metrics.tracing import is_set_up, watch_waiting_jobs

if TYPE_CHECKING:
    from upgrader.worker.ground import WorkerGround
    from upgrader.worker.running import Ended, JobEnd

_logger = logging.getLogger("upgrader.worker")


class Exposure:
    """What of a worker can be seen from outside, as its settings say."""

    def __init__(self, ground: WorkerGround) -> None:
        """Open nothing yet.

        Raises:
            OperatorError: metrics are asked for, and their library is not installed.
        """
        self._worker = ground.settings.worker
        self._figures = WorkerFigures(ground)
        self._is_queueing = ground.is_queueing
        self._server = MetricsServer(self._figures) if self._worker.metrics_port else None

    def also_telling(self, ended: Ended | None) -> Ended | None:
        """Give what is told of each job's end: the metrics, and whoever was told before."""
        server = self._server
        if server is None or ended is None:
            return server.ended if server is not None else ended

        def tell(end: JobEnd) -> None:
            server.ended(end)
            ended(end)

        return tell

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Listen within the block.

        Raises:
            OperatorError: the address is taken, or is none of this machine.
        """
        if self._is_queueing and is_set_up():
            watch_waiting_jobs(self._figures.waiting)
        if self._server is None:
            yield
            return
        port = self._server.start(self._worker.metrics_host, self._worker.metrics_port)
        _logger.info("metrics are served on http://%s:%d/metrics", self._worker.metrics_host, port)
        try:
            yield
        finally:
            self._server.stop()
