"""`upgrader why`."""

from __future__ import annotations

from typing import Annotated

import typer

from upgrader.cli import exit_codes, options
from upgrader.cli.invocation import Invocation
from upgrader.errors import OperatorError


def why(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="WORKSPACE|STEP", help="A workspace's id; or a step's full name, class name or timestamp."
        ),
    ],
    step: Annotated[bool, typer.Option("--step", help="It is a step.")] = False,
    workspace: Annotated[bool, typer.Option("--workspace", help="It is a workspace.")] = False,
    json: options.Json = False,
) -> int:
    """Say why a workspace or a step is behind, and what to type.

    What is both is taken for a step. Writes nothing and takes no lock.
    """
    from upgrader.cli.render.why import why_blocks, why_document
    from upgrader.status.explanation import Subject

    if step and workspace:
        raise OperatorError("--step and --workspace exclude each other", hint="give one of the two")
    subject = Subject.STEP if step else Subject.WORKSPACE if workspace else None
    invocation = Invocation.of(context)
    found = invocation.upgrader().why(name, subject=subject)
    if json:
        invocation.output.show_json(why_document(found, exit_codes.DONE))
    else:
        invocation.output.show(*why_blocks(found))
    return exit_codes.DONE
