"""`upgrader workspace`: its three verbs."""

from __future__ import annotations

import typer

from upgrader.cli import exit_codes
from upgrader.cli.workspace_enroll import enroll
from upgrader.cli.workspace_list import list_workspaces
from upgrader.cli.workspace_run import run

workspace = typer.Typer(help="List, enroll and run commands on workspaces.", rich_markup_mode=None)
workspace.command("list")(list_workspaces)
workspace.command("enroll")(enroll)
workspace.command("run")(run)


@workspace.callback(invoke_without_command=True)
def before_the_verb(context: typer.Context) -> int:
    """List, enroll and run commands on workspaces."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
    return exit_codes.DONE
