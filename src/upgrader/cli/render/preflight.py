"""What a preflight found, for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from upgrader.cli.render.blocks import Block, Line
from upgrader.cli.render.documents import Document, envelope, finding_fields
from upgrader.cli.render.wording import counted

if TYPE_CHECKING:
    from upgrader.preflight.look import PreflightReport

_LABELS = {"refuse": ("refused:", "error"), "warn": ("warning:", "warning"), "info": ("note:", "hint")}


def preflight_blocks(report: PreflightReport) -> Iterator[Block]:
    """Give each finding with what to do about it, then how many there are."""
    yield Line(f"{report.database}, PostgreSQL {report.server_version}, role {report.role}")
    for finding in report.findings:
        label, style = _LABELS[finding.level.value]
        yield Line(f"{finding.message} [{finding.name.value}]", label=label, style=style)
        yield Line(finding.hint, label="->", indent=2)
    if report.ignored:
        yield Line(f"left out by the settings: {', '.join(report.ignored)}")
    yield Line(_closing(report))


def preflight_problem(report: PreflightReport) -> Iterator[Block]:
    """Give the `error:` and `hint:` of a preflight that refuses; nothing for another one."""
    if not report.is_refused:
        return
    names = [finding.name.value for finding in report.findings if finding.level == "refuse"]
    yield Line(f"an upgrade would be refused: {', '.join(names)}", label="error:", style="error")
    yield Line("mend what is named as refused, then look again", label="hint:", style="hint")


def preflight_document(report: PreflightReport, exit_code: int) -> Document:
    """Give what was found; `ignored` are the checks that the settings leave out."""
    return {
        **envelope("refused" if report.is_refused else "done", exit_code),
        "database": report.database,
        "server_version": report.server_version,
        "role": report.role,
        "findings": finding_fields(report.findings),
        "ignored": [check.value for check in report.ignored],
    }


def _closing(report: PreflightReport) -> str:
    if not report.findings:
        return "nothing is in the way of an upgrade"
    counts = {
        level: sum(one.level == level for one in report.findings) for level in ("refuse", "warn", "info")
    }
    if counts["refuse"]:
        return f"an upgrade would be refused for {counted(counts['refuse'], 'reason')}"
    if counts["warn"]:
        return f"an upgrade would run, with {counted(counts['warn'], 'warning')}"
    return "nothing is in the way of an upgrade"
