"""`upgrader generate`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from upgrader.cli import exit_codes
from upgrader.cli.invocation import Invocation


class CommandType(StrEnum):
    """The words that authors type."""

    FAST = "fast"
    SLOW = "slow"
    WORKSPACE = "workspace"


def generate(
    context: typer.Context,
    name: Annotated[str, typer.Option("--name", help="What it does: add-invoice-currency.")],
    kind: Annotated[CommandType, typer.Option("--type", help="Which kind of command.")],
    version: Annotated[
        str | None, typer.Option("--version", metavar="V", help="Its release; by default the application's.")
    ] = None,
    non_transactional: Annotated[
        bool, typer.Option("--non-transactional", help="Run it in autocommit, outside a transaction.")
    ] = False,
    autogenerate: Annotated[
        bool, typer.Option("--autogenerate", help="Write what the models have and the database has not.")
    ] = False,
    workspace_schema: Annotated[
        str | None,
        typer.Option(
            "--workspace-schema",
            metavar="SCHEMA",
            help="With --autogenerate: compare this workspace's schema.",
        ),
    ] = None,
) -> int:
    """Write a new command file and print its path.

    Needs no database, except with --autogenerate, which may write several files. Paths are all that goes to stdout.
    """
    from upgrader.cli.new_command import NewCommandRequest, write_new_commands

    invocation = Invocation.of(context)
    request = NewCommandRequest(
        name, kind.value, version, not non_transactional, autogenerate, workspace_schema
    )
    write_new_commands(request, invocation)
    return exit_codes.DONE
