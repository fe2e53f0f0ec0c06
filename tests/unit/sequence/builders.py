"""Short ways to write sequences, histories and plans down.

`seq("1.0.0 f1 s2 w3 a4 | 1.1.0 w5")`: the letter is the kind (fast, slow, workspace, workspace after slow),
the number the timestamp. A token should be unique in its sequence: it stands for its step everywhere.
A mark behind it: `f1!` has no way down, `f1*` runs outside a transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from upgrader.command import CommandKind
from upgrader.model import AttemptStatus, Enrolment, Progress, Step
from upgrader.sequence.down_plan import DownOptions, DownPlan
from upgrader.sequence.plan import Plan, PlannedVersion, PlanOptions, Refusal, RefusalReason, Selection
from upgrader.sequence.planner import make_plan
from upgrader.sequence.sequence import StepSequence
from upgrader.sequence.state import DatabaseState, Member
from upgrader.sequence.way_down import make_way_down
from upgrader.version import ApplicationVersion, ReleaseVersion

_KINDS = {
    "f": CommandKind.FAST,
    "s": CommandKind.SLOW,
    "w": CommandKind.WORKSPACE,
    "a": CommandKind.WORKSPACE,
}


def version(text: str) -> ReleaseVersion:
    return ReleaseVersion.parse(text)


def full_name(version_text: str, token: str) -> str:
    return f"{version_text}_{token.upper()}_{token[1:]}"


def seq(text: str) -> StepSequence:
    parts = [part.split() for part in text.split("|") if part.strip()]
    return StepSequence.of(_step(part[0], token) for part in parts for token in part[1:])


def _step(version_text: str, marked: str) -> Step:
    token = marked.rstrip("!*")
    return Step(
        name=full_name(version_text, token),
        kind=_KINDS[token[0]],
        version=version(version_text),
        timestamp=int(token[1:]),
        class_name=token.upper(),
        after_slow=token[0] == "a",
        reversible="!" not in marked,
        transactional="*" not in marked,
    )


def token(step: Step) -> str:
    return step.class_name.lower()


def tokens(steps: Iterable[Step]) -> str:
    return " ".join(token(step) for step in steps)


def names(sequence: StepSequence, text: str) -> tuple[str, ...]:
    by_token = {token(step): step.name for step in sequence}
    return tuple(by_token[one] for one in text.split())


def done(
    sequence: StepSequence,
    text: str = "",
    *,
    enrolment: str | None = "start",
    through: str | None = None,
    failed: str = "",
    reverted: str = "",
    half: str = "",
    again: str = "",
    baseline: str | None = None,
    gone: Iterable[str] = (),
) -> Progress:
    """Give the progress of a scope in which the steps of these tokens are completed.

    Args:
        half: an attempt to take these back was cut off.
        again: these were taken back, and failed when they were tried again.
        baseline: the scope is marked as being at this version.
    """
    opened = {
        **dict.fromkeys(names(sequence, failed), AttemptStatus.FAILED),
        **dict.fromkeys(names(sequence, again), AttemptStatus.FAILED),
        **dict.fromkeys(names(sequence, reverted), AttemptStatus.REVERTED),
        **dict.fromkeys(names(sequence, half), AttemptStatus.INTERRUPTED),
    }
    mark = None if enrolment is None else Enrolment.parse(enrolment)
    return Progress(
        enrolment=mark if baseline is None else Enrolment(version(baseline), is_baseline=True),
        completed=frozenset((*names(sequence, text), *gone)),
        open=opened,
        half_reverted=frozenset(names(sequence, half)),
        tried_again=frozenset(names(sequence, again)),
        through=None if through is None else version(through),
    )


def database(instance: Progress, *, others: Sequence[Member] = (), **members: Progress) -> DatabaseState:
    """Give a database with the workspaces named by the keywords, in that order."""
    return DatabaseState(
        instance=instance,
        members=[Member(workspace_id, progress, "ACTIVE") for workspace_id, progress in members.items()],
        others=others,
    )


def options(
    app: str = "9.9.9",
    *,
    only: Sequence[str] = (),
    start_from: str | None = None,
    limit: int | None = None,
    to: str | None = None,
    oldest: str | None = None,
    attempted: Iterable[str] = (),
    **rest: Any,
) -> PlanOptions:
    return PlanOptions(
        ApplicationVersion.parse(app),
        to=None if to is None else version(to),
        oldest_supported=None if oldest is None else version(oldest),
        selection=Selection(tuple(only), start_from, limit),
        attempted=frozenset(attempted),
        **rest,
    )


def plan(sequence: StepSequence, state: DatabaseState, app: str = "9.9.9", **rest: Any) -> Plan:
    return make_plan(sequence, state, options(app, **rest))


def way_down(
    sequence: StepSequence,
    state: DatabaseState,
    *,
    app: str = "9.9.9",
    to: str | None = None,
    only: Sequence[str] = (),
    start_from: str | None = None,
    limit: int | None = None,
    attempted: Iterable[str] = (),
    **rest: Any,
) -> DownPlan:
    wanted = DownOptions(
        ApplicationVersion.parse(app),
        to=None if to is None else version(to),
        selection=Selection(tuple(only), start_from, limit),
        attempted=frozenset(attempted),
        **rest,
    )
    return make_way_down(sequence, state, wanted)


def drawn_down(made: DownPlan) -> str:
    """Draw what a plan of the way down takes back: `1.1.0 a:w4,w3 b:w3 s2 f1 | 1.0.0 …`."""
    return " | ".join(
        " ".join([one.version.text, *_drawn_tasks(one), *(token(step) for step in one.instance_steps)])
        for one in made.versions
    )


def _drawn_tasks(one: PlannedVersion) -> list[str]:
    return [f"{task.workspace_id}:{','.join(token(step) for step in task.steps)}" for task in one.tasks]


def drawn(made: Plan) -> str:
    """Draw what a plan runs: `1.0.0 f1 s2 a:w3,w4 b:w3 -s5 ~a6 | 1.1.0 …`; `-` deferred, `~` waiting."""
    return " | ".join(_drawn_version(one) for one in made.versions)


def _drawn_version(one: PlannedVersion) -> str:
    tasks = _drawn_tasks(one)
    left = [f"-{token(step)}" for step in one.deferred] + [f"~{token(step)}" for step, _ in one.waiting]
    return " ".join([one.version.text, *(token(step) for step in one.instance_steps), *tasks, *left])


def reasons(made: Plan | DownPlan) -> list[RefusalReason]:
    return [refusal.reason for refusal in made.refusals]


def refusal(made: Plan | DownPlan, reason: RefusalReason) -> Refusal:
    """Give the one refusal of that reason."""
    (found,) = (one for one in made.refusals if one.reason is reason)
    return found
