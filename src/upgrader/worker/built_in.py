"""What every worker has beside the jobs of its modules: hosts of queues, and scheduled jobs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

from upgrader.api import Upgrader
from upgrader.events import EventSink
from upgrader.redaction import Redactor
from upgrader.registry import Registry, load
from upgrader.worker.discovery import Discovered
from upgrader.worker.distributed.worker import DistributedUpgradeWorker, Participation
from upgrader.worker.ground import WorkerGround
from upgrader.worker.host import QueueWorkerHost
from upgrader.worker.lifecycle import WorkerLifecycleJob, WorkerLifecycleProcessor
from upgrader.worker.queue.job_queue import JobQueue
from upgrader.worker.scheduling.jobs import DiscoveredScheduledJob
from upgrader.worker.upgrade_jobs import UpgradeJobs
from upgrader.worker.workspace_events.discovered import delivery_of, discovered_subscriptions
from upgrader.worker.workspace_events.telling_runs import check_queue_for, telling_discovered
from upgrader.worker.workspace_events.webhooks.shared_places import SharedPlaces

_logger = logging.getLogger("upgrader.worker")
_LEAVE_SECONDS = 2.0  # to tell the coordinators of runs in which nothing is at work


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
        self._directory = directory
        self._participation: Participation | None = None
        self._queue: JobQueue | None = None
        self._places: SharedPlaces | None = None
        self.upgrades = UpgradeJobs(
            ground, directory=directory, load_commands=lambda: self.commands, telling=self._telling
        )

    @cached_property
    def commands(self) -> Registry:
        """The upgrade commands; loaded once, since a directory is loaded anew each time.

        Raises:
            LoadingError: with all problems at once.
        """
        return load(self._ground.settings.commands, base=self._directory)

    def scheduled(self) -> tuple[DiscoveredScheduledJob, ...]:
        """Give the scheduled jobs."""
        return (*WorkerLifecycleJob(self._ground).scheduled(), *self.upgrades.scheduled())

    def hosts(self) -> Iterator[QueueWorkerHost]:
        """Give the hosts of queues: life signs, durable event handlers, upgrades over several machines.

        Raises:
            OperatorError: a handler of events cannot be used.
            LoadingError: there are commands, and they cannot be loaded.
        """
        yield WorkerLifecycleProcessor(self._ground)
        self._queue = JobQueue(self._ground.connector, schema=self._ground.schema)
        delivery = delivery_of(self._discovered, queue=self._queue)
        if delivery is not None:
            if self._ground.settings.worker.log_registered_jobs:
                _logger.info("durable handlers of workspace events: %s", ", ".join(delivery.handler_names))
            self._places = SharedPlaces(self._ground.connector, schema=self._ground.schema)
            delivery.share(self._places)
            yield delivery
        if self._has_commands:
            upgrader = Upgrader(self._ground.settings, base=self._directory)
            upgrader.registry = self.commands
            self._participation = Participation(upgrader, say=lambda text: _logger.info("%s", text))
            yield DistributedUpgradeWorker(self._participation)

    def check(self) -> None:
        """See whether what is scheduled can run at all: better now than at two in the morning.

        Raises:
            LoadingError: the commands cannot be loaded.
            OperatorError: a handler of events is durable, and there is no queue to tell it of deferred steps.
        """
        if self.upgrades.is_used:
            _ = self.commands
        if self._ground.settings.worker.deferred_window_cron is not None:
            check_queue_for(discovered_subscriptions(self._discovered), is_queueing=self._ground.is_queueing)

    def close(self) -> None:
        """Leave the runs that this worker took part in; the jobs that did so are over."""
        if self._participation is not None:
            self._participation.leave(_LEAVE_SECONDS)
        if self._queue is not None:
            self._queue.close()
        if self._places is not None:
            self._places.close()

    def _telling(self) -> AbstractContextManager[EventSink | None]:
        """Tell the handlers of the modules what a run does, as `upgrader upgrade` does."""
        settings = self._ground.settings
        redactor = Redactor().with_secrets(*settings.secrets)
        return telling_discovered(
            self._discovered, settings, directory=self._directory, redact=redactor.redact
        )

    @property
    def _has_commands(self) -> bool:
        """Whether there is anything where the commands should be: a worker may run in a project without any."""
        places = self._ground.settings.commands
        return any(
            (self._directory / place).exists() or (isinstance(place, str) and _is_package(place))
            for place in places
        )


def _is_package(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False
