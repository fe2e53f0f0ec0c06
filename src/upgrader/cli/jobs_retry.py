"""`upgrader jobs retry`."""

from __future__ import annotations

import typer

from upgrader.cli import exit_codes, options
from upgrader.cli.invocation import Invocation
from upgrader.cli.queue_access import queue_of


def retry(context: typer.Context, job: options.JobNumber, json: options.Json = False) -> int:
    """Let a job that failed or was cancelled wait again.

    It is tried once more, at least.
    """
    from upgrader.cli.render.jobs import ordered_blocks, ordered_document

    invocation = Invocation.of(context)
    with queue_of(invocation) as administration:
        done = administration.retry(job)
    if json:
        invocation.output.show_json(ordered_document(done, exit_codes.DONE))
    else:
        invocation.output.show(*ordered_blocks("retry", done))
    return exit_codes.DONE
