"""`upgrader worker`: the headless process, and its verbs."""

from __future__ import annotations

from typing import Annotated

import typer

from upgrader.cli import exit_codes, options
from upgrader.cli.invocation import Invocation
from upgrader.cli.worker_status import status

_HELP = "Run scheduled jobs and queues, without HTTP."

worker = typer.Typer(help=_HELP, rich_markup_mode=None)
worker.command("status")(status)


@worker.callback(invoke_without_command=True)
def run(
    context: typer.Context,
    queues: Annotated[
        list[str] | None,
        typer.Option("--queues", metavar="Q,…", help="Only these queues; with commas, or repeated."),
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", metavar="N", min=1, help="Do N jobs of queues at a time.")
    ] = None,
    no_scheduler: Annotated[bool, typer.Option("--no-scheduler", help="Fire no ticks.")] = False,
    metrics_port: Annotated[
        int | None,
        typer.Option("--metrics-port", metavar="PORT", min=0, max=65535, help="Serve metrics; 0: do not."),
    ] = None,
    log_format: options.LogFormatWanted = None,
) -> int:
    """Run scheduled jobs and queues, without HTTP.

    Any number of workers may run. SIGINT and SIGTERM let the jobs in progress finish.
    """
    if context.invoked_subcommand is not None:
        return exit_codes.DONE
    from upgrader.cli.worker_run import run_worker

    return run_worker(
        Invocation.of(context),
        queues=options.listed(queues) or None,
        concurrency=concurrency,
        schedules=not no_scheduler,
        metrics_port=metrics_port,
        log_format=log_format,
    )
