"""What the gate found, as JUnit XML: one test case for each rule."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from upgrader.cli.render.blocks import clean
from upgrader.cli.render.check_paths import shown_path
from upgrader.cli.render.wording import counted

if TYPE_CHECKING:
    from upgrader.check.report import CheckReport
    from upgrader.model import Finding

_CLASS = "upgrader.check"
_NOT_IN_XML = re.compile("[\ud800-\udfff\ufffe\uffff]")
_WORST_FIRST = ("error", "warning", "info")


def junit_text(report: CheckReport, *, here: Path, redact: Callable[[str], str]) -> str:
    """Give a document with one suite. A rule that found something is one failure with all of it: readers show
    only the first failure of a test case. One that found nothing but `info` has not failed.
    """

    def safe(text: str) -> str:
        return _NOT_IN_XML.sub(lambda match: match[0].encode("unicode_escape").decode(), clean(redact(text)))

    names = list(dict.fromkeys([*(rule.name for rule in report.ran), *(one.rule for one in report.findings)]))
    suite = ElementTree.Element("testsuite", name="upgrader check")
    failures = 0
    for name in names:
        case = _case(suite, name)
        found = [finding for finding in report.findings if finding.rule == name]
        failures += _told(case, found, here, safe)
    for one in report.left_out:
        ElementTree.SubElement(_case(suite, one.rule.name), "skipped", message=safe(one.reason))
    if report.notes:
        ElementTree.SubElement(suite, "system-out").text = "\n".join(map(safe, report.notes))
    counts = {"tests": len(names) + len(report.left_out), "failures": failures, "errors": 0}
    suite.attrib.update({key: str(value) for key, value in counts.items()})
    suite.set("skipped", str(len(report.left_out)))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _case(suite: ElementTree.Element, name: str) -> ElementTree.Element:
    return ElementTree.SubElement(suite, "testcase", classname=_CLASS, name=name)


def _told(
    case: ElementTree.Element, found: Sequence[Finding], here: Path, safe: Callable[[str], str]
) -> bool:
    """Put findings into a test case; tell whether it has failed."""
    if not found:
        return False
    text = "\n\n".join(safe(_text(finding, here)) for finding in found)
    worst = min((finding.severity.value for finding in found), key=_WORST_FIRST.index)
    if worst == "info":
        ElementTree.SubElement(case, "system-out").text = text
        return False
    message = safe(found[0].message) if len(found) == 1 else counted(len(found), "finding")
    ElementTree.SubElement(case, "failure", type=worst, message=message).text = text
    return True


def _text(finding: Finding, here: Path) -> str:
    place = "" if finding.file is None else shown_path(finding.file, here)
    if place and finding.line is not None:
        place = f"{place}:{finding.line}"
    head = f"{place}: " if place else ""
    return f"{head}{finding.severity.value}: {finding.message}\n{finding.remedy}"
