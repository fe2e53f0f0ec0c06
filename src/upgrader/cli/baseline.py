"""`upgrader baseline`."""

from __future__ import annotations

from typing import Annotated

import typer

from upgrader.cli import exit_codes, options
from upgrader.cli.invocation import Invocation


def baseline(
    context: typer.Context,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The version that the database is at.")],
    workspace_id: options.WorkspaceIds = None,
    wait_lock: options.WaitLock = 0.0,
) -> int:
    """Adopt a database that is at VERSION already.

    Everything up to it counts as done, in the instance and in every workspace, or in the workspaces that are
    named. Nothing runs.
    """
    from upgrader.cli.progress import RunDisplay
    from upgrader.cli.render.blocks import Line
    from upgrader.cli.render.wording import counted
    from upgrader.version import ReleaseVersion

    invocation = Invocation.of(context)
    wanted = ReleaseVersion.parse(version)
    with RunDisplay(invocation.output) as display:
        upgrader = invocation.upgrader(display)
        done = upgrader.baseline(
            wanted,
            workspace_ids=tuple(dict.fromkeys(workspace_id or ())),
            wait_lock_seconds=options.seconds("--wait-lock", wait_lock),
        )
    who = counted(done.workspaces, "workspace")
    is_one = bool(workspace_id) and done.workspaces == 1
    marked = f"{who if workspace_id else f'the instance and {who}'} {'is' if is_one else 'are'} at {done.at}"
    new = f"{counted(done.written, 'mark')} written" if done.written else "marked so already"
    invocation.output.show(Line(f"{marked}: {new}"))
    invocation.output.tell(Line("`upgrader plan` shows what is left to run", label="hint:", style="hint"))
    return exit_codes.DONE
