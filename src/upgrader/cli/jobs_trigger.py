"""`upgrader jobs trigger`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from upgrader.cli import exit_codes, options
from upgrader.cli.invocation import Invocation
from upgrader.errors import Terminated

if TYPE_CHECKING:
    from upgrader.worker.scheduling.job_run import JobRun


def trigger(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of a scheduled job.")],
    json: options.Json = False,
) -> int:
    """Run a scheduled job now, in this process.

    One with a queue makes its payload here, and adds the job to the queue.
    """
    from upgrader.cli.logging import logging_to
    from upgrader.cli.render.workers import error_text, triggered_blocks, triggered_document

    invocation = Invocation.of(context)
    with logging_to(invocation.output, None, is_debug=invocation.debug) as log:
        from upgrader.worker.environment_files import read_environment_files

        read_environment_files(Path(), os.environ)
        _ = invocation.settings
        log.set_up()
        try:
            run, queue = _run(invocation, name)
        except Terminated:
            raise Terminated("what the job had begun may be half done") from None
    code = {"failed": exit_codes.FAILED, "skipped": exit_codes.LOCKED}.get(run.outcome.value, exit_codes.DONE)
    if json:
        outcome = exit_codes.word(code) if code else "done"
        invocation.output.show_json(triggered_document(run, queue, outcome=outcome, exit_code=code))
    else:
        invocation.output.show(*triggered_blocks(run, queue))
    if code == exit_codes.FAILED:
        invocation.output.problem(f"job {name} failed: {error_text(run)}", "what it logged stands above")
    elif code == exit_codes.LOCKED:
        invocation.output.problem(
            f"job {name} was not begun: a run of it goes on",
            "wait for its end, in a worker or in another `upgrader jobs trigger`",
        )
    return code


def _run(invocation: Invocation, name: str) -> tuple[JobRun, str | None]:
    from upgrader.cli.console import AuthorPrints
    from upgrader.cli.worker_run import require_scheduler
    from upgrader.database.failures import translating
    from upgrader.worker.built_in import BuiltIn
    from upgrader.worker.discovery import discover
    from upgrader.worker.ground import make_tables, open_ground
    from upgrader.worker.scheduling.opening import jobs_of_worker, scheduler_on

    require_scheduler()
    sys.stdout = AuthorPrints(invocation.output)
    invocation.output.keep_stdout()
    settings, directory = invocation.settings, invocation.loaded.directory
    discovered = discover(settings.worker.modules, base=directory)
    with translating(), open_ground(settings, directory=directory, makes_tables=False) as ground:
        built_in = BuiltIn(ground, discovered, directory=directory)
        jobs = jobs_of_worker([*built_in.scheduled(), *discovered.jobs], settings)
        make_tables(ground)
        with scheduler_on(ground, jobs) as scheduler:
            run = scheduler.trigger_now(name)
            queues = {job.name: job.queue for job in scheduler.jobs()}
    return run, queues[name]
