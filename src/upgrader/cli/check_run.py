"""Runs a check, to its end or to a signal; on a terminal a line says what it is at."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from upgrader.cli import exit_codes

if TYPE_CHECKING:
    from upgrader.check.options import CheckOptions
    from upgrader.check.report import CheckReport
    from upgrader.cli.invocation import Invocation


@dataclass(frozen=True)
class CheckRun:
    """What came of it: a report, and an exit code; no report where a signal came before there was one."""

    report: CheckReport | None
    code: int


def run_check(invocation: Invocation, wanted: CheckOptions) -> CheckRun:
    """Run a check.

    Raises:
        OperatorError: what is asked for cannot be done.
    """
    from upgrader.cli.live import LiveLine
    from upgrader.cli.render.events import event_blocks
    from upgrader.cli.signals import ending_at_once
    from upgrader.events import CheckMoved, Event
    from upgrader.runner.stop import HardStop, StopToken

    stop = StopToken()
    live = LiveLine(invocation.output)

    def show(event: Event) -> None:
        if isinstance(event, CheckMoved):
            live.say(event.at)
        else:
            invocation.output.tell(*event_blocks(event))

    try:
        with ending_at_once(stop), closing(live):
            report = invocation.upgrader(show, stop).check(wanted)
    except HardStop:
        invocation.output.problem(f"stopped by {stop.signal_name}", "nothing is left behind; run it again")
        return CheckRun(None, exit_codes.of_signal(stop.signal_name))
    return CheckRun(report, exit_codes.DONE if report.is_good else exit_codes.FOUND)
