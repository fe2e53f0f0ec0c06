"""`upgrader backfill list`."""

from __future__ import annotations

from typing import Annotated

import typer

from upgrader.cli import exit_codes, options
from upgrader.cli.invocation import Invocation


def list_backfills(
    context: typer.Context,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="Show at most N.")] = 100,
    json: options.Json = False,
) -> int:
    """Show every backfill that is not through.

    How far each is, how fast it goes, how long the rest takes, and what it waits for.
    """
    from upgrader.cli.render.backfills import backfills_blocks, backfills_document

    invocation = Invocation.of(context)
    found = invocation.upgrader().backfills(limit=limit + 1)
    shown, has_more = found[:limit], len(found) > limit
    if json:
        invocation.output.show_json(backfills_document(shown, exit_codes.DONE, has_more=has_more))
    else:
        invocation.output.show(
            *backfills_blocks(shown, has_more=has_more, width=invocation.output.stdout_width)
        )
    return exit_codes.DONE
