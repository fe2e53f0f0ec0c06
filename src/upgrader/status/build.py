"""Making a status from what a survey read."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from upgrader.errors import UnknownWorkspaceError
from upgrader.model import INSTANCE, Scope
from upgrader.sequence.missing import find_missing
from upgrader.sequence.plan import Plan, RefusalReason, Selection
from upgrader.sequence.planner import make_plan
from upgrader.sequence.selection import select
from upgrader.sequence.support import INSTANCE_NAME
from upgrader.status.health import Health
from upgrader.status.report import FailedStep, ScopeStatus, StatusReport, first_line
from upgrader.status.rows import WorkspaceRows
from upgrader.status.standing import Standings, Yardstick

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from upgrader.history.store import HistoryStore
    from upgrader.model import Attempt, Step
    from upgrader.sequence.plan import PlanOptions, Refusal
    from upgrader.sequence.sequence import StepSequence
    from upgrader.sequence.state import DatabaseState, Member
    from upgrader.status.running import RunningUpgrade
    from upgrader.survey import Survey

_SEEN_IN_HEALTH = (RefusalReason.MISSING_STEPS, RefusalReason.UNENROLLED_WORKSPACES)


@dataclass(frozen=True, slots=True)
class StatusQuery:
    """What is asked for.

    Attributes:
        workspace_ids: only these workspaces; empty means all in scope.
        failed_only: of these, only the failed ones have a row.
    """

    workspace_ids: tuple[str, ...] = ()
    failed_only: bool = False


def build_status(
    survey: Survey,
    sequence: StepSequence,
    *,
    store: HistoryStore,
    options: PlanOptions,
    query: StatusQuery,
    database: str = "",
    running: RunningUpgrade | None = None,
) -> StatusReport:
    """Make a status. Reads from the store only the attempts of the scopes that failed and are shown.

    Args:
        sequence: everything that is loaded, dormant steps included.
        options: those of an `upgrade` without flags.
        database: names the database for people.
        running: the upgrade that is at work.

    Raises:
        UnknownWorkspaceError: an id that was asked for is not there, or is out of scope.
    """
    state = survey.state
    asked = _asked(state, query)
    yardstick = Yardstick(
        sequence.released(state.instance),
        options.app_version,
        is_run_alive=running is not None,
        unenrolled_run_all=options.unenrolled_run_all,
    )
    standings = Standings(yardstick)
    plan = make_plan(sequence, state, replace(options, selection=Selection()))
    shown = asked
    if query.failed_only:
        shown = [m for m in asked if m.quarantine is None and standings.of(m.progress).health.is_stuck]
    instance, deferred = _instance_status(yardstick, state, store)
    return StatusReport(
        database=database,
        app_version=options.app_version.text,
        target=plan.target,
        is_first=state.is_first,
        instance=instance,
        summary=_counts([*state.members, *state.quarantined], standings),
        judged=_counts(asked if query.workspace_ids else state.members, standings),
        out_of_scope=len(state.others),
        rows=WorkspaceRows(
            shown,
            workspaces=survey.workspaces,
            standings=standings,
            failed=_failed_by_workspace(shown, standings, store),
        ),
        quarantined=plan.quarantined,
        unenrolled=tuple(m.workspace_id for m in state.members if standings.of(m.progress).is_held),
        deferred=deferred,
        missing=find_missing(sequence.covered_by(options.app_version), state),
        refusals=_refusals(plan, query),
        warnings=plan.warnings,
        running=running,
    )


def _asked(state: DatabaseState, query: StatusQuery) -> Sequence[Member]:
    """Give the workspaces that were asked for; those that are set aside come last."""
    everybody = [*state.members, *state.quarantined] if state.quarantined else state.members
    if not query.workspace_ids:
        return everybody
    known = replace(state, members=everybody, quarantined=())
    selected = select(Selection(workspace_ids=query.workspace_ids), known)
    for refusal in selected.refusals:
        raise UnknownWorkspaceError(refusal.message, hint=refusal.hint)
    return [member for member in everybody if member.workspace_id in selected.workspace_ids]


def _counts(members: Sequence[Member], standings: Standings) -> Mapping[Health, int]:
    counts = dict.fromkeys(Health, 0)
    active = [member for member in members if member.quarantine is None]
    counts[Health.QUARANTINED] = len(members) - len(active)
    by_progress = Counter(id(member.progress) for member in active)
    for progress in {id(member.progress): member.progress for member in active}.values():
        counts[standings.of(progress).health] += by_progress[id(progress)]
    return counts


def _instance_status(
    yardstick: Yardstick, state: DatabaseState, store: HistoryStore
) -> tuple[ScopeStatus, tuple[Step, ...]]:
    standing = yardstick.measure(state.instance, workspace=False)
    attempts = store.latest_open([INSTANCE]) if standing.failed_names else ()
    found = {attempt.name: attempt for attempt in attempts}
    status = ScopeStatus(
        health=standing.health,
        inferred_version=standing.inferred_version,
        last_step=standing.last_step,
        pending_count=standing.pending_count,
        enrolled_at=standing.enrolled_at,
        failed_steps=tuple(_failed_step(found[name]) for name in standing.failed_names if name in found),
    )
    return status, tuple(step for step in standing.pending if step.is_slow)


def _failed_by_workspace(
    shown: Sequence[Member], standings: Standings, store: HistoryStore
) -> Mapping[str, FailedStep]:
    """Read the first failed step of each workspace; of its error the first line, kept once for all."""
    wanted = {
        member.workspace_id: failed[0]
        for member in shown
        if (failed := standings.of(member.progress).failed_names)
    }
    by_name: dict[str, list[Scope]] = defaultdict(list)
    for workspace_id, name in wanted.items():
        by_name[name].append(Scope(workspace_id))
    found = (attempt for name, scopes in by_name.items() for attempt in store.latest_open(scopes, step=name))
    return dict(_first_failures(found))


def _first_failures(attempts: Iterable[Attempt]) -> Iterator[tuple[str, FailedStep]]:
    for attempt in attempts:
        step = _failed_step(attempt)
        error = first_line(step.error)
        yield (
            str(attempt.scope.workspace_id),
            replace(step, error=None if error is None else sys.intern(error)),
        )


def _failed_step(attempt: Attempt) -> FailedStep:
    return FailedStep(
        name=attempt.name,
        attempt=attempt.attempt,
        status=attempt.status,
        error=attempt.error_message,
        started_at=attempt.started_at,
        finished_at=attempt.finished_at,
    )


def _refusals(plan: Plan, query: StatusQuery) -> tuple[Refusal, ...]:
    """Leave out what concerns only workspaces that were not asked for."""
    if not query.workspace_ids:
        return plan.refusals
    return tuple(refusal for refusal in plan.refusals if _concerns(refusal, query.workspace_ids))


def _concerns(refusal: Refusal, workspace_ids: Sequence[str]) -> bool:
    if refusal.reason in _SEEN_IN_HEALTH:
        return False  # the health of the scopes that it is about says it
    if refusal.reason is RefusalReason.UNSUPPORTED_VERSION:
        return not {INSTANCE_NAME, *workspace_ids}.isdisjoint(refusal.subjects)
    return True
