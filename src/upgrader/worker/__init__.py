"""The background runtime: a worker with a scheduler and a queue, and workspace events.

Names are loaded when they are first used: an application that only emits events needs no queue installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from upgrader.lazy_names import lazy_names

if TYPE_CHECKING:
    from upgrader.worker.decorators import queue_job_handler as queue_job_handler
    from upgrader.worker.decorators import queue_worker as queue_worker
    from upgrader.worker.decorators import scheduled_job as scheduled_job
    from upgrader.worker.host import Job as Job
    from upgrader.worker.host import QueueWorkerHost as QueueWorkerHost
    from upgrader.worker.options import Backoff as Backoff
    from upgrader.worker.options import QueueJobOptions as QueueJobOptions
    from upgrader.worker.options import ScheduledJobOptions as ScheduledJobOptions
    from upgrader.worker.queue.arguments import QueueJobError as QueueJobError
    from upgrader.worker.queue.job_queue import JobQueue as JobQueue
    from upgrader.worker.running import RunningJob as RunningJob
    from upgrader.worker.running import current_job as current_job
    from upgrader.worker.scheduling.cron import CronExpression as CronExpression
    from upgrader.worker.scheduling.jobs import DiscoveredScheduledJob as DiscoveredScheduledJob
    from upgrader.worker.scheduling.jobs import SchedulerJobDescriptor as SchedulerJobDescriptor
    from upgrader.worker.scheduling.opening import open_scheduler as open_scheduler
    from upgrader.worker.scheduling.scheduler import Scheduler as Scheduler
    from upgrader.worker.workspace_events.audit import AuditTable as AuditTable
    from upgrader.worker.workspace_events.batch import UNKNOWN as UNKNOWN
    from upgrader.worker.workspace_events.batch import DatabaseBatchEvent as DatabaseBatchEvent
    from upgrader.worker.workspace_events.batch import EventAction as EventAction
    from upgrader.worker.workspace_events.batch import ObjectMetadata as ObjectMetadata
    from upgrader.worker.workspace_events.batch import RecordEvent as RecordEvent
    from upgrader.worker.workspace_events.batch import WorkspaceEventBatch as WorkspaceEventBatch
    from upgrader.worker.workspace_events.delivery import WorkspaceEventDelivery as WorkspaceEventDelivery
    from upgrader.worker.workspace_events.emitter import WorkspaceEventEmitter as WorkspaceEventEmitter
    from upgrader.worker.workspace_events.subscriber import on_event as on_event
    from upgrader.worker.workspace_events.tracking import track_events as track_events
    from upgrader.worker.workspace_events.webhooks.endpoint import WebhookEndpoint as WebhookEndpoint
    from upgrader.worker.workspace_events.webhooks.signature import is_signed as is_signed
    from upgrader.worker.workspace_events.webhooks.subscriber import Webhooks as Webhooks

_HOMES = {
    "AuditTable": "upgrader.worker.workspace_events.audit",
    "Webhooks": "upgrader.worker.workspace_events.webhooks.subscriber",
    "WebhookEndpoint": "upgrader.worker.workspace_events.webhooks.endpoint",
    "is_signed": "upgrader.worker.workspace_events.webhooks.signature",
    "CronExpression": "upgrader.worker.scheduling.cron",
    "DiscoveredScheduledJob": "upgrader.worker.scheduling.jobs",
    "Scheduler": "upgrader.worker.scheduling.scheduler",
    "SchedulerJobDescriptor": "upgrader.worker.scheduling.jobs",
    "open_scheduler": "upgrader.worker.scheduling.opening",
    "Backoff": "upgrader.worker.options",
    "Job": "upgrader.worker.host",
    "JobQueue": "upgrader.worker.queue.job_queue",
    "QueueJobError": "upgrader.worker.queue.arguments",
    "QueueJobOptions": "upgrader.worker.options",
    "QueueWorkerHost": "upgrader.worker.host",
    "RunningJob": "upgrader.worker.running",
    "ScheduledJobOptions": "upgrader.worker.options",
    "current_job": "upgrader.worker.running",
    "DatabaseBatchEvent": "upgrader.worker.workspace_events.batch",
    "EventAction": "upgrader.worker.workspace_events.batch",
    "ObjectMetadata": "upgrader.worker.workspace_events.batch",
    "RecordEvent": "upgrader.worker.workspace_events.batch",
    "UNKNOWN": "upgrader.worker.workspace_events.batch",
    "WorkspaceEventBatch": "upgrader.worker.workspace_events.batch",
    "WorkspaceEventDelivery": "upgrader.worker.workspace_events.delivery",
    "WorkspaceEventEmitter": "upgrader.worker.workspace_events.emitter",
    "track_events": "upgrader.worker.workspace_events.tracking",
    "on_event": "upgrader.worker.workspace_events.subscriber",
    "queue_job_handler": "upgrader.worker.decorators",
    "queue_worker": "upgrader.worker.decorators",
    "scheduled_job": "upgrader.worker.decorators",
}

__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
