"""What every worker has beside the jobs of its modules: hosts of queues, and scheduled jobs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from upgrader.worker.discovery import Discovered
from upgrader.worker.ground import WorkerGround
from upgrader.worker.host import QueueWorkerHost
from upgrader.worker.lifecycle import WorkerLifecycleJob, WorkerLifecycleProcessor
from upgrader.worker.scheduling.jobs import DiscoveredScheduledJob
from upgrader.worker.upgrade_jobs import UpgradeJobs


class BuiltIn:
    """Puts them together; each part of the runtime adds its own here.

    Attributes:
        upgrades: the jobs for upgrades.
    """

    def __init__(self, ground: WorkerGround, discovered: Discovered, *, directory: Path) -> None:
        """Touch nothing yet.

        Args:
            directory: what relative paths are relative to.
        """
        self._ground = ground
        self._discovered = discovered
        self.upgrades = UpgradeJobs(ground, directory=directory)

    def scheduled(self) -> tuple[DiscoveredScheduledJob, ...]:
        """Give the scheduled jobs."""
        return (*WorkerLifecycleJob(self._ground).scheduled(), *self.upgrades.scheduled())

    def hosts(self) -> Iterator[QueueWorkerHost]:
        """Give the hosts of queues."""
        yield WorkerLifecycleProcessor(self._ground)

    def check(self) -> None:
        """See whether what is scheduled can run at all: better now than at two in the morning.

        Raises:
            LoadingError: the commands cannot be loaded.
        """
        if self.upgrades.is_used:
            _ = self.upgrades.registry
