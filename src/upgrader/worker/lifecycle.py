"""The jobs that every worker has: it announces itself, and says every 30 seconds that scheduler and queue work."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from pydantic import BaseModel

from upgrader.worker.decorators import queue_job_handler, queue_worker
from upgrader.worker.ground import WorkerGround
from upgrader.worker.host import Job, QueueWorkerHost
from upgrader.worker.names import HEARTBEAT_JOB
from upgrader.worker.options import QueueJobOptions, ScheduledJobOptions
from upgrader.worker.registry import note_sign
from upgrader.worker.scheduling.cron import CronExpression
from upgrader.worker.scheduling.jobs import BUILT_IN, DiscoveredScheduledJob

STARTUP_JOB = "worker.startup"
_logger = logging.getLogger("upgrader.worker.lifecycle")


class WorkerLifecyclePayload(BaseModel):
    """What the two jobs carry: when it was said, and by which worker."""

    timestamp: datetime
    worker: str


class WorkerLifecycleJob:
    """Says that the worker is there: what it returns is queued."""

    def __init__(self, ground: WorkerGround) -> None:
        self._ground = ground

    def announce_startup(self) -> WorkerLifecyclePayload:
        """Say that this worker has started."""
        return self._payload()

    def heartbeat(self) -> WorkerLifecyclePayload:
        """Say that it lives."""
        return self._payload()

    def scheduled(self) -> tuple[DiscoveredScheduledJob, ...]:
        """Give the two jobs; they are there, and switched off, where nothing is queued."""
        worker, is_queueing = self._ground.settings.worker, self._ground.is_queueing
        startup = ScheduledJobOptions(
            name=f"{STARTUP_JOB}.scheduler",
            description="announce that this worker has started",
            enabled=is_queueing,
            run_on_start=True,
            prevent_overlap=False,  # each worker announces itself, also where several start at once
            timeout=0,
            queue_name=worker.default_queue,
            queue_job_name=STARTUP_JOB,
        )
        heartbeat = ScheduledJobOptions(
            name=f"{HEARTBEAT_JOB}.scheduler",
            description="say that scheduler and queue work",
            enabled=is_queueing and worker.heartbeat_enabled,
            cron=CronExpression.EVERY_30_SECONDS,
            timeout=0,
            queue_name=worker.default_queue,
            queue_job_name=HEARTBEAT_JOB,
            queue_job_options=QueueJobOptions(id=HEARTBEAT_JOB),  # where nobody works, they do not pile up
        )
        provider = type(self).__name__
        return (
            DiscoveredScheduledJob(
                str(startup.name), provider, "announce_startup", startup, self.announce_startup, BUILT_IN
            ),
            DiscoveredScheduledJob(
                str(heartbeat.name), provider, "heartbeat", heartbeat, self.heartbeat, BUILT_IN
            ),
        )

    def _payload(self) -> WorkerLifecyclePayload:
        return WorkerLifecyclePayload(timestamp=datetime.now(UTC), worker=self._ground.worker)


@queue_worker()
class WorkerLifecycleProcessor(QueueWorkerHost):
    """Notes what the two jobs say, for `worker status`."""

    def __init__(self, ground: WorkerGround) -> None:
        self._ground = ground

    @queue_job_handler(STARTUP_JOB)
    def handle_startup(self, job: Job[WorkerLifecyclePayload]) -> None:
        """Note that a worker has started."""
        _logger.info("worker %s started at %s", job.data.worker, job.data.timestamp.isoformat())
        self._note(job)

    @queue_job_handler(HEARTBEAT_JOB)
    def handle_heartbeat(self, job: Job[WorkerLifecyclePayload]) -> None:
        """Note that scheduler and queue work."""
        _logger.debug("heartbeat of %s", job.data.timestamp.isoformat())
        self._note(job)

    def _note(self, job: Job[WorkerLifecyclePayload]) -> None:
        with self._ground.connected() as driver:
            note_sign(
                driver,
                self._ground.schema,
                name=job.name,
                worker=job.data.worker,
                sent_at=job.data.timestamp,
            )
