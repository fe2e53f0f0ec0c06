"""A plan, for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from upgrader.cli.render.blocks import Block, Line
from upgrader.cli.render.quarantine import quarantined_blocks
from upgrader.cli.render.wording import called, counted

if TYPE_CHECKING:
    from upgrader.api import PlanReport
    from upgrader.sequence.plan import Plan, PlannedVersion

_LATE_AT_MOST = 10


def plan_blocks(report: PlanReport) -> Iterator[Block]:
    """Say what would run, version by version. Refusals and warnings are told apart, on stderr."""
    plan, state = report.plan, report.survey.state
    yield Line(f"{report.database}, application {report.app_version}")
    if state.is_first:
        rows = len(report.survey.rows)
        yield Line(f"first upgrade: there is no history yet; {counted(rows, 'workspace')} would be enrolled")
        yield Line(
            "adopt a database that is at some version already with `upgrader baseline VERSION`", indent=2
        )
    yield Line(_workspaces(report))
    for version in plan.versions:
        yield Line()
        yield from _version(version)
    if plan.quarantined:
        yield Line()
        yield from quarantined_blocks(plan.quarantined)
    yield Line()
    yield from _end(plan)


def _workspaces(report: PlanReport) -> str:
    state = report.survey.state
    others = f", {len(state.others):,} more out of scope" if state.others else ""
    return f"{counted(len(state.members), 'workspace')} in scope{others}"


def _version(version: PlannedVersion) -> Iterator[Block]:
    yield Line(version.version.text, style="bold")
    for step in version.instance_steps:
        yield Line(called(step), indent=2)
    for step in version.deferred:
        yield Line(f"{called(step)}: deferred, runs with --include-slow", indent=2, style="warning")
    if version.tasks:
        yield Line(f"in {counted(len(version.tasks), 'workspace')}:", indent=2)
        counts = Counter(step for task in version.tasks for step in task.steps)
        for step in sorted(counts, key=lambda step: step.sort_key):
            only = f" in {counts[step]:,}" if counts[step] != len(version.tasks) else ""
            yield Line(f"{step.class_name}{only}", indent=4)
    for step, count in version.waiting:
        text = f"{step.class_name}: waits for a deferred slow step in {counted(count, 'workspace')}"
        yield Line(text, indent=4, style="warning")
    if version.late:
        shown = ", ".join(version.late[:_LATE_AT_MOST])
        rest = len(version.late) - _LATE_AT_MOST
        yield Line(f"late: {shown}{f' and {rest:,} more' if rest > 0 else ''}", indent=2)


def _end(plan: Plan) -> Iterator[Block]:
    if plan.refusals:
        yield Line("nothing would run as it stands", style="error")
        return
    if plan.is_empty:
        yield Line("nothing to run")
    else:
        steps = sum(version.step_count for version in plan.versions)
        text = f"{counted(steps, 'step')} to run in {counted(len(plan.versions), 'version')}"
        yield Line(f"{text}: upgrader upgrade with the same options")
    if plan.stop:
        yield Line(plan.stop.message, style="warning")
        yield Line(plan.stop.hint, label="hint:", style="hint")
    elif plan.deferred:
        yield Line("slow steps are deferred; upgrader upgrade --include-slow runs them", style="warning")
