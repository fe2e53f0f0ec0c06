"""What the gate found, as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from upgrader.cli.render.check_paths import shown_path
from upgrader.cli.render.documents import Document, envelope

if TYPE_CHECKING:
    from upgrader.check.report import CheckReport
    from upgrader.model import Finding


def check_document(report: CheckReport, exit_code: int, *, here: Path) -> Document:
    """Give a check; files are named relative to `here`."""
    return {
        **envelope("done", exit_code),
        "good": report.is_good,
        "database": report.database,
        "scratch": report.scratch,
        "counts": {severity.value: count for severity, count in report.counts.items()},
        "findings": [_finding(finding, here) for finding in report.findings],
        "ran": [rule.name for rule in report.ran],
        "left_out": [{"rule": one.rule.name, "reason": one.reason} for one in report.left_out],
        "notes": list(report.notes),
    }


def _finding(finding: Finding, here: Path) -> Document:
    return {
        "rule": finding.rule,
        "severity": finding.severity.value,
        "file": shown_path(finding.file, here) if finding.file else None,
        "line": finding.line,
        "step": finding.step,
        "message": finding.message,
        "remedy": finding.remedy,
    }
