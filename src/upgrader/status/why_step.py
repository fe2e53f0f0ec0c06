"""Why a step is not done everywhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from upgrader.history.store import AttemptFilter
from upgrader.model import INSTANCE, AttemptStatus, Scope
from upgrader.sequence.wording import counted
from upgrader.status.case import as_try
from upgrader.status.explanation import NAMED_AT_MOST, Cause, Explanation, Reason, Subject, Try
from upgrader.status.general import refused_runs, run_at_work, tried, typed

if TYPE_CHECKING:
    from upgrader.model import Step
    from upgrader.sequence.state import Member
    from upgrader.status.case import Case

_FINE = (Cause.COMPLETED, Cause.COUNTS_AS_DONE, Cause.DORMANT, Cause.RUN_AT_WORK, Cause.OUT_OF_SCOPE)
_TRIED = (AttemptStatus.FAILED, AttemptStatus.INTERRUPTED, AttemptStatus.SKIPPED)


def explain_step(case: Case, step: Step) -> Explanation:
    """Say where a step is done, where it is not, and why."""
    reasons = tuple(_reasons(case, step))
    return Explanation(
        Subject.STEP,
        name=step.name,
        title=f"{step.kind.value} step {step.name}{f': {step.summary}' if step.summary else ''}",
        version=step.version.text,
        target=case.plan.target.text if case.plan.target else None,
        is_fine=all(reason.cause in _FINE for reason in reasons),
        reasons=reasons,
        next=tuple(dict.fromkeys(_next(step, reasons))),
    )


def explain_gone(case: Case, name: str) -> Explanation:
    """Say that a step is completed somewhere, and not in the code any more."""
    everybody = [*case.state.members, *case.state.quarantined, *case.state.others]
    count = sum(name in member.progress.completed for member in everybody)
    where = counted(count, "workspace") if count else "the instance"
    return Explanation(
        Subject.STEP,
        name=name,
        title=f"step {name}",
        version=case.situation.completed.versions[name].text,
        target=case.plan.target.text if case.plan.target else None,
        is_fine=not case.plan.refusals,
        reasons=(
            Reason(Cause.NO_LONGER_IN_CODE, f"it is completed in {where}, and the code has it no more"),
            *refused_runs(case),
        ),
        next=tuple(refusal.hint for refusal in case.plan.refusals if name in refusal.subjects),
    )


def _reasons(case: Case, step: Step) -> Iterator[Reason]:
    yield from run_at_work(case)
    if not case.options.app_version.covers(step.version):
        yield Reason(
            Cause.DORMANT,
            f"it is dormant: it belongs to {step.version}, and the application is {case.options.app_version}",
        )
        return
    before = [*_in_workspaces(case, step)] if step.is_workspace else [*_in_instance(case, step)]
    yield from before
    if any(reason.cause not in _FINE for reason in before):
        yield from refused_runs(case)


def _in_instance(case: Case, step: Step) -> Iterator[Reason]:
    progress = case.state.instance
    if progress.is_done(step):
        yield from _done_in_instance(case, step)
        return
    found = tried(case, step, progress, INSTANCE)
    if found is not None:
        yield found
    if step.name in case.missing:
        yield Reason(
            Cause.MISSING, "it was never tried, though later steps are done: it came into the code after them"
        )
    if step.is_slow and not case.options.include_slow:
        yield Reason(Cause.SLOW, "it is a slow step: only `upgrade --include-slow` runs it")
    held = [*case.holders(step.version), *_earlier_instance_steps(case, step)]
    yield from held
    if found is None and not held and not step.is_slow and step.name not in case.missing:
        yield Reason(Cause.PENDING, "nothing holds it: no run has come to it yet")


def _earlier_instance_steps(case: Case, step: Step) -> Iterator[Reason]:
    pending = case.pending.of(case.state.instance, workspace=False)
    before = [one for one in pending if one.version == step.version and one.sort_key < step.sort_key]
    if before:
        verb = "comes" if len(before) == 1 else "come"
        yield Reason(
            Cause.EARLIER_STEP,
            f"{counted(len(before), 'step')} of its version {verb} first",
            steps=tuple(one.name for one in before[:NAMED_AT_MOST]),
        )


def _done_in_instance(case: Case, step: Step) -> Iterator[Reason]:
    if step.name in case.state.instance.completed:
        wanted = AttemptFilter(step=step.name, instance_only=True, status=AttemptStatus.COMPLETED, limit=1)
        tries = tuple(map(as_try, case.attempts.attempts(wanted)))
        yield Reason(Cause.COMPLETED, "nothing is wrong: it is completed", tries=tries)
        return
    enrolment = case.state.instance.enrolment
    mark = f" at {enrolment.text}" if enrolment else ""
    yield Reason(Cause.COUNTS_AS_DONE, f"nothing is wrong: it counts as done by the baseline{mark}")


@dataclass
class _Groups:
    """The workspaces in scope, by what became of the step in each; in order."""

    completed: list[Member] = field(default_factory=list)
    covered: list[Member] = field(default_factory=list)
    tried: dict[AttemptStatus, list[Member]] = field(default_factory=dict)
    behind: list[Member] = field(default_factory=list)
    pending: list[Member] = field(default_factory=list)
    unenrolled: list[Member] = field(default_factory=list)

    def add(self, case: Case, step: Step, member: Member) -> None:
        """Put a workspace where it belongs."""
        progress = member.progress
        status = case.status_of(step, progress)
        if step.name in progress.completed:
            self.completed.append(member)
        elif progress.is_done(step):
            self.covered.append(member)
        elif progress.enrolment is None and not case.options.unenrolled_run_all:
            self.unenrolled.append(member)
        elif status is not None:
            self.tried.setdefault(status, []).append(member)
        elif case.comes_first(step, progress) is not None:
            self.behind.append(member)
        else:
            self.pending.append(member)


def _in_workspaces(case: Case, step: Step) -> Iterator[Reason]:
    groups = _Groups()
    for member in case.state.members:
        groups.add(case, step, member)
    yield from _done(case, step, groups)
    for status in (*_TRIED, AttemptStatus.RUNNING, AttemptStatus.REVERTED):
        if members := groups.tried.get(status):
            yield _tried_in(case, step, status, members)
    if groups.behind:
        yield _of(
            Cause.EARLIER_STEP, groups.behind, "it waits for an earlier step of the same workspace in {}"
        )
    yield from _pending(case, step, groups.pending)
    if groups.unenrolled:
        yield _of(Cause.NOT_ENROLLED, groups.unenrolled, "it is not done in {} that nobody has enrolled")
    yield from _left_alone(case, step)


def _done(case: Case, step: Step, groups: _Groups) -> Iterator[Reason]:
    members = len(case.state.members)
    fine = "nothing is wrong: " if len(groups.completed) + len(groups.covered) == members else ""
    if groups.completed:
        wanted = AttemptFilter(step=step.name, status=AttemptStatus.COMPLETED, limit=1)
        yield Reason(
            Cause.COMPLETED,
            f"{fine}it is completed in {len(groups.completed):,} of {counted(members, 'workspace')}, the last one:",
            workspace_count=len(groups.completed),
            tries=tuple(map(as_try, case.attempts.attempts(wanted))),
        )
    if groups.covered:
        words = f"{fine}it counts as done in {{}} that entered in the shape it makes"
        yield _of(Cause.COUNTS_AS_DONE, groups.covered, words)
    if not members:
        yield Reason(Cause.COMPLETED, "nothing is wrong: there is no workspace in scope for it to run in")


def _tried_in(case: Case, step: Step, status: AttemptStatus, members: Sequence[Member]) -> Reason:
    cause, words = {
        AttemptStatus.FAILED: (Cause.FAILED, "it failed in {}"),
        AttemptStatus.INTERRUPTED: (Cause.INTERRUPTED, "it was cut off with its run in {}"),
        AttemptStatus.SKIPPED: (Cause.SKIPPED, "it put off {}"),
        AttemptStatus.RUNNING: (Cause.RUNNING, "it is running now in {}"),
    }.get(status, (Cause.TAKEN_BACK, "it was taken back, and so is pending again, in {}"))
    shown = [Scope(member.workspace_id) for member in members[:NAMED_AT_MOST]]
    return _of(cause, members, words, case.tries(step, shown))


def _pending(case: Case, step: Step, members: Sequence[Member]) -> Iterator[Reason]:
    if not members:
        return
    missing = case.missing.get(step.name, frozenset())
    left = [member for member in members if member.workspace_id in missing]
    if left:
        yield _of(Cause.MISSING, left, "it was never tried, though later steps are done, in {}")
    slow = case.waits_for_slow(step)
    if slow:
        yield Reason(
            Cause.WAITS_FOR_SLOW,
            f"it waits for the slow steps of {step.version}, which only --include-slow runs, "
            f"in {counted(len(members), 'workspace')}",
            steps=tuple(one.name for one in slow[:NAMED_AT_MOST]),
        )
    held = [*case.holders(step.version), *case.instance_before(step)]
    yield from held
    free = [member for member in members if member.workspace_id not in missing]
    if free and not slow:
        yield _of(Cause.PENDING, free, "it is pending in {}" + ("" if held else ", and nothing holds it"))


def _left_alone(case: Case, step: Step) -> Iterator[Reason]:
    aside = [member for member in case.state.quarantined if not member.progress.is_done(step)]
    if aside:
        yield _of(Cause.QUARANTINED, aside, "it is not done in {} that somebody quarantined")
    others = [member for member in case.state.others if not member.progress.is_done(step)]
    if others:
        yield _of(Cause.OUT_OF_SCOPE, others, "it is not done in {} out of scope")


def _of(cause: Cause, members: Sequence[Member], words: str, tries: tuple[Try, ...] = ()) -> Reason:
    return Reason(
        cause,
        words.format(counted(len(members), "workspace")),
        workspace_ids=tuple(member.workspace_id for member in members[:NAMED_AT_MOST]),
        workspace_count=len(members),
        tries=tries,
    )


def _next(step: Step, reasons: Sequence[Reason]) -> Iterator[str]:
    for reason in reasons:
        first = reason.workspace_ids[0] if reason.workspace_ids else ""
        match reason.cause:
            case Cause.FAILED | Cause.INTERRUPTED | Cause.SKIPPED:
                only = f" -w {first}" if first else ""
                yield f"mend the cause, then try it again: `upgrader upgrade{only}`"
                yield f"`upgrader history --step {step.name}` shows every attempt"
            case Cause.EARLIER_STEP | Cause.NOT_ENROLLED | Cause.QUARANTINED:
                yield f"`upgrader why {first or reason.steps[0]}` says why that one is behind"
            case Cause.DORMANT:
                yield f"deploy {step.version}, or set app_version to it: then it runs"
            case Cause.RUN_REFUSED:
                yield reason.hint
            case _:
                yield from typed(reason)
