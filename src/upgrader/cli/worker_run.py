"""Runs a worker: with files of variables, log lines on stderr, signals."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from upgrader.cli import exit_codes
from upgrader.cli.invocation import Invocation
from upgrader.cli.logging import logging_to
from upgrader.cli.telemetry import telemetry

if TYPE_CHECKING:
    from upgrader.cli.console import Output
    from upgrader.runner.stop import StopToken
    from upgrader.settings import Settings
    from upgrader.worker.process import WorkerProcess


def run_worker(
    invocation: Invocation,
    *,
    queues: Sequence[str] | None,
    concurrency: int | None,
    schedules: bool,
    metrics_port: int | None,
    log_format: str | None,
) -> int:
    """Run until a signal comes; give 0 where nothing was left half done, else 1."""
    from upgrader.cli.console import AuthorPrints
    from upgrader.runner.stop import StopToken
    from upgrader.worker.discovery import discover
    from upgrader.worker.environment_files import read_environment_files
    from upgrader.worker.process import WorkerProcess, stopping_on_signals

    output, stop = invocation.output, StopToken()
    with (
        stopping_on_signals(stop, at_once=os._exit),
        logging_to(output, log_format, is_debug=invocation.debug) as log,
    ):
        for name in read_environment_files(Path(), os.environ):
            logging.getLogger("upgrader.worker").info("variables of %s are read", name)
        settings = _with_port(invocation.settings, metrics_port)
        require_scheduler()
        log.set_up(is_kept=settings.worker.log_buffered)
        sys.stdout = AuthorPrints(output)  # what modules and jobs print is for people
        output.keep_stdout()
        discovered = discover(settings.worker.modules, base=invocation.loaded.directory)
        process = WorkerProcess(
            settings,
            discovered,
            directory=invocation.loaded.directory,
            queues=queues,
            concurrency=concurrency,
            schedules=schedules,
        )
        is_whole = _run(process, stop, output, seconds=settings.worker.shutdown_timeout_seconds)
    if not is_whole:
        _leave(output)  # threads of jobs that do not end would keep the process
    return exit_codes.DONE


def _run(process: WorkerProcess, stop: StopToken, output: Output, *, seconds: float) -> bool:
    """Run it; False where something was left half done."""
    from upgrader.worker.process import LATEST_END_SECONDS, ending_at_the_latest

    latest = seconds + LATEST_END_SECONDS
    with ending_at_the_latest(stop, seconds=latest, at_once=lambda: _leave(output)), telemetry(output):
        return not process.run(stop).unfinished


def _leave(output: Output) -> NoReturn:
    output.flush()
    os._exit(exit_codes.FAILED)


def _with_port(settings: Settings, port: int | None) -> Settings:
    if port is None:
        return settings
    return settings.model_copy(update={"worker": settings.worker.model_copy(update={"metrics_port": port})})


def require_scheduler() -> None:
    """Make sure that the scheduler's clock is installed.

    Raises:
        OperatorError: it is not; the hint says what to install.
    """
    from importlib.util import find_spec

    if find_spec("apscheduler") is None:
        from upgrader.worker.scheduling.triggers import no_scheduler

        raise no_scheduler()
