"""Rows of the history as values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from upgrader.model import Attempt, AttemptStatus, Direction, Enrolment, Progress, Scope
from upgrader.version import ReleaseVersion

ATTEMPT_COLUMNS = (
    "id, name, kind, version, workspace_id, status, attempt, is_initial, executed_by_version, checksum,"
    " error_message, started_at, finished_at, direction, changes_state, forgotten_at,"
    " folded, folded_since"
)
ScopeClass = tuple[str | None, bool, int, int, str | None, int | None]
"""What scopes in the same state share: enrolled, is_baseline, both digests, through, life (None: not enrolled)."""
StepRow = tuple[str, AttemptStatus, Direction, bool]
"""A step's latest attempt: name, status, direction, whether it was taken back before and tried again in vain."""


def progress_of(key: ScopeClass, steps: list[StepRow]) -> Progress:
    """Give the progress of scopes of one class, from the latest attempts in one of them."""
    enrolled, is_baseline, _, _, through, life = key
    mark = Enrolment.parse(enrolled) if enrolled is not None else None
    still_open = {name: status for name, status, *_ in steps if status is not AttemptStatus.COMPLETED}
    return Progress(
        enrolment=replace(mark, is_baseline=is_baseline) if mark else None,
        completed=frozenset(name for name, status, *_ in steps if status is AttemptStatus.COMPLETED),
        open=still_open,
        half_reverted=frozenset(
            name
            for name, status, direction, _ in steps
            if direction is Direction.DOWN and status is not AttemptStatus.REVERTED
        ),
        tried_again=frozenset(name for name, *_, is_again in steps if is_again),
        through=ReleaseVersion.parse(through) if through is not None else None,
        life=life,
    )


def attempt_of(row: tuple[Any, ...]) -> Attempt:
    """Give the attempt of a row of `ATTEMPT_COLUMNS`."""
    return Attempt(
        id=row[0],
        name=row[1],
        kind=row[2],
        version=row[3],
        scope=Scope(row[4]),
        status=AttemptStatus(row[5]),
        attempt=row[6],
        is_initial=row[7],
        executed_by_version=row[8],
        checksum=row[9],
        error_message=row[10],
        started_at=row[11],
        finished_at=row[12],
        direction=Direction(row[13]),
        changes_state=row[14],
        forgotten_at=row[15],
        folded=row[16],
        folded_since=row[17],
    )
