"""`upgrader workspace list`."""

from __future__ import annotations

from typing import Annotated

import typer

from upgrader.cli import exit_codes, options
from upgrader.cli.invocation import Invocation


def list_workspaces(
    context: typer.Context,
    show_all: Annotated[bool, typer.Option("--all", help="Every workspace, however many.")] = False,
    json: options.Json = False,
) -> int:
    """Show the workspaces and how far each is.

    Also those out of scope, with where each was enrolled and what it is through.
    """
    from upgrader.cli.render.workspaces import workspaces_blocks, workspaces_document

    invocation = Invocation.of(context)
    survey = invocation.upgrader().workspaces()
    if json:
        invocation.output.show_json(workspaces_document(survey, exit_codes.DONE))
    else:
        width = invocation.output.stdout_width
        invocation.output.show(*workspaces_blocks(survey, is_whole=show_all, width=width))
    return exit_codes.DONE
