"""`upgrader workspace`: its verbs."""

from __future__ import annotations

import typer

from upgrader.cli import exit_codes
from upgrader.cli.workspace_enroll import enroll
from upgrader.cli.workspace_forget import forget
from upgrader.cli.workspace_list import list_workspaces
from upgrader.cli.workspace_quarantine import quarantine
from upgrader.cli.workspace_release import release
from upgrader.cli.workspace_run import run

_HELP = "List, enroll, run, set aside and forget workspaces."

workspace = typer.Typer(help=_HELP, rich_markup_mode=None)
workspace.command("list")(list_workspaces)
workspace.command("enroll")(enroll)
workspace.command("run")(run)
workspace.command("quarantine")(quarantine)
workspace.command("release")(release)
workspace.command("forget")(forget)


@workspace.callback(invoke_without_command=True)
def before_the_verb(context: typer.Context) -> int:
    """List, enroll, run, set aside and forget workspaces."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
    return exit_codes.DONE
