"""The reasons that workspaces and steps have in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from upgrader.model import AttemptStatus
from upgrader.sequence.plan import RefusalReason
from upgrader.sequence.wording import counted
from upgrader.status.explanation import NAMED_AT_MOST, Cause, Reason

if TYPE_CHECKING:
    from upgrader.model import Progress, Scope, Step
    from upgrader.status.case import Case

_CAUSES = {
    AttemptStatus.FAILED: Cause.FAILED,
    AttemptStatus.INTERRUPTED: Cause.INTERRUPTED,
    AttemptStatus.RUNNING: Cause.RUNNING,
    AttemptStatus.SKIPPED: Cause.SKIPPED,
    AttemptStatus.REVERTED: Cause.TAKEN_BACK,
}
_WORDS = {
    Cause.FAILED: "{} failed",
    Cause.INTERRUPTED: "{} was cut off: its run ended before it did",
    Cause.RUNNING: "{} is running now",
    Cause.SKIPPED: "{} put the workspace off",
    Cause.TAKEN_BACK: "{} was taken back, so it is pending again",
}


def tried(case: Case, step: Step, progress: Progress, scope: Scope) -> Reason | None:
    """Give what became of the latest attempt at a step that is not done; None where it was never tried."""
    status = case.status_of(step, progress)
    cause = _CAUSES.get(status) if status is not None else None
    if cause is None:
        return None
    message = _WORDS[cause].format(step.name)
    if step.name in progress.half_reverted:
        message = f"{step.name} is half taken back: the attempt to do so did not come to its end"
    return Reason(cause, message, steps=(step.name,), tries=case.tries(step, [scope]))


def refused_runs(case: Case, workspace_id: str | None = None) -> Iterator[Reason]:
    """Give why no run would begin at all, except what the workspace itself was told already."""
    for refusal in case.plan.refusals:
        if (
            refusal.reason is RefusalReason.MISSING_STEPS
            and workspace_id is not None
            and _is_told(case, workspace_id)
        ):
            continue
        is_about_workspaces = refusal.reason is RefusalReason.UNENROLLED_WORKSPACES
        subjects = refusal.subjects if is_about_workspaces else ()
        yield Reason(
            Cause.RUN_REFUSED,
            f"no run would begin: {refusal.message}",
            workspace_ids=subjects[:NAMED_AT_MOST],
            workspace_count=len(subjects),
            hint=refusal.hint,
        )


def _is_told(case: Case, workspace_id: str) -> bool:
    return all(workspace_id in ids for ids in case.missing.values())


def run_at_work(case: Case) -> Iterator[Reason]:
    """Say that an upgrade is at work: what is told may be another thing in a moment."""
    if case.running is not None:
        yield Reason(
            Cause.RUN_AT_WORK, f"an upgrade is at work just now (database session pid {case.running.pid})"
        )


def dormant(case: Case, *, workspace: bool) -> Iterator[Reason]:
    """Name the steps of later versions: they are loaded, and wait for their release."""
    application = case.options.app_version
    steps = [
        step
        for step in case.sequence
        if step.is_workspace is workspace and not application.covers(step.version)
    ]
    if steps:
        is_one = len(steps) == 1
        yield Reason(
            Cause.DORMANT,
            f"{counted(len(steps), 'step')} of later versions {'is' if is_one else 'are'} dormant: "
            f"the application is {application}",
            steps=tuple(step.name for step in steps[:NAMED_AT_MOST]),
        )


def typed(reason: Reason) -> Iterator[str]:
    """Give what to type about a reason that workspaces and steps have in common."""
    match reason.cause:
        case Cause.MISSING:
            yield "`upgrader upgrade --include-missing` runs it at its place"
        case Cause.SLOW | Cause.WAITS_FOR_SLOW | Cause.BEHIND_SLOW:
            yield "`upgrader upgrade --include-slow` when there is time for slow steps"
        case Cause.BEHIND_WORKSPACES if reason.failed_count:
            yield f"`upgrader why {reason.workspace_ids[0]}` says why that one is behind"
            yield "`upgrader status --failed-only` names all that failed"
        case Cause.BEHIND_INSTANCE if reason.failed_count:
            yield f"`upgrader why {reason.steps[0]}` says why that step is not done"
        case Cause.BEHIND_WORKSPACES | Cause.BEHIND_INSTANCE | Cause.PENDING | Cause.LATE | Cause.TAKEN_BACK:
            yield "`upgrader upgrade` runs what is pending; `upgrader plan` shows it first"
        case _:
            pass
