"""What `plan` says beside the plan, of both ways: its warnings and refusals, its exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from upgrader.cli import exit_codes
from upgrader.cli.console import Output

if TYPE_CHECKING:
    from upgrader.sequence.down_plan import DownPlan
    from upgrader.sequence.plan import Plan


def plan_code(plan: Plan | DownPlan) -> int:
    """Give the exit code of a plan, up or down."""
    return exit_codes.REFUSED if plan.refusals else exit_codes.DONE


def tell_plan(output: Output, plan: Plan | DownPlan) -> int:
    """Say on stderr what speaks against a plan, up or down; give its exit code."""
    for warning in plan.warnings:
        output.warn(warning)
    for refusal in plan.refusals:
        output.problem(refusal.message, refusal.hint)
    return plan_code(plan)
