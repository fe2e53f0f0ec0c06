"""`upgrader backfill`: its verbs."""

from __future__ import annotations

import typer

from upgrader.cli import exit_codes
from upgrader.cli.backfill_cancel import cancel
from upgrader.cli.backfill_list import list_backfills
from upgrader.cli.backfill_pause import pause
from upgrader.cli.backfill_resume import resume
from upgrader.cli.backfill_show import show

_HELP = "Look at backfills at work; pause, resume, cancel them."

backfill = typer.Typer(help=_HELP, rich_markup_mode=None)
backfill.command("list")(list_backfills)
backfill.command("show")(show)
backfill.command("pause")(pause)
backfill.command("resume")(resume)
backfill.command("cancel")(cancel)


@backfill.callback(invoke_without_command=True)
def before_the_verb(context: typer.Context) -> int:
    """Look at backfills at work; pause, resume, cancel them."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
    return exit_codes.DONE
