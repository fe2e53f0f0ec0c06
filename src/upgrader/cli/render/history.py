"""Attempts, for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from upgrader.cli.render.blocks import Block, Cell, Column, Line, Table
from upgrader.cli.render.wording import counted, duration, first_lines, moment

if TYPE_CHECKING:
    from upgrader.model import Attempt

_STYLES = {
    "completed": "good",
    "failed": "error",
    "interrupted": "warning",
    "skipped": "warning",
    "running": "hint",
}
_COLUMNS = (
    Column("id", right=True, whole=True),
    Column("step"),
    Column("scope", whole=True),
    Column("status", whole=True),
    Column("try", right=True),
    Column("took", right=True),
    Column("started"),
)
_NARROW = 100


def history_blocks(attempts: Sequence[Attempt], *, has_more: bool, width: int | None) -> Iterator[Block]:
    """Give attempts as they come, newest first: a table where there is room, else a block for each.

    The first lines of an error stand below its attempt.
    """
    if not attempts:
        yield Line("no attempts")
        return
    if width is not None and width < _NARROW:
        for attempt in attempts:
            yield from _stacked(attempt)
    else:
        yield Table(_COLUMNS, [_row(attempt) for attempt in attempts])
        yield from _errors(attempts)
    if has_more:
        yield Line(f"there are more than these {counted(len(attempts), 'attempt')}: --limit N shows more")


def _row(attempt: Attempt) -> list[str | Cell]:
    return [
        str(attempt.id),
        attempt.name,
        attempt.scope.workspace_id or "instance",
        _status(attempt),
        "" if attempt.is_initial else str(attempt.attempt),
        _took(attempt),
        moment(attempt.started_at),
    ]


def _stacked(attempt: Attempt) -> Iterator[Block]:
    yield Line(f"{attempt.id} {attempt.name}", verbatim=True)
    scope = f"workspace {attempt.scope.workspace_id}" if attempt.scope.workspace_id else "instance"
    yield Line(scope, indent=2, verbatim=True)
    status = _status(attempt)
    details = [status.text, "" if attempt.is_initial else f"try {attempt.attempt}", _took(attempt)]
    shown = ", ".join(detail for detail in (*details, moment(attempt.started_at)) if detail)
    yield Line(shown, indent=2, style=status.style)
    if attempt.error_message or attempt.folded:
        yield Line(_told(attempt, 2), indent=4)


def _errors(attempts: Sequence[Attempt]) -> Iterator[Block]:
    failed = [attempt for attempt in attempts if attempt.error_message or attempt.folded]
    if failed:
        yield Line()
    for attempt in failed:
        yield Line(_told(attempt), label=f"{attempt.id}:", style="error")


def _told(attempt: Attempt, lines: int = 3) -> str:
    text = first_lines(attempt.error_message, lines)
    if not attempt.folded:
        return text
    before = f"({counted(attempt.folded, 'attempt')} like it before, since {moment(attempt.folded_since)})"
    return f"{text} {before}" if text else before


def _status(attempt: Attempt) -> Cell:
    text = attempt.status.value
    if attempt.direction.value == "down" and text != "reverted":
        text += " (down)"
    style = "dim" if attempt.forgotten_at else _STYLES.get(text, "")
    marks = ["mark" if attempt.is_initial else "", "forgotten" if attempt.forgotten_at else ""]
    told = ", ".join(mark for mark in marks if mark)
    return Cell(f"{text} ({told})" if told else text, style)


def _took(attempt: Attempt) -> str:
    if attempt.is_initial or attempt.started_at is None or attempt.finished_at is None:
        return ""
    return duration((attempt.finished_at - attempt.started_at).total_seconds())
