"""`upgrader plan`."""

from __future__ import annotations

from typing import Annotated

import typer

from upgrader.cli import options
from upgrader.cli.invocation import Invocation
from upgrader.cli.planned import plan_code, tell_plan


def plan(
    context: typer.Context,
    include_slow: options.IncludeSlow = False,
    defer_slow: options.DeferSlow = False,
    to: options.To = None,
    workspace_id: options.WorkspaceIds = None,
    start_from: options.StartFrom = None,
    count_limit: options.CountLimit = None,
    include_missing: options.IncludeMissing = False,
    allow_ahead: options.AllowAhead = False,
    down: Annotated[
        bool, typer.Option("--down", help="Show the way down instead, to --to or by --steps.")
    ] = False,
    steps: options.Steps = None,
    json: options.Json = False,
) -> int:
    """Show what `upgrade` would run, and where it would stop.

    Runs nothing and takes no lock. Takes the options of `upgrade`; with --down those of `downgrade`.
    """
    if down or steps is not None:
        from upgrader.cli.plan_down import show_way_down, way_down_options

        wanted_down = way_down_options(context, to, steps, workspace_id, start_from, count_limit)
        return show_way_down(Invocation.of(context), wanted_down, as_json=json)
    from upgrader.cli.render.documents import plan_document
    from upgrader.cli.render.plan import plan_blocks

    invocation = Invocation.of(context)
    output = invocation.output
    wanted = options.upgrade_options(
        include_slow=include_slow,
        defer_slow=defer_slow,
        to=to,
        workspace_ids=workspace_id,
        start_from=start_from,
        count_limit=count_limit,
        include_missing=include_missing,
        allow_ahead=allow_ahead,
    )
    report = invocation.upgrader().plan(wanted)
    if json:
        output.show_json(plan_document(report, plan_code(report.plan)))
    else:
        output.show(*plan_blocks(report))
    return tell_plan(output, report.plan)
