"""Runs something that makes a run report: with signals, progress on stderr and the report at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from upgrader.cli import exit_codes
from upgrader.cli.invocation import Invocation
from upgrader.cli.listeners import listening
from upgrader.errors import LockHeldError

if TYPE_CHECKING:
    from upgrader.api import Upgrader
    from upgrader.events import EventSink
    from upgrader.runner.result import RunReport
    from upgrader.runner.stop import StopToken


def run_and_report(
    invocation: Invocation,
    run: Callable[[Upgrader], RunReport],
    *,
    is_verbose: bool,
    shows_parameters: bool = False,
    as_json: bool = False,
    log_format: str | None = None,
    tells_events: bool = False,
) -> int:
    """Run, show what happens, then the report; give the exit code.

    Args:
        log_format: `json`: what happens goes to stderr as log lines with the ids of run, step and workspace.
        tells_events: also tell it as workspace events, if `[worker] modules` names handlers of them.
    """
    from upgrader.cli.run_events import also_told
    from upgrader.runner.stop import StopToken

    stop = StopToken()
    with (
        _display(invocation, log_format, is_verbose=is_verbose, shows_parameters=shows_parameters) as display,
        listening(invocation, display) as sink,
        also_told(invocation, sink, is_wanted=tells_events) as emit,
    ):
        report = _run(invocation, run, stop, emit)
    if report is None:
        return _never_begun(invocation, stop.signal_name, as_json=as_json)
    code = exit_codes.of_outcome(report.outcome, report.signal_name)
    show_report(invocation, report, code, as_json=as_json)
    return code


def show_report(invocation: Invocation, report: RunReport, code: int, *, as_json: bool = False) -> None:
    """Write the report to stdout, and what to do next to stderr."""
    from upgrader.cli.render.documents import run_document
    from upgrader.cli.render.run import next_blocks, run_blocks

    if as_json:
        invocation.output.show_json(run_document(report, code))
    else:
        invocation.output.show(*run_blocks(report))
    invocation.output.tell(*next_blocks(report))


def _never_begun(invocation: Invocation, signal_name: str | None, *, as_json: bool) -> int:
    from upgrader.cli.render.documents import envelope

    code = exit_codes.of_signal(signal_name)
    invocation.output.problem(
        f"stopped by {signal_name}", "run the same command again: it goes on where it was"
    )
    if as_json:
        invocation.output.show_json({**envelope(exit_codes.word(code), code), "signal": signal_name})
    return code


@contextmanager
def _display(
    invocation: Invocation, log_format: str | None, *, is_verbose: bool, shows_parameters: bool
) -> Iterator[EventSink]:
    """Give what is told of the run's events: lines and progress for people, or log lines."""
    from upgrader.cli.progress import RunDisplay

    if log_format is not None:
        from upgrader.cli.logging import log_format_of, logging_to
        from upgrader.worker.event_log import EventLog
        from upgrader.worker.logs import LogFormat

        if log_format_of(log_format) is LogFormat.JSON:
            with logging_to(invocation.output, log_format, is_debug=invocation.debug) as log:
                _ = invocation.settings  # with their secrets, before anything is written
                log.set_up()
                yield EventLog(is_verbose=is_verbose, shows_parameters=shows_parameters)
            return
    with RunDisplay(invocation.output, is_verbose=is_verbose, shows_parameters=shows_parameters) as display:
        yield display


def _run(
    invocation: Invocation, run: Callable[[Upgrader], RunReport], stop: StopToken, display: EventSink
) -> RunReport | None:
    """Give the report; None where a signal came before there was anything to report."""
    from upgrader.cli.signals import stopping_on_signals
    from upgrader.runner.stop import HardStop

    upgrader = invocation.upgrader(display, stop)
    try:
        with stopping_on_signals(stop, upgrader.cancel):
            return run(upgrader)
    except HardStop:
        return None
    except LockHeldError:
        if stop.requested:
            return None
        raise
