"""`upgrader list`."""

from __future__ import annotations

import typer

from upgrader.cli import exit_codes, options
from upgrader.cli.invocation import Invocation


def list_commands(context: typer.Context, json: options.Json = False) -> int:
    """Show every command by version and kind.

    Needs no database. Commands above the application's version are dormant.
    """
    from upgrader.cli.render.blocks import Line
    from upgrader.cli.render.documents import list_document
    from upgrader.cli.render.listing import list_blocks

    invocation = Invocation.of(context)
    upgrader = invocation.upgrader()
    steps = list(upgrader.registry.sequence)
    if json:
        invocation.output.show_json(list_document(steps, upgrader.app_version, exit_codes.DONE))
        return exit_codes.DONE
    invocation.output.show(*list_blocks(steps, upgrader.app_version))
    if not steps:
        hint = "upgrader generate --name add-x --type fast --version 1.0.0"
        invocation.output.tell(Line("there are no commands yet"), Line(hint, label="hint:", style="hint"))
    return exit_codes.DONE
