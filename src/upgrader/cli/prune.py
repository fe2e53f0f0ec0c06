"""`upgrader prune`."""

from __future__ import annotations

from typing import Annotated

import typer

from upgrader.cli import exit_codes, options
from upgrader.cli.invocation import Invocation


def prune(
    context: typer.Context,
    older_than: Annotated[
        str,
        typer.Option("--older-than", metavar="AGE", help="Attempts that ended so long ago: 12h, 90d, 8w."),
    ] = "90d",
    dry_run: Annotated[bool, typer.Option("--dry-run", "-d", help="Only count; change nothing.")] = False,
    json: options.Json = False,
) -> int:
    """Fold old attempts in vain into the last of them.

    Nothing that decides what is pending is touched. Takes no lock: it is safe beside an upgrade.
    """
    from upgrader.cli.render.prune import prune_blocks, prune_document

    age = options.age("--older-than", older_than)
    invocation = Invocation.of(context)
    report = invocation.upgrader().prune(age, dry_run=dry_run)
    if json:
        invocation.output.show_json(prune_document(report, exit_codes.DONE))
    else:
        invocation.output.show(*prune_blocks(report))
    return exit_codes.DONE
