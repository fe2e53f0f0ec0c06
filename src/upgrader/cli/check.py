"""`upgrader check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from upgrader.cli import options
from upgrader.cli.check_format import CheckFormat
from upgrader.cli.invocation import Invocation


def check(
    context: typer.Context,
    embedded: Annotated[
        bool, typer.Option("--embedded", help="Run the commands on an embedded server, and throw it away.")
    ] = False,
    scratch_url: Annotated[
        str | None,
        typer.Option("--scratch-url", metavar="URL", help="Run them in copies of this empty database."),
    ] = None,
    no_database: Annotated[
        bool, typer.Option("--no-database", help="Look at no live database, even if one is configured.")
    ] = False,
    select: Annotated[
        list[str] | None,
        typer.Option("--select", metavar="RULE,...", help="Only these rules; squawk: all of squawk's."),
    ] = None,
    ignore: Annotated[
        list[str] | None, typer.Option("--ignore", metavar="RULE,...", help="Not these rules.")
    ] = None,
    output_format: Annotated[
        CheckFormat, typer.Option("--format", help="How findings are written.")
    ] = CheckFormat.TEXT,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Write that format to FILE, and text to stdout."),
    ] = None,
    json: options.Json = False,
) -> int:
    """Find what is wrong with the commands, for a pipeline.

    Exit 5 where it finds an error or a warning. What cannot be looked at is left out, and named.
    """
    from upgrader.check.options import CheckOptions
    from upgrader.cli.check_database import known_url
    from upgrader.cli.check_output import check_writable, show_check
    from upgrader.cli.check_run import run_check

    invocation = Invocation.of(context)
    if output is not None:
        check_writable(output)
    wanted = CheckOptions(
        select=options.listed(select),
        ignore=options.listed(ignore),
        embedded=embedded,
        scratch_url=None if scratch_url is None else known_url(invocation, "--scratch-url", scratch_url),
        uses_database=not no_database,
    )
    run = run_check(invocation, wanted)
    if run.report is not None:
        show_check(invocation, run.report, CheckFormat.JSON if json else output_format, output, run.code)
    return run.code
