"""A finding about one command, at the place where its class stands."""

from __future__ import annotations

from upgrader.check.places import parse_place
from upgrader.check.rule import Rule
from upgrader.model import Finding, Step


def finding_about(step: Step, rule: Rule, message: str, remedy: str) -> Finding:
    """Make a finding of `rule` about `step`."""
    place = parse_place(step.place)
    return Finding(
        rule=rule.name,
        message=message,
        remedy=remedy,
        severity=rule.severity,
        file=place.file,
        line=place.line,
        step=step.name,
    )
