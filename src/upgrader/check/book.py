"""Keeps the book of a check: what ran, what was found, what was left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from upgrader.check.report import CheckReport, LeftOut, in_order
from upgrader.check.rule import Rule
from upgrader.check.rules import RULES
from upgrader.check.selection import RuleSelection
from upgrader.model import Finding


@dataclass
class CheckBook:
    """What has been done so far.

    Attributes:
        database: the live database that was looked at.
        scratch: the scratch database that was used.
    """

    selection: RuleSelection
    database: str | None = None
    scratch: str | None = None
    _findings: list[Finding] = field(default_factory=list)
    _ran: list[Rule] = field(default_factory=list)
    _notes: dict[str, None] = field(default_factory=dict)
    _left_out: dict[Rule, str] = field(default_factory=dict)

    def wanted(self, rules: Iterable[Rule]) -> tuple[Rule, ...]:
        """Give those of the rules that are asked for and have not run yet."""
        return tuple(rule for rule in rules if self.selection.asks_for(rule) and rule not in self._ran)

    def ran(self, rules: Sequence[Rule], findings: Iterable[Finding] = ()) -> None:
        """Note that rules ran, with what they found; those that are not asked for are passed over."""
        wanted = self.wanted(rules)
        self._ran.extend(wanted)
        self._findings.extend(self.selection.applied(findings))
        for rule in wanted:
            self._left_out.pop(rule, None)

    def steps_found(self, rule: Rule) -> set[str]:
        """Give the names of the steps of which a rule has found something already."""
        return {finding.step for finding in self._findings if finding.rule == rule.name and finding.step}

    def leave_out(self, rules: Iterable[Rule], reason: str) -> None:
        """Note that rules could not run, and why; the first reason stays."""
        for rule in self.wanted(rules):
            self._left_out.setdefault(rule, reason)

    def note(self, sentences: Iterable[str]) -> None:
        """Note what a rule that ran did not look at; each sentence once."""
        self._notes.update(dict.fromkeys(sentences))

    def report(self) -> CheckReport:
        """Give the report."""
        order = {rule: number for number, rule in enumerate(RULES.values())}
        return CheckReport(
            findings=in_order(self._findings),
            ran=tuple(sorted(self._ran, key=order.__getitem__)),
            left_out=tuple(
                LeftOut(rule, self._left_out[rule]) for rule in sorted(self._left_out, key=order.__getitem__)
            ),
            notes=tuple(self._notes),
            database=self.database,
            scratch=self.scratch,
        )
