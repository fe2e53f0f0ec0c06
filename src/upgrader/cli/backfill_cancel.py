"""`upgrader backfill cancel`."""

from __future__ import annotations

import typer

from upgrader.cli import exit_codes, options
from upgrader.cli.invocation import Invocation


def cancel(context: typer.Context, name: options.BackfillName, json: options.Json = False) -> int:
    """End the step of a backfill.

    After the batch at hand; its run ends with exit code 1. The next run goes on where it was.
    """
    from upgrader.cli.render.backfills import ordered_blocks, ordered_document

    invocation = Invocation.of(context)
    done = invocation.upgrader().cancel_backfill(name)
    if json:
        invocation.output.show_json(ordered_document(done, exit_codes.DONE))
    else:
        invocation.output.show(*ordered_blocks("cancel", done))
    return exit_codes.DONE
