"""What the gate found, and what it could not look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from upgrader.check.rule import Rule
from upgrader.model import Finding, Severity


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A rule that did not run, and why, with what to do about it."""

    rule: Rule
    reason: str


@dataclass(frozen=True)
class CheckReport:
    """The outcome of a check.

    Attributes:
        findings: by file, line and rule; those that are about no file come first.
        ran: the rules that ran, in the order of the registry.
        left_out: the rules that were asked for and did not run.
        notes: what rules that ran did not look at, a sentence each.
        database: the live database that was looked at; None where there was none.
        scratch: the scratch database; None where there was none.
    """

    findings: tuple[Finding, ...] = ()
    ran: tuple[Rule, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    database: str | None = None
    scratch: str | None = None

    @property
    def counts(self) -> dict[Severity, int]:
        """How many findings there are of each severity, the worst first."""
        found = Counter(finding.severity for finding in self.findings)
        return {severity: found[severity] for severity in Severity}

    @property
    def is_good(self) -> bool:
        """Whether the gate is open: an `info` does not close it."""
        return all(finding.severity is Severity.INFO for finding in self.findings)


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Sort findings by file, line and rule; equal ones are told once."""
    return tuple(sorted(dict.fromkeys(findings), key=_key))


def _key(finding: Finding) -> tuple[str, int, str, str]:
    return (
        str(finding.file) if finding.file else "",
        finding.line or 0,
        finding.rule,
        finding.message,
    )
