"""`upgrader jobs queues`."""

from __future__ import annotations

import typer

from upgrader.cli import exit_codes, options
from upgrader.cli.invocation import Invocation
from upgrader.cli.queue_access import queue_of


def queues(context: typer.Context, json: options.Json = False) -> int:
    """Show how many jobs of each queue wait, are worked on, failed."""
    from upgrader.cli.render.jobs import queues_blocks, queues_document

    invocation = Invocation.of(context)
    with queue_of(invocation) as administration:
        found = administration.queues()
    output = invocation.output
    if json:
        output.show_json(queues_document(found, exit_codes.DONE))
    else:
        output.show(*queues_blocks(found, width=output.stdout_width))
    return exit_codes.DONE
