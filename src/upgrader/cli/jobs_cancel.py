"""`upgrader jobs cancel`."""

from __future__ import annotations

import typer

from upgrader.cli import exit_codes, options
from upgrader.cli.invocation import Invocation
from upgrader.cli.queue_access import queue_of


def cancel(context: typer.Context, job: options.JobNumber, json: options.Json = False) -> int:
    """Cancel a job.

    One that waits is not begun; one that is being worked on is asked to end.
    """
    from upgrader.cli.render.jobs import ordered_blocks, ordered_document

    invocation = Invocation.of(context)
    with queue_of(invocation) as administration:
        done = administration.cancel(job)
    if json:
        invocation.output.show_json(ordered_document(done, exit_codes.DONE))
    else:
        invocation.output.show(*ordered_blocks("cancel", done))
    return exit_codes.DONE
