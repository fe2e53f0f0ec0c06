"""Asking before something is taken back."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from upgrader.cli.invocation import Invocation
from upgrader.errors import OperatorError

if TYPE_CHECKING:
    from upgrader.runner.options import DowngradeOptions


def confirmed(invocation: Invocation, wanted: DowngradeOptions) -> DowngradeOptions:
    """Name what would be taken back and ask; give the options with what was agreed to.

    Nobody is asked where nothing is to be taken back, or may be.

    Raises:
        OperatorError: there is no terminal, or the answer is no.
    """
    from upgrader.cli.render.way_down import way_down_blocks
    from upgrader.cli.render.wording import counted

    if not (sys.stdin and sys.stdin.isatty()):
        raise OperatorError(
            "a downgrade needs a confirmation, and there is no terminal to ask: nothing was taken back",
            hint="look at it with `upgrader plan --down`, then add --yes",
        )
    report = invocation.upgrader().plan_down(wanted)
    plan = report.plan
    if not (plan.refusals or plan.is_empty):
        invocation.output.tell(*way_down_blocks(report, with_end=False))
        count = counted(sum(version.step_count for version in plan.versions), "step")
        if not typer.confirm(f"Take {count} back?", err=True):
            raise OperatorError("not confirmed: nothing was taken back", hint="add --yes to confirm it")
    return replace(wanted, confirmed=frozenset(step.name for step in plan.steps))
