"""Runs a check, to its end or to a signal."""

from __future__ import annotations

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
    from upgrader.cli.signals import ending_at_once
    from upgrader.runner.stop import HardStop, StopToken

    stop = StopToken()
    try:
        with ending_at_once(stop):
            report = invocation.upgrader(stop=stop).check(wanted)
    except HardStop:
        invocation.output.problem(f"stopped by {stop.signal_name}", "nothing is left behind; run it again")
        return CheckRun(None, exit_codes.of_signal(stop.signal_name))
    return CheckRun(report, exit_codes.DONE if report.is_good else exit_codes.FOUND)
