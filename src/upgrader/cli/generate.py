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
) -> int:
    """Write a new command file and print its path.

    Needs no database. The path is all that goes to stdout.
    """
    from upgrader.cli.new_command import command_directory, release_of, released_warnings
    from upgrader.generate import scaffold_command
    from upgrader.registry.place import place_of

    invocation = Invocation.of(context)
    directory = command_directory(invocation.settings)
    release = release_of(version, invocation.settings)
    warnings = list(
        released_warnings(release, invocation.settings, directory, is_slow=kind is CommandType.SLOW)
    )
    path = scaffold_command(
        name=name,
        type=kind.value,
        version=release,
        directory=directory,
        transactional=not non_transactional,
    )
    for warning in warnings:
        invocation.output.warn(warning)
    invocation.output.show_exactly(place_of(path))
    return exit_codes.DONE
