"""`upgrader status`."""

from __future__ import annotations

from typing import Annotated

import typer

from upgrader.cli import exit_codes, options
from upgrader.cli.invocation import Invocation
from upgrader.cli.status_format import StatusFormat


def status(
    context: typer.Context,
    failed_only: Annotated[
        bool, typer.Option("--failed-only", help="Only failed and skipped workspaces.")
    ] = False,
    workspace_id: options.WorkspaceIds = None,
    show_all: Annotated[bool, typer.Option("--all", help="Every workspace, however many.")] = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit 5 unless all is up to date, slow steps aside.")
    ] = False,
    wait: Annotated[
        float | None, typer.Option("--wait", metavar="SECONDS", min=0, help="Wait until all is up to date.")
    ] = None,
    include_slow: Annotated[
        bool, typer.Option("--include-slow", help="For --exit-code and --wait slow steps count, too.")
    ] = False,
    output_format: Annotated[
        StatusFormat, typer.Option("--format", help="prometheus: for a textfile collector.")
    ] = StatusFormat.TEXT,
    json: options.Json = False,
) -> int:
    """Show how far the instance and the workspaces are."""
    from upgrader.cli.render.status import status_blocks
    from upgrader.cli.render.status_document import status_document
    from upgrader.cli.status_wait import wait_for_status

    invocation = Invocation.of(context)
    if output_format is StatusFormat.PROMETHEUS:
        return _show_figures(invocation)
    output, ids = invocation.output, tuple(workspace_id or ())
    if wait is None:
        report = invocation.upgrader().status(workspace_ids=ids, failed_only=failed_only)
    else:
        seconds = options.seconds("--wait", wait)
        report = wait_for_status(
            invocation, seconds, include_slow=include_slow, workspace_ids=ids, failed_only=failed_only
        )
    is_good = report.is_good(include_slow)
    code = exit_codes.FOUND if (exit_code or wait is not None) and not is_good else exit_codes.DONE
    if json or output_format is StatusFormat.JSON:
        output.show_json(status_document(report, code, is_good=is_good))
    else:
        is_whole = show_all or failed_only or bool(ids)
        output.show(*status_blocks(report, is_whole=is_whole, width=output.stdout_width))
    for warning in report.warnings:
        output.warn(warning)
    for refusal in report.refusals:
        output.problem(refusal.message, refusal.hint)
    return code


def _show_figures(invocation: Invocation) -> int:
    from upgrader.worker.metrics.exposition import exposition_text
    from upgrader.worker.metrics.reading import read_all_figures

    figures = read_all_figures(invocation.upgrader(), directory=invocation.loaded.directory)
    invocation.output.show_exactly(exposition_text(figures).rstrip("\n"))
    return exit_codes.DONE
