"""Which rules run, and how bad their findings are: what flags and settings make of the registry."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from upgrader.check.rule import SQUAWK_GROUP, Rule
from upgrader.check.rules import RULES
from upgrader.errors import OperatorError
from upgrader.model import Finding, Severity


@dataclass(frozen=True)
class RuleSelection:
    """The rules that are asked for.

    Attributes:
        rules: in the order of the registry.
        takes_unknown: whether a rule that only the installed squawk knows is asked for.
        ignored: the names that were ignored, as given.
        severities: by name, or `squawk`, what differs from the rules' own.
    """

    rules: tuple[Rule, ...]
    takes_unknown: bool
    ignored: frozenset[str]
    severities: Mapping[str, Severity]

    def asks_for(self, rule: Rule) -> bool:
        """Tell whether a rule runs."""
        return rule in self.rules

    def applied(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        """Give the findings of rules that are asked for, each with the severity that it has here."""
        names = {rule.name for rule in self.rules}
        for finding in findings:
            is_known = finding.rule in RULES
            if finding.rule in names or (
                not is_known and self.takes_unknown and finding.rule not in self.ignored
            ):
                yield replace(finding, severity=self._severity(finding))

    def _severity(self, finding: Finding) -> Severity:
        given = self.severities.get(finding.rule)
        rule = RULES.get(finding.rule)
        if given is None and (rule is None or rule.is_squawks):
            given = self.severities.get(SQUAWK_GROUP)
        return given or finding.severity


def select_rules(
    *, select: Sequence[str] = (), ignore: Sequence[str] = (), severity: Mapping[str, Severity] | None = None
) -> RuleSelection:
    """Choose rules; `squawk` stands for all of squawk's. What is ignored does not run, even if selected.

    Args:
        select: only these; none: all.

    Raises:
        OperatorError: there is no rule of a name; the hint names the nearest.
    """
    severities = severity or {}
    _refuse_unknown([*select, *ignore, *severities])
    wanted = _expanded(select) if select else set(RULES)
    ignored = _expanded(ignore)
    return RuleSelection(
        rules=tuple(rule for name, rule in RULES.items() if name in wanted and name not in ignored),
        takes_unknown=(not select or SQUAWK_GROUP in select) and SQUAWK_GROUP not in ignore,
        ignored=frozenset(ignore),
        severities=severities,
    )


def _expanded(names: Sequence[str]) -> set[str]:
    found = set(names)
    if SQUAWK_GROUP in found:
        found.update(name for name, rule in RULES.items() if rule.is_squawks)
    return found


def _refuse_unknown(names: Sequence[str]) -> None:
    known = [*RULES, SQUAWK_GROUP]
    unknown = list(dict.fromkeys(name for name in names if name not in known))
    if not unknown:
        return
    near = [one for name in unknown for one in difflib.get_close_matches(name, known, n=1, cutoff=0.5)]
    own = ", ".join(name for name, rule in RULES.items() if not rule.is_squawks)
    raise OperatorError(
        f"there is no rule named {', '.join(map(repr, unknown))}",
        hint=f"did you mean {' and '.join(near)}?" if near else f"the rules are {own}, and those of squawk",
    )
