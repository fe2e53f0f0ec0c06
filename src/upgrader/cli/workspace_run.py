"""`upgrader workspace run`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from upgrader.cli import options
from upgrader.cli.confirming import agrees
from upgrader.cli.invocation import Invocation
from upgrader.errors import OperatorError


def run(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The command's name, as `list` shows it.")],
    workspace_id: options.WorkspaceIds = None,
    start_from: options.StartFrom = None,
    count_limit: options.CountLimit = None,
    again: Annotated[bool, typer.Option("--again", help="Also where it is completed already.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before --again.")] = False,
    verbose: options.Verbose = False,
    show_parameters: options.ShowParameters = False,
    fail_fast: options.FailFast = False,
    max_failures: options.MaxFailures = None,
    wait_lock: options.WaitLock = 0.0,
    json: options.Json = False,
) -> int:
    """Run one workspace command where it is pending.

    Only where everything before it is done. Attempts are recorded as in an upgrade.
    """
    from upgrader.cli.run import run_and_report
    from upgrader.sequence.plan import Selection

    selection = Selection(tuple(dict.fromkeys(workspace_id or ())), start_from, count_limit)
    seconds = options.seconds("--wait-lock", wait_lock)
    limit = options.failure_limit(max_failures, fail_fast=fail_fast)
    if again and not yes:
        _confirm(name)
    return run_and_report(
        Invocation.of(context),
        lambda upgrader: upgrader.run_workspace_command(
            name,
            selection=selection,
            again=again,
            verbose=verbose or show_parameters,
            fail_fast=fail_fast,
            max_failures=limit,
            wait_lock_seconds=seconds,
        ),
        is_verbose=verbose or show_parameters,
        shows_parameters=show_parameters,
        as_json=json,
    )


def _confirm(name: str) -> None:
    question = f"Run {name} again in workspaces where it is completed?"
    if not (sys.stdin and sys.stdin.isatty() and agrees(question)):
        raise OperatorError("--again was not confirmed: nothing was run", hint="add --yes to confirm it")
