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
) -> int:
    """Show the whole thing on real data.

    244 workspaces are taken through three versions on a PostgreSQL server of its own, with a failure and its
    repair on the way.
    """
    from upgrader.cli.demo_place import demo_place, prepare_only
    from upgrader.cli.demo_show import show

    invocation = Invocation.of(context)
    if keep and prepare:
        raise OperatorError("--keep and --prepare exclude each other", hint="--prepare keeps what it makes")
    if prepare:
        return prepare_only(invocation)
    with demo_place(invocation, keep=keep) as place:
        return show(place)
