"""`upgrader plan --down`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from upgrader.cli import options
from upgrader.cli.invocation import Invocation
from upgrader.cli.planned import plan_code, tell_plan
from upgrader.errors import OperatorError

if TYPE_CHECKING:
    from upgrader.runner.options import DowngradeOptions


_OF_THE_WAY_UP = ("include_slow", "defer_slow", "include_missing", "allow_ahead")


def way_down_options(
    context: typer.Context,
    to: str | None,
    steps: int | None,
    workspace_ids: Sequence[str] | None,
    start_from: str | None,
    count_limit: int | None,
) -> DowngradeOptions:
    """Put the flags together.

    Raises:
        OperatorError: one belongs to the way up, or they do not say how far to go.
    """
    for name in _OF_THE_WAY_UP:
        if context.params.get(name):
            raise OperatorError(
                f"--{name.replace('_', '-')} belongs to the way up", hint="leave it out, or leave out --down"
            )
    if not context.params.get("down"):
        raise OperatorError("--steps belongs to the way down", hint="add --down")
    return options.downgrade_options(
        to=to, steps=steps, workspace_ids=workspace_ids, start_from=start_from, count_limit=count_limit
    )


def show_way_down(invocation: Invocation, wanted: DowngradeOptions, *, as_json: bool) -> int:
    """Show what `downgrade` would take back; give the exit code."""
    from upgrader.cli.render.way_down import way_down_blocks, way_down_document

    report = invocation.upgrader().plan_down(wanted)
    if as_json:
        invocation.output.show_json(way_down_document(report, plan_code(report.plan)))
    else:
        invocation.output.show(*way_down_blocks(report))
    return tell_plan(invocation.output, report.plan)
