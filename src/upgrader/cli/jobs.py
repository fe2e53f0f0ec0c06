"""`upgrader jobs`: its verbs."""

from __future__ import annotations

import typer

from upgrader.cli import exit_codes
from upgrader.cli.jobs_cancel import cancel
from upgrader.cli.jobs_list import list_jobs
from upgrader.cli.jobs_queues import queues
from upgrader.cli.jobs_retry import retry
from upgrader.cli.jobs_show import show
from upgrader.cli.jobs_trigger import trigger

_HELP = "Run scheduled jobs; look at queues."

jobs = typer.Typer(help=_HELP, rich_markup_mode=None)
jobs.command("list")(list_jobs)
jobs.command("show")(show)
jobs.command("retry")(retry)
jobs.command("cancel")(cancel)
jobs.command("trigger")(trigger)
jobs.command("queues")(queues)


@jobs.callback(invoke_without_command=True)
def before_the_verb(context: typer.Context) -> int:
    """Run scheduled jobs; look at queues."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
    return exit_codes.DONE
