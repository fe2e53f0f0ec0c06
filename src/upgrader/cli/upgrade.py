"""`upgrader upgrade`."""

from __future__ import annotations

import typer

from upgrader.cli import options
from upgrader.cli.invocation import Invocation


def upgrade(
    context: typer.Context,
    include_slow: options.IncludeSlow = False,
    defer_slow: options.DeferSlow = False,
    to: options.To = None,
    workspace_id: options.WorkspaceIds = None,
    start_from: options.StartFrom = None,
    count_limit: options.CountLimit = None,
    dry_run: options.DryRun = False,
    verbose: options.Verbose = False,
    show_parameters: options.ShowParameters = False,
    fail_fast: options.FailFast = False,
    max_failures: options.MaxFailures = None,
    include_missing: options.IncludeMissing = False,
    allow_ahead: options.AllowAhead = False,
    jobs: options.JobCount = None,
    distributed: options.Distributed = False,
    batch_size: options.BatchSize = None,
    pause_ms: options.PauseMs = None,
    max_rows_per_second: options.MaxRowsPerSecond = None,
    restart_backfill: options.RestartBackfill = False,
    keep_checkpoint: options.KeepCheckpoint = False,
    dry_run_rows: options.DryRunRows = 10_000,
    order: options.OrderWanted = None,
    wait_lock: options.WaitLock = 0.0,
    log_format: options.LogFormatWanted = None,
    json: options.Json = False,
) -> int:
    """Bring instance and workspaces up to the application's version.

    Version by version: fast steps, slow steps if they are included, then every workspace.
    """
    from upgrader.cli.distributed import check_distributed, upgrading
    from upgrader.cli.run import run_and_report

    if distributed:
        check_distributed(jobs=jobs, shows_parameters=show_parameters)
    wanted = options.upgrade_options(
        include_slow=include_slow,
        defer_slow=defer_slow,
        to=to,
        workspace_ids=workspace_id,
        start_from=start_from,
        count_limit=count_limit,
        include_missing=include_missing,
        allow_ahead=allow_ahead,
        dry_run=dry_run,
        verbose=verbose or show_parameters,
        fail_fast=fail_fast,
        max_failures=max_failures,
        wait_lock=wait_lock,
        jobs=jobs,
        backfill=options.backfill_options(
            batch_size=batch_size,
            pause_ms=pause_ms,
            max_rows_per_second=max_rows_per_second,
            restart=restart_backfill,
            keep_checkpoint=keep_checkpoint,
            dry_run_rows=dry_run_rows,
        ),
        order=order,
    )
    return run_and_report(
        Invocation.of(context),
        upgrading(wanted, is_distributed=distributed),
        is_verbose=wanted.verbose,
        shows_parameters=show_parameters,
        as_json=json,
        log_format=log_format,
        tells_events=not dry_run,
    )
