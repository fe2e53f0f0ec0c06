"""What the gate found, for people."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from upgrader.cli.render.blocks import Block, Line
from upgrader.cli.render.check_paths import shown_path
from upgrader.cli.render.wording import counted

if TYPE_CHECKING:
    from upgrader.check.report import CheckReport
    from upgrader.model import Finding

_STYLES = {"error": "error", "warning": "warning", "info": "hint"}
_SQUAWKS = "squawk's rules"


def check_blocks(report: CheckReport, *, here: Path) -> Iterator[Block]:
    """Give the findings by file, what was left out and why, and the sum.

    Args:
        here: files below it are named relative to it.
    """
    for file, findings in groupby(report.findings, key=lambda finding: finding.file):
        yield Line(shown_path(file, here) if file else "about no file", style="bold", verbatim=True)
        for finding in findings:
            yield from _finding(finding)
        yield Line()
    for names, reason in left_out_lines(report):
        yield Line(f"{names}: {reason}", label="left out:", style="dim")
    for note in report.notes:
        yield Line(note, label="note:", style="dim")
    yield Line(_sum(report), style="good" if report.is_good else "error")


def left_out_lines(report: CheckReport) -> Iterator[tuple[str, str]]:
    """Give the rules that were left out, those with one reason together, with that reason.

    Those of squawk are not told one by one: there are dozens.
    """
    by_reason: dict[str, dict[str, None]] = {}
    for one in report.left_out:
        name = _SQUAWKS if one.rule.is_squawks else one.rule.name
        by_reason.setdefault(one.reason, {})[name] = None
    for reason, names in by_reason.items():
        yield ", ".join(names), reason


def _finding(finding: Finding) -> Iterator[Block]:
    place = f"line {finding.line}: " if finding.line is not None else ""
    severity = finding.severity.value
    yield Line(
        f"{place}{finding.message} [{finding.rule}]",
        label=f"{severity}:",
        style=_STYLES[severity],
        indent=2,
    )
    yield Line(finding.remedy, label="->", style="hint", indent=4)


def _sum(report: CheckReport) -> str:
    rules = f"{counted(len(report.ran), 'rule')} ran"
    out = f", {len(report.left_out)} left out" if report.left_out else ""
    if not report.findings:
        return f"nothing found: {rules}{out}"
    counts = [
        str(count) + f" {severity.value}" if severity.value == "info" else counted(count, severity.value)
        for severity, count in report.counts.items()
        if count
    ]
    return f"{counted(len(report.findings), 'finding')} ({', '.join(counts)}): {rules}{out}"
