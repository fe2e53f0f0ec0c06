"""What tests say about the findings of `upgrader check`, and whether a document is what its schema asks for."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import xmlschema

from tests.support.project import Project
from tests.support.results import assert_code, document

_SCHEMAS = Path(__file__).parent / "schemas"


def check(project: Project, *flags: str, code: int | None = None, **environment: str) -> dict[str, Any]:
    """Run `check --json` and give its document; exit 5 is held where it is not good, unless `code` says other."""
    result = project.run_cli("check", *flags, "--json", env=environment)
    found = document(result)
    assert_code(result, code if code is not None else 0 if found["good"] else 5)
    return found


def of_rule(found: dict[str, Any], rule: str) -> list[dict[str, Any]]:
    """Give the findings of a rule, which has run."""
    assert rule in found["ran"], found["left_out"]
    return [finding for finding in found["findings"] if finding["rule"] == rule]


def reasons(found: dict[str, Any]) -> dict[str, str]:
    """Give why each rule was left out."""
    return {one["rule"]: one["reason"] for one in found["left_out"]}


def assert_sarif(text: str) -> dict[str, Any]:
    """Hold that a text is SARIF 2.1.0, and give its one run."""
    log: dict[str, Any] = json.loads(text)
    _sarif().validate(log)
    (run,) = log["runs"]
    assert isinstance(run, dict)
    return run


def assert_junit(path: Path) -> None:
    """Hold that a file is what the JUnit schema of Jenkins asks for."""
    xmlschema.XMLSchema10(str(_SCHEMAS / "junit-10.xsd")).validate(str(path))


@cache
def _sarif() -> Any:
    schema = json.loads((_SCHEMAS / "sarif-2.1.0.json").read_text(encoding="utf-8"))
    return jsonschema.Draft4Validator(schema, format_checker=jsonschema.FormatChecker())
