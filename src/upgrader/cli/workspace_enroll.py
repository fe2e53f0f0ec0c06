"""`upgrader workspace enroll`."""

from __future__ import annotations

from typing import Annotated

import typer

from upgrader.cli import exit_codes, options
from upgrader.cli.invocation import Invocation


def enroll(
    context: typer.Context,
    workspace_ids: Annotated[list[str], typer.Argument(metavar="ID", help="Ids of workspaces.")],
    at: Annotated[
        str,
        typer.Option(
            "--at",
            metavar="start|current|VERSION",
            help="start: nothing counts as done; VERSION: all up to it does; current: the instance's version.",
        ),
    ] = "current",
    wait_lock: options.WaitLock = 0.0,
) -> int:
    """Enroll workspaces by hand.

    At the release whose shape they have.
    """
    from upgrader.cli.progress import RunDisplay
    from upgrader.cli.render.blocks import Line
    from upgrader.cli.render.wording import counted

    invocation = Invocation.of(context)
    ids = tuple(dict.fromkeys(workspace_ids))
    seconds = options.seconds("--wait-lock", wait_lock)
    with RunDisplay(invocation.output) as display:
        done = invocation.upgrader(display).enroll(ids, at=at, wait_lock_seconds=seconds)
    invocation.output.show(Line(f"{counted(done.workspaces, 'workspace')} enrolled at {done.at}"))
    return exit_codes.DONE
