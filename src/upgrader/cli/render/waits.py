"""Waits for locks and the building of indexes, for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from upgrader.cli.render.blocks import Block, Line
from upgrader.cli.render.wording import counted, duration

if TYPE_CHECKING:
    from upgrader.cli.render.documents import Document
    from upgrader.events import StepProgress, StepRetried
    from upgrader.model import Blocker
    from upgrader.runner.result import RunReport, StepSummary

_WORTH_A_WORD_SECONDS = 0.05


def retry_blocks(event: StepRetried) -> list[Block]:
    """Give a try that is repeated, with who was in the way."""
    waited = f", {duration(event.waited_seconds)} of waiting" if event.waited_seconds else ""
    tried = f"{counted(event.tries, 'try') if event.tries == 1 else f'{event.tries} tries'}{waited}"
    pause = duration(event.pause_seconds)
    text = f"{event.scope}: {event.step.class_name} tries again in {pause}: {event.reason} after {tried}"
    return [Line(text, indent=2, style="warning"), *_in_the_way(event.blockers)]


def progress_text(event: StepProgress) -> str:
    """Give how far a step outside a transaction is, in one line."""
    parts = [event.step.class_name if event.scope.is_instance else f"{event.scope}: {event.step.class_name}"]
    if event.index is not None:
        index = event.index
        percent = f" {index.percent:.0f} %" if index.percent is not None and not index.lockers_total else ""
        lockers = f" ({index.lockers_done} of {index.lockers_total} ended)" if index.lockers_total else ""
        parts.append(f"{index.phase}{percent}{lockers}")
    if event.wait is not None:
        parts.append(event.wait.text)
    return ": ".join(parts)


def short_progress_text(event: StepProgress) -> str:
    """Give how far a step is, so short that a narrow screen shows all that changes."""
    wait, index = event.wait, event.index
    if wait is None or not wait.blockers:
        return progress_text(event)
    ended = f", {index.lockers_done} of {index.lockers_total} ended" if index and index.lockers_total else ""
    return f"{event.step.class_name} waits for {wait.blockers[0].name}{ended}"


def waits_blocks(report: RunReport) -> Iterator[Block]:
    """Give which steps waited for locks, for how long, and how often they were tried."""
    for summary in report.steps.values():
        repeated = _repeated(summary)
        if not repeated and summary.waited_seconds < _WORTH_A_WORD_SECONDS:
            continue
        tries = f", paused {duration(summary.paused_seconds)}, {counted(repeated, 'transaction')} repeated"
        told = f"{summary.step.class_name} {duration(summary.waited_seconds)}{tries if repeated else ''}"
        yield Line(f"waited for locks: {told}")


def blocker_fields(blocker: Blocker) -> Document:
    """Give who was in the way, for a document."""
    return {
        "pid": blocker.pid,
        "gid": blocker.gid,
        "user": blocker.user,
        "application_name": blocker.application_name,
        "client": blocker.client,
        "backend_type": blocker.backend_type,
        "state": blocker.state,
        "transaction_seconds": _rounded(blocker.transaction_seconds),
        "query": blocker.query,
        "lock_mode": blocker.lock_mode,
        "locked": blocker.locked,
        "is_waiting": blocker.is_waiting,
        "is_hidden": blocker.is_hidden,
    }


def wait_fields(summary: StepSummary) -> Document:
    """Give the tries and waits of a step over all scopes, for a document."""
    return {
        "tries": summary.tries,
        "waited_seconds": round(summary.waited_seconds, 3),
        "paused_seconds": round(summary.paused_seconds, 3),
    }


def _in_the_way(blockers: Sequence[Blocker]) -> Iterator[Block]:
    for blocker in blockers:
        yield Line(f"in the way: {blocker.text}", indent=4)


def _repeated(summary: StepSummary) -> int:
    return max(0, summary.tries - summary.completed - summary.failed - summary.skipped)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
