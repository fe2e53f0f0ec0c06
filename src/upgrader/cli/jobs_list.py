"""`upgrader jobs list`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from upgrader.cli import exit_codes, options
from upgrader.cli.invocation import Invocation
from upgrader.cli.queue_access import queue_of


class Status(StrEnum):
    """What may become of a job."""

    WAITING = "waiting"
    DELAYED = "delayed"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


def list_jobs(
    context: typer.Context,
    queue: Annotated[str | None, typer.Option("--queue", metavar="QUEUE", help="Only of this queue.")] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="JOB", help="Only of this name.")] = None,
    status: Annotated[Status | None, typer.Option("--status", help="Only those of which this is so.")] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="Show at most N.")] = 100,
    json: options.Json = False,
) -> int:
    """Show the jobs of the queues, the newest first."""
    from upgrader.cli.render.jobs import jobs_blocks, jobs_document
    from upgrader.worker.queue.administration import JobFilter, JobStatus

    invocation = Invocation.of(context)
    wanted = JobFilter(queue, name, None if status is None else JobStatus(status.value), limit + 1)
    with queue_of(invocation) as administration:
        found = administration.jobs(wanted)
    shown, has_more = found[:limit], len(found) > limit
    output = invocation.output
    if json:
        output.show_json(jobs_document(shown, exit_codes.DONE, has_more=has_more))
    else:
        output.show(*jobs_blocks(shown, has_more=has_more, width=output.stdout_width))
    return exit_codes.DONE
