"""Asking before something is taken back."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from upgrader.cli.invocation import Invocation
from upgrader.errors import OperatorError

if TYPE_CHECKING:
    from upgrader.runner.options import DowngradeOptions


_ANSWERS = {"y": True, "yes": True, "n": False, "no": False, "": False}


def agrees(question: str) -> bool:
    """Ask on stderr until there is an answer; none, and the end of the input, is no."""
    while True:
        sys.stderr.write(f"{question} [y/N]: ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            sys.stderr.write("\n")
            return False
        answer = _ANSWERS.get(line.strip().lower())
        if answer is not None:
            return answer
        sys.stderr.write("please answer y or n\n")


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
        if not agrees(f"Take {count} back?"):
            raise OperatorError("not confirmed: nothing was taken back", hint="add --yes to confirm it")
    return replace(wanted, confirmed=frozenset(step.name for step in plan.steps))
