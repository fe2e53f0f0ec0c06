"""What the gate found, in its formats: escaping, order and what is told of what was left out."""

import json
from pathlib import Path

from tests.support.findings import assert_sarif
from upgrader.check.report import CheckReport, LeftOut, in_order
from upgrader.check.rules import CHECKSUM_CHANGED, ROUND_TRIP, RULES
from upgrader.cli.render.blocks import to_text
from upgrader.cli.render.check import check_blocks
from upgrader.cli.render.check_github import github_text
from upgrader.cli.render.check_sarif import FINGERPRINT, sarif_document
from upgrader.model import Finding, Severity

ROOT = Path("/product")


def finding(message: str = "it is wrong", **fields: object) -> Finding:
    given = {"rule": CHECKSUM_CHANGED.name, "remedy": "mend it", "file": ROOT / "a.py", "line": 3, **fields}
    return Finding(message=message, **given)  # type: ignore[arg-type] # a dict of keywords


def report(*findings: Finding, **fields: object) -> CheckReport:
    return CheckReport(in_order(findings), ran=(CHECKSUM_CHANGED,), **fields)  # type: ignore[arg-type] # keywords


def test_github_escapes_what_it_gives_a_meaning() -> None:
    """In a property also colon and comma; a line break stays one annotation."""
    odd = finding("100 %: one,\r\ntwo", file=ROOT / "a,b:c%d.py")
    (line,) = github_text(report(odd), root=ROOT, redact=str).splitlines()
    assert line == (
        "::error file=a%2Cb%3Ac%25d.py,line=3,title=checksum-changed::100 %25: one,\\r%0Atwo%0Amend it"
    )


def test_findings_stand_in_order_and_once() -> None:
    """By file, line and rule; what is about no file comes first."""
    late, early = finding(line=10), finding(line=9)
    nowhere, other = finding(file=None, line=None), finding(file=ROOT / "b.py", line=1)
    assert in_order([late, other, early, nowhere, late]) == (nowhere, early, late, other)


def test_one_finding_twice_has_two_fingerprints() -> None:
    """They differ in their line only, which does not count: they are numbered."""
    document = sarif_document(
        report(finding(line=1), finding(line=2)), root=ROOT, program_version="1.0", fallback=None
    )
    prints = [one["partialFingerprints"][FINGERPRINT] for one in document["runs"][0]["results"]]
    assert [one.rpartition(":")[2] for one in prints] == ["1", "2"]
    assert len({one.rpartition(":")[0] for one in prints}) == 1


def test_sarif_of_a_file_elsewhere_and_a_rule_that_only_squawk_knows() -> None:
    """A URI of its own; the rule is listed all the same; without a fallback there is no place."""

    odd = report(finding(file=Path("/elsewhere/a b.py")), finding(rule="newest-of-all", file=None, line=None))
    run = assert_sarif(json.dumps(sarif_document(odd, root=ROOT, program_version="1.0", fallback=None)))
    bare, elsewhere = run["results"]
    assert bare["locations"] == []
    assert elsewhere["locations"][0]["physicalLocation"]["artifactLocation"] == {
        "uri": "file:///elsewhere/a%20b.py"
    }
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["checksum-changed", "newest-of-all"]


def test_rules_left_out_for_one_reason_stand_together() -> None:
    """Those of squawk as one, though there are dozens."""
    squawks = [LeftOut(rule, "no scratch database") for rule in RULES.values() if rule.is_squawks]
    made = report(left_out=(LeftOut(ROUND_TRIP, "no scratch database"), *squawks))
    lines = to_text(check_blocks(made, here=ROOT)).splitlines()
    assert lines[0] == "left out: round-trip, squawk's rules: no scratch database"
    assert lines[1] == f"nothing found: 1 rule ran, {1 + len(squawks)} left out"


def test_text_names_each_severity() -> None:
    """The sum counts what closes the gate and what is only told."""
    made = report(
        finding("one"), finding("two", severity=Severity.WARNING), finding("three", severity=Severity.INFO)
    )
    text = to_text(check_blocks(made, here=ROOT))
    assert "3 findings (1 error, 1 warning, 1 info): 1 rule ran" in text
    assert not made.is_good
