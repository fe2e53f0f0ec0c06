"""`upgrader workspace list`."""

from __future__ import annotations

import typer

from upgrader.cli import exit_codes, options
from upgrader.cli.invocation import Invocation


def list_workspaces(context: typer.Context, json: options.Json = False) -> int:
    """Show every workspace and how far it is.

    Also those out of scope, with where each was enrolled and what it is through.
    """
    from upgrader.cli.render.workspaces import workspaces_blocks, workspaces_document

    invocation = Invocation.of(context)
    survey = invocation.upgrader().workspaces()
    if json:
        invocation.output.show_json(workspaces_document(survey, exit_codes.DONE))
    else:
        invocation.output.show(*workspaces_blocks(survey, width=invocation.output.stdout_width))
    return exit_codes.DONE
