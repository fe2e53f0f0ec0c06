"""Why a workspace is not at the newest version."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from upgrader.model import Scope
from upgrader.sequence.pending import inferred_version
from upgrader.sequence.quarantined import find_unreleasable
from upgrader.sequence.wording import counted
from upgrader.status.explanation import Cause, Explanation, Reason, Subject
from upgrader.status.general import dormant, refused_runs, run_at_work, tried, typed

if TYPE_CHECKING:
    from upgrader.model import Step
    from upgrader.sequence.state import Member
    from upgrader.status.case import Case

_FINE = (Cause.UP_TO_DATE, Cause.AHEAD, Cause.DORMANT, Cause.RUN_AT_WORK)


def explain_workspace(case: Case, member: Member) -> Explanation:
    """Say why a workspace is not at the newest version, or that nothing is wrong."""
    reasons = tuple(_reasons(case, member))
    workspace = case.workspaces.get(member.workspace_id)
    version = inferred_version(case.due, member.progress, workspace=True)
    return Explanation(
        Subject.WORKSPACE,
        name=member.workspace_id,
        title=f"workspace {workspace.label if workspace else member.workspace_id}",
        version=version.text if version else None,
        target=case.plan.target.text if case.plan.target else None,
        is_fine=all(reason.cause in _FINE for reason in reasons),
        reasons=reasons,
        next=tuple(dict.fromkeys(_next(member, reasons))),
    )


def _reasons(case: Case, member: Member) -> Iterator[Reason]:
    yield from run_at_work(case)
    if member.quarantine is not None:
        yield from _quarantined(case, member)
    elif any(member.workspace_id == other.workspace_id for other in case.state.others):
        yield _out_of_scope(case, member)
    elif member.progress.enrolment is None and not case.options.unenrolled_run_all:
        yield Reason(
            Cause.NOT_ENROLLED,
            "it is not enrolled: nobody has said which release's shape it was made in, and no run begins before that",
        )
    else:
        yield from _in_scope(case, member)


def _in_scope(case: Case, member: Member) -> Iterator[Reason]:
    pending = case.pending.of(member.progress, workspace=True)
    if not pending:
        yield _nothing_pending(case, member)
        yield from dormant(case, workspace=True)
        return
    yield from _at_step(case, member, pending)
    yield from refused_runs(case, member.workspace_id)


def _nothing_pending(case: Case, member: Member) -> Reason:
    highest = case.situation.completed.highest_of(member.progress)
    if highest is not None and not case.options.app_version.covers(highest):
        return Reason(
            Cause.AHEAD,
            f"it is ahead: steps of {highest} are completed, and the application is {case.options.app_version}",
        )
    return Reason(Cause.UP_TO_DATE, "nothing is wrong: every step that is due is done")


def _at_step(case: Case, member: Member, pending: tuple[Step, ...]) -> Iterator[Reason]:
    """Tell why the first pending step is not done."""
    step = pending[0]
    behind = len(pending) - 1
    found = tried(case, step, member.progress, Scope(member.workspace_id))
    if found is not None:
        yield replace(found, message=found.message + _consequences(case, step, behind))
    held = list(_held(case, member, step))
    yield from held
    if found is None and not held:
        yield _free(case, member, step, len(pending))


def _consequences(case: Case, step: Step, behind: int) -> str:
    more = (
        f"; {counted(behind, 'more step')} of this workspace {'waits' if behind == 1 else 'wait'} behind it"
    )
    after = case.version_after(step.version)
    holds = f"; nothing of {after} starts anywhere before it is through" if after else ""
    return (more if behind else "") + holds


def _held(case: Case, member: Member, step: Step) -> Iterator[Reason]:
    if member.workspace_id in case.missing.get(step.name, ()):
        yield Reason(
            Cause.MISSING,
            f"{step.name} was never tried in it, though later steps are done: it came into the code after them",
            steps=(step.name,),
        )
    slow = case.waits_for_slow(step)
    if slow:
        yield Reason(
            Cause.WAITS_FOR_SLOW,
            f"{step.name} waits for the slow steps of its version, which only --include-slow runs",
            steps=tuple(one.name for one in slow),
        )
    # A run goes past what waits for slow steps: what holds the step after that counts, too.
    later = (one for one in case.pending.of(member.progress, workspace=True) if not case.waits_for_slow(one))
    at = next(later, step)
    yield from case.holders(at.version, but=member.workspace_id)
    yield from case.instance_before(at)


def _free(case: Case, member: Member, step: Step, count: int) -> Reason:
    if case.is_late(member.progress, step.version):
        return Reason(
            Cause.LATE,
            f"it is late: the rest of the database is past {step.version}; {counted(count, 'step')} pending, "
            f"from {step.name} on, and nothing holds them",
            steps=(step.name,),
        )
    return Reason(
        Cause.PENDING,
        f"nothing holds it: {counted(count, 'step')} pending, from {step.name} on, and no run has come to it yet",
        steps=(step.name,),
    )


def _out_of_scope(case: Case, member: Member) -> Reason:
    count = len(case.pending.of(member.progress, workspace=True))
    later = f"; when it returns, {counted(count, 'step')} will run on it" if count else ""
    status = member.status if member.status is not None else "none"
    return Reason(
        Cause.OUT_OF_SCOPE,
        f"it is out of scope: its status is {status}, and runs are about {', '.join(case.state.statuses)}{later}",
    )


def _quarantined(case: Case, member: Member) -> Iterator[Reason]:
    quarantine = member.quarantine
    assert quarantine is not None
    pending = case.pending.of(member.progress, workspace=True)
    misses = f"; the first version that it misses is {pending[0].version}" if pending else ""
    yield Reason(
        Cause.QUARANTINED,
        f"it was set aside by {quarantine.by}: {quarantine.reason}; no run touches it, no barrier waits for it{misses}",
    )
    found = tried(case, pending[0], member.progress, Scope(member.workspace_id)) if pending else None
    if found is not None:
        yield found
    for refusal in find_unreleasable(
        case.sequence, case.state, case.options, workspace_ids=[member.workspace_id]
    ):
        yield Reason(Cause.RUN_REFUSED, f"it cannot come back as it is: {refusal.message}", hint=refusal.hint)


def _next(member: Member, reasons: tuple[Reason, ...]) -> Iterator[str]:
    is_stuck = any(reason.cause is Cause.RUN_REFUSED for reason in reasons)
    for reason in reasons:
        if reason.hint:
            yield reason.hint
        elif not (reason.cause is Cause.QUARANTINED and is_stuck):
            yield from _typed(reason, member.workspace_id)


def _typed(reason: Reason, name: str) -> Iterator[str]:
    match reason.cause:
        case Cause.FAILED | Cause.INTERRUPTED | Cause.SKIPPED:
            yield f"mend the cause, then try it alone: `upgrader upgrade -w {name}`"
            yield f"`upgrader history -w {name}` shows every attempt"
        case Cause.NOT_ENROLLED:
            yield f"`upgrader workspace enroll {name} --at start` if every step is to run on it"
            yield f"`upgrader workspace enroll {name} --at VERSION` if it was made in the shape of VERSION"
        case Cause.QUARANTINED:
            yield f"`upgrader workspace release {name}` brings it back, and the next run catches it up"
        case Cause.OUT_OF_SCOPE:
            yield "nothing, if that status is meant to be left alone; else add it to `statuses` of [workspaces]"
        case Cause.AHEAD:
            yield "nothing, if the application was rolled back on purpose; else deploy the newer release again"
        case _:
            yield from typed(reason)
