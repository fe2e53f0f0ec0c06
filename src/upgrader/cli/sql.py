"""`upgrader sql`."""

from __future__ import annotations

from typing import Annotated

import typer

from upgrader.cli import options
from upgrader.cli.invocation import Invocation


def sql(
    context: typer.Context,
    include_slow: options.IncludeSlow = False,
    defer_slow: options.DeferSlow = False,
    to: options.To = None,
    workspace_id: options.WorkspaceIds = None,
    start_from: options.StartFrom = None,
    count_limit: options.CountLimit = None,
    include_missing: options.IncludeMissing = False,
    allow_ahead: options.AllowAhead = False,
    all_workspaces: Annotated[
        bool,
        typer.Option("--all-workspaces", help="Every workspace, not the first of those with the same steps."),
    ] = False,
    wait_lock: options.WaitLock = 0.0,
    json: options.Json = False,
) -> int:
    """Print the SQL that `upgrade` would execute, for review.

    Tries the pending steps under the run lock and rolls everything back, like `upgrade --dry-run`. Takes the
    options of `plan`.
    """
    from upgrader.cli.script import print_script

    wanted = options.upgrade_options(
        include_slow=include_slow,
        defer_slow=defer_slow,
        to=to,
        workspace_ids=workspace_id,
        start_from=start_from,
        count_limit=count_limit,
        include_missing=include_missing,
        allow_ahead=allow_ahead,
        wait_lock=wait_lock,
    )
    return print_script(Invocation.of(context), wanted, all_workspaces=all_workspaces, as_json=json)
