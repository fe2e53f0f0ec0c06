"""What keeps the command modules from being loaded, as findings."""

from __future__ import annotations

from collections.abc import Iterator

from upgrader.check.places import parse_place
from upgrader.check.rules import COLLISION, LOADING_PROBLEM
from upgrader.errors import LoadingError, Problem
from upgrader.model import Finding

_REMEDY = "mend the file"


def loading_findings(error: LoadingError) -> Iterator[Finding]:
    """Give one finding for each problem: at its first place, naming the others."""
    for problem in error.problems:
        rule = COLLISION if problem.is_collision else LOADING_PROBLEM
        place = parse_place(problem.places[0]) if problem.places else parse_place("")
        yield Finding(
            rule=rule.name,
            message=_message(problem, is_placed=place.file is not None),
            remedy=problem.remedy or _REMEDY,
            severity=rule.severity,
            file=place.file,
            line=place.line,
        )


def _message(problem: Problem, *, is_placed: bool) -> str:
    others = problem.places[1:] if is_placed else problem.places
    if not others:
        return problem.message
    return f"{problem.message} ({'see also' if is_placed else 'at'} {', '.join(others)})"
