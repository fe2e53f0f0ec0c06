"""`upgrader worker status`."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from upgrader.cli import exit_codes, options
from upgrader.cli.invocation import Invocation


def status(context: typer.Context, json: options.Json = False) -> int:
    """Show the workers on the database and what they last did.

    When each was last seen, the last heartbeat that came through the queue, the last run of each scheduled job.
    """
    from upgrader.cli.render.workers import workers_blocks, workers_document
    from upgrader.worker.environment_files import read_environment_files
    from upgrader.worker.ground import open_ground
    from upgrader.worker.registry import find_workers

    read_environment_files(Path(), os.environ)
    invocation = Invocation.of(context)
    with open_ground(
        invocation.settings, directory=invocation.loaded.directory, makes_tables=False
    ) as ground:
        report = find_workers(ground)
    if json:
        invocation.output.show_json(workers_document(report, exit_codes.DONE))
    else:
        invocation.output.show(*workers_blocks(report))
    return exit_codes.DONE
