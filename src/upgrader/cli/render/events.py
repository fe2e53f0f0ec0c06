"""What happens in a run, as lines for people; nothing for what only moves a progress bar."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from upgrader import events
from upgrader.cli.render.blocks import Block, Line
from upgrader.cli.render.waits import retry_blocks
from upgrader.cli.render.wording import called, counted, duration, first_lines

if TYPE_CHECKING:
    from upgrader.model import PreflightFinding

_LONGEST_PARAMETER = 200
_QUIET_LEVELS = ("DEBUG", "INFO")


def event_blocks(
    event: events.Event, *, is_verbose: bool = False, shows_parameters: bool = False
) -> list[Block]:
    """Give the lines of an event.

    Args:
        is_verbose: also statements, and each step in each workspace.
        shows_parameters: with the parameters of the statements.
    """
    match event:
        case events.StatementExecuted() if is_verbose:
            return _statement(event, shows_parameters=shows_parameters)
        case events.StepStarted() | events.StepFinished():
            return _step(event, is_verbose=is_verbose)
        case events.AuthorLog():
            return _log(event, is_verbose=is_verbose)
        case events.WorkspaceFinished():
            return _workspace(event)
        case events.LanesChanged() if is_verbose:
            return [Line(f"{counted(event.lanes, 'workspace')} at a time: {event.reason}", indent=2)]
        case events.RunStarted() if is_verbose:
            return [Line(f"run {event.run_id} on {event.database}, application {event.app_version}")]
        case _:
            return _of_the_run(event)


def _of_the_run(event: events.Event) -> list[Block]:
    match event:
        case events.FirstUpgrade():
            return _first_upgrade(event)
        case events.Notice():
            is_warning = event.level == "warning"
            return [Line(event.message, "warning:", "warning") if is_warning else Line(event.message)]
        case events.PreflightFound():
            return preflight_lines(event.finding)
        case events.VersionStarted():
            return _version(event)
        case events.StepRetried():
            return retry_blocks(event)
        case events.SegmentFinished() if event.done or event.failed or event.skipped or event.left_out:
            return [Line(_segment(event), indent=2, style="error" if event.failed else "")]
        case _:
            return []


def preflight_lines(finding: PreflightFinding) -> list[Block]:
    """Give a finding that a run goes on with."""
    return [
        Line(finding.message, label="warning:", style="warning"),
        Line(finding.hint, label="hint:", style="hint"),
    ]


def _first_upgrade(event: events.FirstUpgrade) -> list[Block]:
    there = f"{counted(event.tables, 'table')}, {counted(event.workspaces, 'workspace')}"
    return [
        Line(
            f"first upgrade of this database ({there}): everything is enrolled at the beginning. "
            "Is it at some version already? Stop, and type `upgrader baseline VERSION` instead"
        )
    ]


def _version(event: events.VersionStarted) -> list[Block]:
    parts = [
        counted(event.instance_steps, "instance step") if event.instance_steps else "",
        counted(event.workspaces, "workspace") if event.workspaces else "",
    ]
    told = ", ".join(part for part in parts if part)
    return [Line(f"{event.version}: {told}", style="bold")] if told else []


def _segment(event: events.SegmentFinished) -> str:
    parts = [
        f"{counted(event.done, 'workspace')} done",
        f"{event.failed:,} failed" if event.failed else "",
        f"{event.skipped:,} skipped" if event.skipped else "",
        f"{event.left_out:,} left out" if event.left_out else "",
    ]
    return f"{', '.join(part for part in parts if part)} in {duration(event.seconds)}"


def _workspace(event: events.WorkspaceFinished) -> list[Block]:
    if event.result == "done":
        return []
    label = event.workspace.label
    if event.result == "left-out":
        return [
            Line(f"left out: {label}: gone, or out of scope since it was listed", indent=2, style="warning")
        ]
    reason = f": {first_lines(event.error, 1)}" if event.error else ""
    style = "warning" if event.result == "skipped" else "error"
    return [Line(f"{label}{reason}", f"{event.result}:", style, indent=2)]


def _step(event: events.StepStarted | events.StepFinished, *, is_verbose: bool) -> list[Block]:
    place = "" if event.scope.is_instance else f"{event.scope}: "
    again = f", attempt {event.attempt}" if event.attempt > 1 else ""
    if isinstance(event, events.StepStarted):
        long = event.step.is_slow or not event.step.transactional
        is_shown = is_verbose or (event.scope.is_instance and long)
        return [Line(f"{place}{called(event.step)} begins{again}", indent=2)] if is_shown else []
    if event.error is None:
        is_shown = is_verbose or event.scope.is_instance
        text = f"{place}{called(event.step)} {event.status.value}{again} in {duration(event.seconds)}"
        return [Line(text, indent=2)] if is_shown else []
    if not event.scope.is_instance:
        return []  # told with the workspace
    text = f"{called(event.step)}{again}: {first_lines(event.error, 1)}"
    return [Line(text, f"{event.status.value}:", "error", indent=2)]


def _log(event: events.AuthorLog, *, is_verbose: bool) -> list[Block]:
    level = event.level.upper()
    if level in _QUIET_LEVELS and not event.scope.is_instance and not is_verbose:
        return []
    mark = "" if level in _QUIET_LEVELS else f"{level.lower()}: "
    where = "" if event.scope.is_instance else f"{event.scope}: "
    return [Line(f"{where}{mark}{event.message}", indent=4, style="" if not mark else "warning")]


def _statement(event: events.StatementExecuted, *, shows_parameters: bool) -> list[Block]:
    rows = f", {counted(event.row_count, 'row')}" if event.row_count >= 0 else ""
    failed = ", failed" if event.has_failed else ""
    place = f", {PurePath(event.file).name}:{event.line}" if event.file else ""
    blocks: list[Block] = [
        Line(" ".join(event.statement.split()), indent=6, verbatim=True),
        Line(f"{event.seconds * 1000:.1f} ms{rows}{failed}{place}", indent=8, style="dim"),
    ]
    if shows_parameters and event.parameters:
        blocks.append(Line(f"parameters: {_parameters(event.parameters)}", indent=8, style="dim"))
    return blocks


def _parameters(parameters: Any) -> str:
    if isinstance(parameters, Mapping):
        return ", ".join(f"{name}={_shown(value)}" for name, value in parameters.items())
    if isinstance(parameters, Iterable) and not isinstance(parameters, str | bytes):
        return ", ".join(_shown(value) for value in parameters)
    return _shown(parameters)


def _shown(value: object) -> str:
    text = repr(value)
    return (
        text
        if len(text) <= _LONGEST_PARAMETER
        else f"{text[:_LONGEST_PARAMETER]}… ({len(text):,} characters)"
    )
