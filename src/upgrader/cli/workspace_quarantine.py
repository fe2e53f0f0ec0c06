"""`upgrader workspace quarantine`."""

from __future__ import annotations

from typing import Annotated

import typer

from upgrader.cli import exit_codes, options
from upgrader.cli.invocation import Invocation


def quarantine(
    context: typer.Context,
    workspace_ids: Annotated[list[str], typer.Argument(metavar="ID", help="Ids of workspaces.")],
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why, and who is at it: every report says it.")
    ],
    json: options.Json = False,
) -> int:
    """Set workspaces aside for now.

    Nothing runs on them, and no barrier waits for them.
    Possible while an upgrade runs: it leaves them alone from its next version on.
    """
    from upgrader.cli.progress import RunDisplay
    from upgrader.cli.render.blocks import Line
    from upgrader.cli.render.quarantine import set_aside_blocks, setting_aside_document

    invocation = Invocation.of(context)
    with RunDisplay(invocation.output) as display:
        done = invocation.upgrader(display).quarantine(tuple(dict.fromkeys(workspace_ids)), reason=reason)
    if json:
        invocation.output.show_json(setting_aside_document(done, exit_codes.DONE))
    else:
        invocation.output.show(*set_aside_blocks(done))
    text = f"`upgrader workspace release {workspace_ids[0]}` brings it back"
    invocation.output.tell(Line(text, label="hint:", style="hint"))
    return exit_codes.DONE
