"""`upgrader workspace release`."""

from __future__ import annotations

from typing import Annotated

import typer

from upgrader.cli import exit_codes, options
from upgrader.cli.invocation import Invocation


def release(
    context: typer.Context,
    workspace_ids: Annotated[list[str], typer.Argument(metavar="ID", help="Ids of workspaces.")],
    json: options.Json = False,
) -> int:
    """Bring workspaces back that were set aside.

    What each has missed runs before anything newer, and barriers wait for it again.
    """
    from upgrader.cli.progress import RunDisplay
    from upgrader.cli.render.blocks import Line
    from upgrader.cli.render.quarantine import released_blocks, setting_aside_document

    invocation = Invocation.of(context)
    with RunDisplay(invocation.output) as display:
        done = invocation.upgrader(display).release(tuple(dict.fromkeys(workspace_ids)))
    if json:
        invocation.output.show_json(setting_aside_document(done, exit_codes.DONE))
    else:
        invocation.output.show(*released_blocks(done))
    if any(one.misses for one in done.changed):
        text = "`upgrader upgrade` runs what was missed first"
        invocation.output.tell(Line(text, label="hint:", style="hint"))
    return exit_codes.DONE
