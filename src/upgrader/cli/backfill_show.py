"""`upgrader backfill show`."""

from __future__ import annotations

import typer

from upgrader.cli import exit_codes, options
from upgrader.cli.invocation import Invocation


def show(context: typer.Context, name: options.BackfillName, json: options.Json = False) -> int:
    """Show one backfill with all that is known of it."""
    from upgrader.cli.render.backfills import backfill_blocks, backfill_document

    invocation = Invocation.of(context)
    found = invocation.upgrader().backfill(name)
    if json:
        invocation.output.show_json(backfill_document(found, exit_codes.DONE))
    else:
        invocation.output.show(*backfill_blocks(found))
    return exit_codes.DONE
