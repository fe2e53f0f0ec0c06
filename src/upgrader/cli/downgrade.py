"""`upgrader downgrade`."""

from __future__ import annotations

from typing import Annotated

import typer

from upgrader.cli import options
from upgrader.cli.invocation import Invocation


def downgrade(
    context: typer.Context,
    to: Annotated[
        str | None, typer.Option("--to", metavar="VERSION", help="Take everything above this version back.")
    ] = None,
    steps: options.Steps = None,
    workspace_id: options.WorkspaceIds = None,
    start_from: options.StartFrom = None,
    count_limit: options.CountLimit = None,
    dry_run: options.DryRun = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before taking back.")] = False,
    verbose: options.Verbose = False,
    show_parameters: options.ShowParameters = False,
    fail_fast: options.FailFast = False,
    jobs: options.JobCount = None,
    order: options.OrderWanted = None,
    wait_lock: options.WaitLock = 0.0,
    log_format: options.LogFormatWanted = None,
    json: options.Json = False,
) -> int:
    """Take steps back, newest first.

    With the newer code, before the application goes back. Version by version, the mirror of upgrade: every
    workspace, then slow and fast steps. The whole way is looked
    at first: nothing is taken back where a command on it has no way down.
    """
    from upgrader.cli.confirming import confirmed
    from upgrader.cli.run import run_and_report

    invocation = Invocation.of(context)
    wanted = options.downgrade_options(
        to=to,
        steps=steps,
        workspace_ids=workspace_id,
        start_from=start_from,
        count_limit=count_limit,
        dry_run=dry_run,
        verbose=verbose or show_parameters,
        fail_fast=fail_fast,
        wait_lock=wait_lock,
        jobs=jobs,
        order=order,
    )
    wanted = wanted if yes or dry_run else confirmed(invocation, wanted)
    return run_and_report(
        invocation,
        lambda upgrader: upgrader.downgrade(wanted),
        is_verbose=wanted.verbose,
        shows_parameters=show_parameters,
        as_json=json,
        log_format=log_format,
    )
