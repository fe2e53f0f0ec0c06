"""Makes and prints the script of `upgrader sql`: SQL to stdout, what it does not hold to stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING

from upgrader.cli import exit_codes
from upgrader.cli.invocation import Invocation
from upgrader.cli.render.wording import first_lines
from upgrader.errors import LockHeldError

if TYPE_CHECKING:
    from upgrader.runner.options import UpgradeOptions
    from upgrader.runner.script import Script
    from upgrader.runner.stop import StopToken


def print_script(
    invocation: Invocation, options: UpgradeOptions, *, all_workspaces: bool, as_json: bool
) -> int:
    """Make the script, print it, and give the exit code."""
    from upgrader.cli.render.documents import envelope
    from upgrader.cli.render.script import script_notes, script_text
    from upgrader.cli.render.script_document import script_document
    from upgrader.runner.stop import StopToken

    output, stop = invocation.output, StopToken()
    script = _make(invocation, options, stop, all_workspaces=all_workspaces)
    code = exit_codes.of_signal(stop.signal_name) if script is None else _code(script)
    if script is None:
        output.problem(f"stopped by {stop.signal_name}", "nothing was changed; run the same command again")
        if as_json:
            output.show_json(envelope(exit_codes.word(code), code))
        return code
    if as_json:
        output.show_json(script_document(script, code, exit_codes.word(code)))
    else:
        output.show_source(script_text(script, redact=output.redact))
    output.tell(*script_notes(script, redact=output.redact))
    _tell_errors(invocation, script)
    return code


def _make(
    invocation: Invocation, options: UpgradeOptions, stop: StopToken, *, all_workspaces: bool
) -> Script | None:
    """Give the script; None where a signal came before it was whole."""
    from upgrader import events
    from upgrader.cli.progress import RunDisplay
    from upgrader.cli.signals import stopping_on_signals
    from upgrader.runner.stop import HardStop

    display = RunDisplay(invocation.output)

    def emit(event: events.Event) -> None:
        # Steps are not told: what is only tried is neither begun nor completed.
        if isinstance(event, events.Notice | events.Waiting | events.AuthorLog | events.RunFinished):
            display(event)

    upgrader = invocation.upgrader(emit, stop)
    try:
        with display, stopping_on_signals(stop, upgrader.cancel):
            script = upgrader.sql(options, shows_all_workspaces=all_workspaces)
            return None if stop.requested else script
    except HardStop:
        return None
    except LockHeldError:
        if stop.requested:
            return None
        raise


def _code(script: Script) -> int:
    report = script.report
    if report.refusals:
        return exit_codes.REFUSED
    return exit_codes.FAILED if report.failures or report.error else exit_codes.DONE


def _tell_errors(invocation: Invocation, script: Script) -> None:
    output, report = invocation.output, script.report
    for failure in report.failures:
        where = "" if failure.scope.is_instance else f" in {failure.scope}"
        output.problem(
            f"{failure.step.name} failed{where} while it was tried: {first_lines(failure.error, 1)}",
            "upgrader upgrade --dry-run says more; nothing was changed",
        )
    if report.error is not None:
        output.failure(report.error)
    for refusal in report.refusals:
        output.problem(refusal.message, refusal.hint)
