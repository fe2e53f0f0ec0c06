"""What the gate found, as SARIF 2.1.0: for code scanning and other tools."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from upgrader.cli.render.check import left_out_lines
from upgrader.cli.render.check_paths import shown_path
from upgrader.cli.render.documents import Document

if TYPE_CHECKING:
    from upgrader.check.report import CheckReport
    from upgrader.model import Finding

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_ROOT = "%SRCROOT%"
_LEVELS = {"error": "error", "warning": "warning", "info": "note"}
FINGERPRINT = "upgraderFinding/v1"


def sarif_document(
    report: CheckReport, *, root: Path, program_version: str, fallback: Path | None
) -> Document:
    """Give a SARIF log of one run.

    Args:
        root: of the repository: URIs are relative to it.
        fallback: the file that a finding about no file is put at, because GitHub refuses a result without one.
    """
    rules = _rules(report)
    places = {rule["id"]: number for number, rule in enumerate(rules)}
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "upgrader", "semanticVersion": program_version, "rules": rules}},
                "invocations": [
                    {"executionSuccessful": True, "toolExecutionNotifications": list(_notifications(report))}
                ],
                "originalUriBaseIds": {_ROOT: {"description": {"text": "The root of the repository."}}},
                "columnKind": "unicodeCodePoints",
                "results": list(_results(report, places, root, fallback)),
            }
        ],
    }


def _rules(report: CheckReport) -> list[Document]:
    known = {
        rule.name: {
            "id": rule.name,
            "shortDescription": {"text": rule.description},
            "defaultConfiguration": {"level": _LEVELS[rule.severity.value]},
        }
        for rule in report.ran
    }
    for finding in report.findings:  # a rule that only the installed squawk knows
        known.setdefault(finding.rule, {"id": finding.rule})
    return list(known.values())


def _notifications(report: CheckReport) -> Iterator[Document]:
    for names, reason in left_out_lines(report):
        yield {"level": "note", "message": {"text": f"left out: {names}: {reason}"}}
    for note in report.notes:
        yield {"level": "note", "message": {"text": note}}


def _results(
    report: CheckReport, places: dict[str, int], root: Path, fallback: Path | None
) -> Iterator[Document]:
    seen: Counter[str] = Counter()
    for finding in report.findings:
        file = finding.file or fallback
        shown = shown_path(file, root) if file else ""
        base = _fingerprint(finding, shown)
        seen[base] += 1
        yield {
            "ruleId": finding.rule,
            "ruleIndex": places[finding.rule],
            "level": _LEVELS[finding.severity.value],
            "message": {"text": f"{finding.message}\n{finding.remedy}"},
            "locations": [_location(shown, finding.line if finding.file else None)] if shown else [],
            "partialFingerprints": {FINGERPRINT: f"{base}:{seen[base]}"},
        }


def _fingerprint(finding: Finding, shown: str) -> str:
    """Tell a finding from others however its line moves; equal ones are numbered."""
    text = "\0".join([finding.rule, shown, finding.step or "", finding.message])
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:32]


def _location(shown: str, line: int | None) -> Document:
    is_relative = not shown.startswith("/")
    artifact: Document = {"uri": quote(shown) if is_relative else f"file://{quote(shown)}"}
    if is_relative:
        artifact["uriBaseId"] = _ROOT
    return {"physicalLocation": {"artifactLocation": artifact, "region": {"startLine": line or 1}}}
