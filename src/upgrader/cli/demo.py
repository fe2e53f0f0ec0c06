"""`upgrader demo`."""

from __future__ import annotations

from typing import Annotated

import typer

from upgrader.cli.invocation import Invocation
from upgrader.errors import OperatorError


def demo(
    context: typer.Context,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the server and its data, and say how to look at it.")
    ] = False,
    prepare: Annotated[
        bool, typer.Option("--prepare", help="Only make the database of 1.20.0, where the settings say.")
    ] = False,
    distributed: Annotated[
        bool,
        typer.Option("--distributed", help="Let three worker processes do it, one of which is killed."),
    ] = False,
) -> int:
    """Show the whole thing on real data.

    244 workspaces are taken through three versions on a PostgreSQL server of its own, with a failure and its
    repair on the way.
    """
    from upgrader.cli.demo_place import demo_place, prepare_only
    from upgrader.cli.demo_show import show, show_distributed

    invocation = Invocation.of(context)
    if keep and prepare:
        raise OperatorError("--keep and --prepare exclude each other", hint="--prepare keeps what it makes")
    if distributed and prepare:
        raise OperatorError(
            "--distributed and --prepare exclude each other",
            hint="after --prepare: upgrader worker, and upgrader upgrade --distributed in another terminal",
        )
    if prepare:
        return prepare_only(invocation)
    with demo_place(invocation, keep=keep) as place:
        return show_distributed(place) if distributed else show(place)
