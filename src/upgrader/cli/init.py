"""`upgrader init`."""

from __future__ import annotations

import typer

from upgrader.cli import exit_codes
from upgrader.cli.invocation import Invocation
from upgrader.cli.render.blocks import Line


def init(context: typer.Context) -> int:
    """Write a configuration and a directory for commands.

    Nothing that is there is ever overwritten.
    """
    from upgrader.generate import init_project
    from upgrader.registry.place import place_of
    from upgrader.settings import working_directory

    output = Invocation.of(context).output
    done = init_project(working_directory())
    for path in done.written:
        output.show_exactly(place_of(path))
    for path in done.left_alone:
        output.tell(Line(f"{place_of(path)} is there already and was left alone"))
    output.tell(
        Line("next: set database_url in upgrader.toml, then"),
        Line("upgrader generate --name add-x --type fast --version 1.0.0", indent=2, verbatim=True),
    )
    return exit_codes.DONE
