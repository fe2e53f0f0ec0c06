"""A plan of the way down, for people and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from upgrader.cli.render.blocks import Block, Line
from upgrader.cli.render.documents import (
    Document,
    envelope,
    quarantined_fields,
    refusal_fields,
    step_fields,
    stop_fields,
)
from upgrader.cli.render.quarantine import quarantined_blocks
from upgrader.cli.render.wording import called, counted

if TYPE_CHECKING:
    from upgrader.model import Step
    from upgrader.runner.way_down import WayDownReport
    from upgrader.sequence.down_plan import DownPlan, UnfinishedStep
    from upgrader.sequence.plan import PlannedVersion


def way_down_blocks(report: WayDownReport, *, with_end: bool = True) -> Iterator[Block]:
    """Say what would be taken back, newest first. Refusals and warnings are told apart, on stderr."""
    plan, state = report.plan, report.survey.state
    yield Line(f"{report.database}, application {report.app_version}")
    others = f", {len(state.others):,} of them out of scope" if state.others else ""
    yield Line(f"{counted(len(state.members) + len(state.others), 'workspace')}{others}")
    if report.is_continued:
        yield Line("goes on with a downgrade that was cut off")
    for version in plan.versions:
        yield Line()
        yield from _version(version)
    if plan.unfinished:
        yield Line()
        yield Line("half done, and taken back all the same:", style="warning")
        for one in plan.unfinished:
            yield Line(_unfinished(one), indent=2)
    if plan.quarantined:
        yield Line()
        yield from quarantined_blocks(plan.quarantined)
    if with_end:
        yield Line()
        yield from _end(plan)


def way_down_document(report: WayDownReport, exit_code: int) -> Document:
    """Give a plan of the way down: what would be taken back, newest first, where it would stop and why."""
    plan, state = report.plan, report.survey.state
    return {
        **envelope("refused" if plan.refusals else "done", exit_code),
        "direction": "down",
        "database": report.database,
        "app_version": report.app_version,
        "target": plan.target.text if plan.target else None,
        "continued": report.is_continued,
        "workspaces": {"in_scope": len(state.members), "out_of_scope": len(state.others)},
        "steps_to_take_back": sum(version.step_count for version in plan.versions),
        "versions": [_planned(version) for version in plan.versions],
        "unfinished": [
            {**step_fields(one.step), "status": one.status.value, "workspaces": one.workspaces}
            for one in plan.unfinished
        ],
        "quarantined": quarantined_fields(plan.quarantined),
        "stop": stop_fields(plan.stop),
        "refusals": refusal_fields(plan.refusals),
        "warnings": list(plan.warnings),
    }


def _planned(version: PlannedVersion) -> Document:
    return {
        "version": version.version.text,
        "workspaces": len(version.tasks),
        "workspace_steps": [{**step_fields(step), "workspaces": count} for step, count in _counts(version)],
        "instance_steps": [step_fields(step) for step in version.instance_steps],
    }


def _counts(version: PlannedVersion) -> list[tuple[Step, int]]:
    counts = Counter(step for task in version.tasks for step in task.steps)
    return sorted(counts.items(), key=lambda pair: pair[0].sort_key, reverse=True)


def _version(version: PlannedVersion) -> Iterator[Block]:
    yield Line(version.version.text, style="bold")
    if version.tasks:
        yield Line(f"in {counted(len(version.tasks), 'workspace')}:", indent=2)
        for step, count in _counts(version):
            only = f" in {count:,}" if count != len(version.tasks) else ""
            yield Line(f"{step.class_name}{only}", indent=4)
    for step in version.instance_steps:
        yield Line(called(step), indent=2)


def _unfinished(one: UnfinishedStep) -> str:
    where = f" in {counted(one.workspaces, 'workspace')}" if one.workspaces else ""
    return f"{one.step.name}: {one.status.value}{where}"


def _end(plan: DownPlan) -> Iterator[Block]:
    if plan.refusals:
        yield Line("nothing would be taken back as it stands", style="error")
        return
    if plan.is_empty:
        yield Line(nothing_to_take_back(plan.target.text if plan.target else None))
    else:
        steps = sum(version.step_count for version in plan.versions)
        text = f"{counted(steps, 'step')} to take back in {counted(len(plan.versions), 'version')}"
        yield Line(f"{text}: upgrader downgrade with the same options")
    if plan.stop:
        yield Line(plan.stop.message, style="warning")
        yield Line(plan.stop.hint, label="hint:", style="hint")


def nothing_to_take_back(target: str | None) -> str:
    """Say that nothing is there to be taken back."""
    return f"nothing to take back: nothing above {target} is there" if target else "nothing to take back"
