"""The JSON documents: pure functions from values to plain dictionaries.

Every document has `schema_version`, `outcome` and `exit_code`. Within one `schema_version` fields are added,
never renamed or taken away. Times are ISO 8601 with their offset, durations are seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from upgrader.cli.render.json_text import Each, Later
from upgrader.cli.render.waits import blocker_fields, wait_fields
from upgrader.errors import LoadingError, PreflightError, UpgraderError

if TYPE_CHECKING:
    from datetime import datetime

    from upgrader.api import PlanReport
    from upgrader.model import Attempt, PreflightFinding, Quarantine, Step
    from upgrader.runner.result import (
        RunReport,
        SegmentResult,
        StepResult,
        StepSummary,
        TooManyFailures,
        WorkerShare,
    )
    from upgrader.sequence.plan import PlannedVersion, QuarantinedWorkspace, Refusal, Stop
    from upgrader.version import ApplicationVersion

SCHEMA_VERSION = 1

Document = dict[str, Any]


def envelope(outcome: str, exit_code: int) -> Document:
    """Give what every document begins with."""
    return {"schema_version": SCHEMA_VERSION, "outcome": outcome, "exit_code": exit_code}


def error_fields(error: BaseException) -> Document:
    """Give an error: `message`, `hint`, and for command modules the `problems`."""
    if not isinstance(error, UpgraderError):
        return {"message": f"{type(error).__name__}: {error}", "hint": None}
    fields: Document = {"message": error.message, "hint": error.hint}
    if isinstance(error, PreflightError):
        fields["findings"] = finding_fields(error.findings)
    if isinstance(error, LoadingError):
        fields["problems"] = [
            {"message": problem.message, "places": list(problem.places), "remedy": problem.remedy}
            for problem in error.problems
        ]
    return fields


def run_document(report: RunReport, exit_code: int) -> Document:
    """Give a run, told afterwards. `workspace_id` is null for the instance."""
    is_up = report.direction.value == "up"
    return {
        **envelope(report.outcome.value, exit_code),
        "run_id": report.run_id,
        "database": report.database,
        "app_version": report.app_version,
        "dry_run": report.dry_run,
        "started_at": report.started_at.isoformat(),
        "seconds": round(report.seconds, 3),
        "first_upgrade": report.is_first,
        "target": _text(report.target),
        "direction": report.direction.value,
        "completed": report.completed if is_up else 0,
        "reverted": 0 if is_up else report.completed,
        "steps": [_step_total(summary, is_up=is_up) for summary in report.steps.values()],
        "segments": [_segment(segment) for segment in report.segments.values()],
        "failures": [_failure(failure) for failure in report.failures],
        "skipped": [_failure(skipped) for skipped in report.skipped],
        "too_many_failures": _too_many(report.too_many_failures),
        "quarantined": quarantined_fields(report.quarantined),
        "deferred": [step_fields(step) for step in report.deferred],
        "stop": stop_fields(report.stop),
        "refusals": refusal_fields(report.refusals),
        "unenrolled": list(report.unenrolled),
        "late": list(report.late),
        "warnings": list(report.warnings),
        "signal": report.signal_name,
        "left": report.left,
        "error": error_fields(report.error) if report.error else None,
        "simulated_to": _text(report.simulated_to),
        "not_simulated": [{"step": one.step.name, "reason": one.reason} for one in report.not_simulated],
        "table_locks": [
            {"table": lock.table, "seconds": round(lock.seconds, 3), "count": lock.count}
            for lock in report.table_locks
        ],
        "preflight": finding_fields(report.preflight),
        "jobs": {
            "wanted": report.jobs,
            "highest": report.highest_lanes,
            "last": report.last_lanes,
        },
        "workers": [_worker(one) for one in report.workers],
    }


def _step_total(summary: StepSummary, *, is_up: bool) -> Document:
    return {
        **step_fields(summary.step),
        "completed": summary.completed if is_up else 0,
        "reverted": 0 if is_up else summary.completed,
        "failed": summary.failed,
        "skipped": summary.skipped,
        "seconds": round(summary.seconds, 3),
        **wait_fields(summary),
    }


def _segment(segment: SegmentResult) -> Document:
    return {
        "version": segment.version.text,
        "total": segment.total,
        "done": segment.done,
        "failed": segment.failed,
        "skipped": segment.skipped,
        "left_out": segment.left_out,
    }


def _worker(one: WorkerShare) -> Document:
    return {
        "name": one.name,
        "lanes": one.lanes,
        "workspaces": one.workspaces,
        "steps": one.steps,
        "failed": one.failed,
        "seconds": round(one.seconds, 3),
        "workspaces_per_second": round(one.rate, 3),
        "end": one.end,
        "note": one.note,
    }


def plan_document(report: PlanReport, exit_code: int) -> Document:
    """Give a plan: what would run, version by version, where it would stop and why."""
    plan, state = report.plan, report.survey.state
    return {
        **envelope("refused" if plan.refusals else "done", exit_code),
        "database": report.database,
        "app_version": report.app_version,
        "target": _text(plan.target),
        "first_upgrade": state.is_first,
        "workspaces": {
            "in_scope": len(state.members) + len(state.quarantined),
            "out_of_scope": len(state.others),
            "quarantined": len(state.quarantined),
        },
        "steps_to_run": sum(version.step_count for version in plan.versions),
        "versions": [_planned(version) for version in plan.versions],
        "quarantined": quarantined_fields(plan.quarantined),
        "stop": stop_fields(plan.stop),
        "refusals": refusal_fields(plan.refusals),
        "warnings": list(plan.warnings),
    }


def list_document(steps: Iterable[Step], application: ApplicationVersion, exit_code: int) -> Document:
    """Give every command in the order of the sequence."""
    return {
        **envelope("done", exit_code),
        "app_version": application.text,
        "commands": [
            {
                **step_fields(step),
                "class_name": step.class_name,
                "timestamp": step.timestamp,
                "cli_name": step.cli_name,
                "summary": step.summary,
                "place": step.place,
                "dormant": not application.covers(step.version),
                "reversible": step.reversible,
                "irreversible_reason": step.irreversible_reason or None,
                "transactional": step.transactional,
                "after_slow": step.after_slow,
                "has_data_migration": step.has_data_migration,
                "checksum": step.checksum,
            }
            for step in steps
        ],
    }


def history_document(attempts: Iterator[Attempt], exit_code: int, *, limit: int) -> Document:
    """Give attempts, newest first, with the names of the columns of `history`: at most `limit`, as they come."""
    return {
        **envelope("done", exit_code),
        "attempts": Each(islice(attempts, limit), _attempt),
        "has_more": Later(lambda: next(attempts, None) is not None),
    }


def _attempt(attempt: Attempt) -> Document:
    return {
        "id": attempt.id,
        "name": attempt.name,
        "kind": attempt.kind,
        "version": attempt.version,
        "workspace_id": attempt.scope.workspace_id,
        "status": attempt.status.value,
        "attempt": attempt.attempt,
        "is_initial": attempt.is_initial,
        "direction": attempt.direction.value,
        "changes_state": attempt.changes_state,
        "executed_by_version": attempt.executed_by_version,
        "checksum": attempt.checksum,
        "error_message": attempt.error_message,
        "started_at": time_text(attempt.started_at),
        "finished_at": time_text(attempt.finished_at),
        "forgotten_at": time_text(attempt.forgotten_at),
        "folded": attempt.folded,
        "folded_since": time_text(attempt.folded_since),
    }


def step_fields(step: Step) -> Document:
    """Give what names a step: `name`, `kind`, `version`."""
    return {"name": step.name, "kind": step.kind.value, "version": step.version.text}


def finding_fields(findings: Iterable[PreflightFinding]) -> list[Document]:
    """Give what was found before a run."""
    return [
        {"name": one.name.value, "level": one.level.value, "message": one.message, "hint": one.hint}
        for one in findings
    ]


def _planned(version: PlannedVersion) -> Document:
    counts = Counter(step for task in version.tasks for step in task.steps)
    ordered = sorted(counts, key=lambda step: step.sort_key)
    return {
        "version": version.version.text,
        "instance_steps": [step_fields(step) for step in version.instance_steps],
        "deferred": [step_fields(step) for step in version.deferred],
        "workspaces": len(version.tasks),
        "workspace_steps": [{**step_fields(step), "workspaces": counts[step]} for step in ordered],
        "waiting": [{**step_fields(step), "workspaces": count} for step, count in version.waiting],
        "late": list(version.late),
    }


def quarantined_fields(found: Iterable[QuarantinedWorkspace]) -> list[Document]:
    """Give the workspaces that are set aside; `misses` is the first version that each has to catch up."""
    return [
        {
            "workspace_id": one.workspace_id,
            **quarantine_fields(one.quarantine),
            "misses": _text(one.misses),
        }
        for one in found
    ]


def quarantine_fields(quarantine: Quarantine) -> Document:
    """Give why a workspace is set aside, by whom and since when."""
    return {
        "reason": quarantine.reason,
        "by": quarantine.by,
        "since": time_text(quarantine.since),
        "age_seconds": round(quarantine.age_seconds, 3),
        "app_version": quarantine.executed_by_version,
    }


def _too_many(found: TooManyFailures | None) -> Document | None:
    if found is None:
        return None
    return {
        "version": found.version.text,
        "max_failures": found.limit.text,
        "failed": found.failed,
        "left_workspaces": found.left_workspaces,
    }


def _failure(failure: StepResult) -> Document:
    return {
        **step_fields(failure.step),
        "workspace_id": failure.scope.workspace_id,
        "status": failure.status.value,
        "attempt": failure.attempt,
        "tries": failure.tries,
        "seconds": round(failure.seconds, 3),
        "waited_seconds": round(failure.waited_seconds, 3),
        "paused_seconds": round(failure.paused_seconds, 3),
        "blockers": [blocker_fields(blocker) for blocker in failure.blockers],
        "error": failure.error,
    }


def stop_fields(stop: Stop | None) -> Document | None:
    """Give where a run or plan ends early, and what holds it; None where it does not."""
    if stop is None:
        return None
    return {
        "reason": stop.reason.value,
        "before": _text(stop.before),
        "message": stop.message,
        "hint": stop.hint,
        "steps": [step.name for step in stop.steps],
        "workspace_ids": list(stop.workspace_ids),
    }


def refusal_fields(refusals: Iterable[Refusal]) -> list[Document]:
    """Give refusals; `subjects` are the step names or workspace ids that each is about."""
    return [
        {
            "reason": refusal.reason.value,
            "message": refusal.message,
            "hint": refusal.hint,
            "subjects": list(refusal.subjects),
        }
        for refusal in refusals
    ]


def _text(value: object | None) -> str | None:
    return None if value is None else str(value)


def time_text(value: datetime | None) -> str | None:
    """Give a time as ISO 8601."""
    return value.isoformat() if value else None
