"""What the gate found, as workflow commands: GitHub shows each beside the line in a pull request."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from upgrader.cli.render.blocks import clean
from upgrader.cli.render.check import left_out_lines
from upgrader.cli.render.check_paths import shown_path

if TYPE_CHECKING:
    from upgrader.check.report import CheckReport
    from upgrader.model import Finding

_COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}


def github_text(report: CheckReport, *, root: Path, redact: Callable[[str], str]) -> str:
    """Give one line for each finding, and one that tells what was left out.

    Args:
        root: of the repository: GitHub takes paths from there.
        redact: takes secrets out.
    """
    lines = [_annotation(finding, root, redact) for finding in report.findings]
    lines += list(_left_out(report, redact))
    return "".join(f"{line}\n" for line in lines)


def _annotation(finding: Finding, root: Path, redact: Callable[[str], str]) -> str:
    properties: dict[str, str] = {}
    if finding.file is not None:
        properties["file"] = shown_path(finding.file, root)
        properties["line"] = str(finding.line or 1)
    properties["title"] = finding.rule
    message = f"{finding.message}\n{finding.remedy}"
    return _command(_COMMANDS[finding.severity.value], properties, redact(message))


def _left_out(report: CheckReport, redact: Callable[[str], str]) -> Iterator[str]:
    for names, reason in left_out_lines(report):
        yield _command("notice", {"title": "left out"}, redact(f"{names}: {reason}"))
    for note in report.notes:
        yield _command("notice", {"title": "note"}, redact(note))


def _command(name: str, properties: Mapping[str, str], message: str) -> str:
    given = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    return f"::{name} {given}::{_data(message)}"


def _data(text: str) -> str:
    # A carriage return is an escape already, once control characters are visible.
    return clean(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
