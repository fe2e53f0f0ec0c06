"""`upgrader jobs show`."""

from __future__ import annotations

import typer

from upgrader.cli import exit_codes, options
from upgrader.cli.invocation import Invocation
from upgrader.cli.queue_access import queue_of


def show(context: typer.Context, job: options.JobNumber, json: options.Json = False) -> int:
    """Show one job with its payload and its last error."""
    from upgrader.cli.render.jobs import job_blocks, job_document

    invocation = Invocation.of(context)
    with queue_of(invocation) as administration:
        found = administration.job(job)
    if json:
        invocation.output.show_json(job_document(found, exit_codes.DONE))
    else:
        invocation.output.show(*job_blocks(found))
    return exit_codes.DONE
