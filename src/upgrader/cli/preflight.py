"""`upgrader preflight`."""

from __future__ import annotations

import typer

from upgrader.cli import exit_codes, options
from upgrader.cli.invocation import Invocation


def preflight(context: typer.Context, json: options.Json = False) -> int:
    """Look for what would be in the way of an upgrade.

    Runs nothing, writes nothing and takes no lock. Exit 2 when an upgrade would be refused.
    """
    from upgrader.cli.render.preflight import preflight_blocks, preflight_document, preflight_problem

    invocation = Invocation.of(context)
    report = invocation.upgrader().preflight()
    code = exit_codes.REFUSED if report.is_refused else exit_codes.DONE
    if json:
        invocation.output.show_json(preflight_document(report, code))
    else:
        invocation.output.show(*preflight_blocks(report))
    invocation.output.tell(*preflight_problem(report))
    return code
