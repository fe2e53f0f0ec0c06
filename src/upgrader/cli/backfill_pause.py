"""`upgrader backfill pause`."""

from __future__ import annotations

import typer

from upgrader.cli import exit_codes, options
from upgrader.cli.invocation import Invocation


def pause(context: typer.Context, name: options.BackfillName, json: options.Json = False) -> int:
    """Let a backfill rest until it is resumed.

    Its run rests after the batch at hand and keeps its locks on nothing. Where none is at work, the next one waits.
    """
    from upgrader.cli.render.backfills import ordered_blocks, ordered_document

    invocation = Invocation.of(context)
    done = invocation.upgrader().pause_backfill(name)
    if json:
        invocation.output.show_json(ordered_document(done, exit_codes.DONE))
    else:
        invocation.output.show(*ordered_blocks("pause", done))
    return exit_codes.DONE
