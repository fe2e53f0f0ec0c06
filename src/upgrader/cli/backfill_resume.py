"""`upgrader backfill resume`."""

from __future__ import annotations

import typer

from upgrader.cli import exit_codes, options
from upgrader.cli.invocation import Invocation


def resume(context: typer.Context, name: options.BackfillName, json: options.Json = False) -> int:
    """Let a paused backfill go on.

    At once where its run is at work, else with the next upgrade.
    """
    from upgrader.cli.render.backfills import ordered_blocks, ordered_document

    invocation = Invocation.of(context)
    done = invocation.upgrader().resume_backfill(name)
    if json:
        invocation.output.show_json(ordered_document(done, exit_codes.DONE))
    else:
        invocation.output.show(*ordered_blocks("resume", done))
    return exit_codes.DONE
