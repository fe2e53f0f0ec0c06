"""A status as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from upgrader.cli.render.documents import (
    Document,
    envelope,
    quarantined_fields,
    refusal_fields,
    step_fields,
    time_text,
)
from upgrader.cli.render.json_text import Each

if TYPE_CHECKING:
    from upgrader.status.report import FailedStep, ScopeStatus, StatusReport, WorkspaceStatus
    from upgrader.status.running import RunningUpgrade


def status_document(report: StatusReport, exit_code: int, *, is_good: bool) -> Document:
    """Give a status; `workspaces` holds those that were asked for, `summary` counts all in scope."""
    return {
        **envelope("done", exit_code),
        "database": report.database,
        "app_version": report.app_version,
        "target": report.target.text if report.target else None,
        "first_upgrade": report.is_first,
        "good": is_good,
        "instance": _instance(report.instance),
        "summary": {health.value: count for health, count in report.summary.items()},
        "workspaces": Each(report.rows, _workspace),
        "out_of_scope": report.out_of_scope,
        "quarantined": quarantined_fields(report.quarantined),
        "unenrolled": list(report.unenrolled),
        "deferred": [step_fields(step) for step in report.deferred],
        "missing": [
            {**step_fields(one.step), "workspace_ids": list(one.workspace_ids)} for one in report.missing
        ],
        "refusals": refusal_fields(report.refusals),
        "warnings": list(report.warnings),
        "running": _running(report.running),
    }


def _instance(instance: ScopeStatus) -> Document:
    return {
        "health": instance.health.value,
        "version": instance.inferred_version.text if instance.inferred_version else None,
        "last_step": instance.last_step,
        "pending": instance.pending_count,
        "enrolled_at": instance.enrolled_at,
        "failed_steps": [_failed(failed) for failed in instance.failed_steps],
    }


def _workspace(row: WorkspaceStatus) -> Document:
    return {
        "id": row.workspace_id,
        "display_name": row.display_name,
        "status": row.status,
        "health": row.health.value,
        "version": row.inferred_version.text if row.inferred_version else None,
        "last_step": row.last_step,
        "pending": row.pending_count,
        "enrolled_at": row.enrolled_at,
        "note": row.note,
        "failed_step": _failed(row.failed_step) if row.failed_step else None,
    }


def _failed(failed: FailedStep) -> Document:
    return {
        "name": failed.name,
        "attempt": failed.attempt,
        "status": failed.status.value,
        "error": failed.error,
        "started_at": time_text(failed.started_at),
        "finished_at": time_text(failed.finished_at),
    }


def _running(running: RunningUpgrade | None) -> Document | None:
    if running is None:
        return None
    return {
        "pid": running.pid,
        "run_id": running.run_id,
        "client": running.client,
        "address": running.address,
        "app_version": running.executed_by_version,
        "held_seconds": running.held_seconds,
        "silent_seconds": running.silent_seconds,
    }
