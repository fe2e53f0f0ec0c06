"""`upgrader history`."""

from __future__ import annotations

from enum import StrEnum
from itertools import chain, islice
from typing import Annotated

import typer

from upgrader.cli import exit_codes, options
from upgrader.cli.invocation import Invocation
from upgrader.errors import OperatorError


class Status(StrEnum):
    """What an attempt may have come to."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    SKIPPED = "skipped"
    REVERTED = "reverted"


def history(
    context: typer.Context,
    step: Annotated[
        str | None, typer.Option("--step", metavar="NAME", help="A full name, class name or timestamp.")
    ] = None,
    workspace_id: Annotated[
        str | None, typer.Option("--workspace-id", "-w", metavar="ID", help="Only this workspace.")
    ] = None,
    instance: Annotated[bool, typer.Option("--instance", help="Only the instance.")] = False,
    status: Annotated[Status | None, typer.Option("--status", help="Only such attempts.")] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=2**31 - 1, help="How many.")] = 50,
    json: options.Json = False,
) -> int:
    """Show attempts, newest first."""
    from upgrader.cli.render.documents import history_document
    from upgrader.cli.render.history import history_blocks
    from upgrader.history.store import AttemptFilter
    from upgrader.model import AttemptStatus

    if instance and workspace_id is not None:
        raise OperatorError("--instance and --workspace-id exclude each other", hint="give one of the two")
    invocation = Invocation.of(context)
    wanted = AttemptFilter(step, workspace_id, instance, AttemptStatus(status) if status else None, limit + 1)
    found = invocation.upgrader().history(wanted)
    if json:
        # Written as they come; the first is there, or the error, before anything is written.
        first = list(islice(found, 1))
        invocation.output.show_json(history_document(chain(first, found), exit_codes.DONE, limit=limit))
    else:
        shown = list(islice(found, limit))
        has_more = next(found, None) is not None
        width = invocation.output.stdout_width
        invocation.output.show(*history_blocks(shown, has_more=has_more, width=width))
    return exit_codes.DONE
