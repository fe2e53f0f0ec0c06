"""An explanation, for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from upgrader.cli.render.blocks import Block, Line
from upgrader.cli.render.documents import Document, envelope, time_text
from upgrader.cli.render.wording import first_lines, moment

if TYPE_CHECKING:
    from upgrader.status.explanation import Explanation, Reason, Try

_STYLES = {
    "failed": "error",
    "interrupted": "error",
    "run-refused": "error",
    "up-to-date": "good",
    "completed": "good",
    "counts-as-done": "good",
    "dormant": "hint",
    "run-at-work": "hint",
}


def why_blocks(found: Explanation) -> Iterator[Block]:
    """Give the title, each reason with what it is about, then what to type."""
    stands = f", at {found.version}" if found.version and found.subject == "workspace" else ""
    target = f", the newest version is {found.target}" if found.target else ""
    yield Line(f"{found.title.removesuffix('.')}{stands}{target}", style="bold")
    for reason in found.reasons:
        yield from _reason(reason)
    for step in found.next:
        yield Line(step, label="next:", style="hint")


def why_document(found: Explanation, exit_code: int) -> Document:
    """Give an explanation; of steps and workspaces the first few, `workspace_count` is how many there are."""
    return {
        **envelope("done", exit_code),
        "subject": found.subject.value,
        "name": found.name,
        "version": found.version,
        "target": found.target,
        "fine": found.is_fine,
        "reasons": [
            {
                "cause": one.cause.value,
                "message": one.message,
                "steps": list(one.steps),
                "workspace_ids": list(one.workspace_ids),
                "workspace_count": one.workspace_count,
                "failed_count": one.failed_count,
                "tries": [_try(each) for each in one.tries],
            }
            for one in found.reasons
        ],
        "next": list(found.next),
    }


def _reason(reason: Reason) -> Iterator[Block]:
    yield Line(reason.message, label="-", style=_STYLES.get(reason.cause.value, "warning"))
    named = {one.step for one in reason.tries}
    for step in reason.steps:
        if step not in named and step not in reason.message:
            yield Line(step, indent=4, verbatim=True)
    is_named = all(one in reason.message for one in reason.workspace_ids)
    if reason.workspace_ids and not reason.tries and not (is_named and reason.cause == "run-refused"):
        rest = reason.workspace_count - len(reason.workspace_ids)
        more = f" and {rest:,} more" if rest > 0 else ""
        yield Line(f"{', '.join(reason.workspace_ids)}{more}", indent=4)
    for one in reason.tries:
        yield from _attempt(one)
    rest = reason.workspace_count - len(reason.tries)
    if reason.workspace_ids and reason.tries and rest > 0:
        yield Line(f"and {rest:,} more", indent=4)


def _attempt(one: Try) -> Iterator[Block]:
    where = f"{one.workspace_id}: " if one.workspace_id else ""
    yield Line(
        f"{where}attempt {one.attempt}, {moment(one.at)}, application {one.executed_by_version}", indent=4
    )
    if one.error:
        yield Line(first_lines(one.error, 4), indent=6)


def _try(one: Try) -> Document:
    return {
        "workspace_id": one.workspace_id,
        "step": one.step,
        "attempt": one.attempt,
        "at": time_text(one.at),
        "executed_by_version": one.executed_by_version,
        "error": one.error,
    }
