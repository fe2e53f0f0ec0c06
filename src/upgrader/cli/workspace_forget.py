"""`upgrader workspace forget`."""

from __future__ import annotations

from typing import Annotated

import typer

from upgrader.cli import exit_codes, options
from upgrader.cli.invocation import Invocation


def forget(
    context: typer.Context,
    workspace_ids: Annotated[list[str], typer.Argument(metavar="ID", help="Ids of deleted workspaces.")],
    wait_lock: options.WaitLock = 0.0,
    json: options.Json = False,
) -> int:
    """End the history of deleted workspaces.

    Their ids may be used again. What ran on them stays in the history, marked as forgotten, and counts no more.
    """
    from upgrader.cli.progress import RunDisplay
    from upgrader.cli.render.blocks import Line
    from upgrader.cli.render.documents import envelope
    from upgrader.cli.render.wording import counted

    invocation = Invocation.of(context)
    ids = tuple(dict.fromkeys(workspace_ids))
    seconds = options.seconds("--wait-lock", wait_lock)
    with RunDisplay(invocation.output) as display:
        count = invocation.upgrader(display).forget(ids, wait_lock_seconds=seconds)
    if json:
        invocation.output.show_json({**envelope("done", exit_codes.DONE), "forgotten": list(ids)})
    else:
        invocation.output.show(Line(f"the history of {counted(count, 'workspace')} is ended"))
    return exit_codes.DONE
