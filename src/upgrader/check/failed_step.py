"""A step that failed on the scratch database, as a finding at the author's line."""

from __future__ import annotations

import re
from pathlib import Path

from upgrader.errors import UpgraderError
from upgrader.model import Finding, Step
from upgrader.runner.result import StepResult
from upgrader.sequence.plan import Refusal

SEQUENCE_FAILS = "sequence-fails"

# The innermost lines of the author's code, as a failure tells them: `at FILE:LINE in METHOD: CODE`.
_AUTHOR_LINE = re.compile(r"^at (?P<file>.+?):(?P<line>\d+) in ", re.MULTILINE)
_PLACE = re.compile(r"(?P<file>.+):(?P<line>\d+)")


def failure_finding(result: StepResult, *, is_embedded: bool) -> Finding:
    """Tell a failed step of the sequence."""
    error = result.error or "it failed"
    where = "" if result.scope.workspace_id is None else f" on the workspace {result.scope.workspace_id}"
    file, line = author_line(error, result.step)
    return Finding(
        rule=SEQUENCE_FAILS,
        message=f"this command fails on the scratch database{where}: {told(error)}",
        remedy=_remedy(error, is_embedded=is_embedded),
        file=file,
        line=line,
        step=result.step.name,
    )


def refusal_finding(refusal: Refusal) -> Finding:
    """Tell that the sequence could not even begin, or go on."""
    return Finding(
        rule=SEQUENCE_FAILS,
        message=f"the sequence cannot be run on the scratch database: {refusal.message}",
        remedy=refusal.hint,
    )


def run_error_finding(error: UpgraderError) -> Finding:
    """Tell what cut the run off."""
    return Finding(
        rule=SEQUENCE_FAILS,
        message=f"the sequence could not be run to its end: {error.message}",
        remedy=error.hint or "mend what it says, then run the same command again",
    )


def author_line(error: str, step: Step) -> tuple[Path | None, int | None]:
    """Give the author's innermost line that a failure names, else the line of the command's class."""
    lines = list(_AUTHOR_LINE.finditer(error))
    match = lines[-1] if lines else _PLACE.fullmatch(step.place)
    return (None, None) if match is None else (Path(match["file"]).absolute(), int(match["line"]))


def told(error: str) -> str:
    """Give what the database or Python said, without the lines that say where."""
    lines = [line for line in error.splitlines() if not line.startswith(("at ", "hint: "))]
    return "; ".join(lines)


def _remedy(error: str, *, is_embedded: bool) -> str:
    if is_embedded and "extension" in error:
        return "the embedded server has no contrib extensions: give a database that has them with --scratch-url URL"
    return (
        "mend the command; what was there before the first one is made by base_schema and prepare"
        " in [tool.upgrader.check]"
    )
