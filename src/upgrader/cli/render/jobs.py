"""Jobs and queues, for people and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from upgrader.cli.render.blocks import Block, Cell, Column, Line, Table
from upgrader.cli.render.documents import Document, envelope, time_text
from upgrader.cli.render.wording import age, counted, duration, first_lines, moment
from upgrader.redaction import without_named_secrets

if TYPE_CHECKING:
    from upgrader.worker.queue.administration import JobOrdered, JobRecord, QueueState

_STYLES = {"running": "good", "failed": "error", "cancelled": "warning", "delayed": "dim"}
_JOB_COLUMNS = (
    Column("id", right=True, whole=True),
    Column("queue"),
    Column("job"),
    Column("state", whole=True),
    Column("tries", whole=True),
    Column("added", whole=True),
    Column("about"),
)
_QUEUE_COLUMNS = (
    Column("queue"),
    *(
        Column(title, right=True, whole=True)
        for title in ("waiting", "delayed", "running", "failed", "succeeded", "cancelled")
    ),
    Column("oldest", whole=True),
)
_NARROW = 100


def jobs_blocks(jobs: Sequence[JobRecord], *, has_more: bool, width: int | None) -> Iterator[Block]:
    """Give jobs: a table where there is room, else a few lines for each."""
    if not jobs:
        yield Line("no such job is in the queues")
    elif width is not None and width < _NARROW:
        for one in jobs:
            yield from _short(one)
    else:
        yield Table(_JOB_COLUMNS, [_cells(one) for one in jobs])
    if has_more:
        yield Line(f"there are more than these {len(jobs):,}: --limit N shows more")


def job_blocks(one: JobRecord) -> Iterator[Block]:
    """Give one job with all that is known of it."""
    status = one.status.value
    yield Line(f"job {one.id}: {one.name}", style="bold")
    yield Line(f"queue: {one.queue}", indent=2)
    yield Line(f"state: {_state(one)}", indent=2, style=_STYLES.get(status, ""))
    rest = f", {_backoff(one)}" if one.attempts > 1 else ""
    yield Line(f"tries: {one.tries} of {one.attempts}{rest}", indent=2)
    if one.priority:
        yield Line(f"priority: {one.priority}", indent=2)
    if one.dedupe_id is not None:
        yield Line(f"id among the waiting: {one.dedupe_id}", indent=2)
    if one.added_at is not None:
        yield Line(f"added: {moment(one.added_at)}", indent=2)
    if one.started_at is not None:
        lasted = f", {duration(one.seconds)}" if one.seconds is not None else ""
        yield Line(f"last try: {moment(one.started_at)}{lasted}", indent=2)
    if one.rescued:
        yield Line(f"rescued: {_times(one.rescued)}, its worker fell silent", indent=2)
    if one.error is not None:
        yield Line(f"error: {one.error}", indent=2, style="error" if status == "failed" else "")
    payload = json.dumps(without_named_secrets(one.payload), indent=2, ensure_ascii=False)
    yield Line("payload:", indent=2)
    yield from (Line(line, indent=4, verbatim=True) for line in payload.splitlines())


def ordered_blocks(verb: str, done: JobOrdered) -> Iterator[Block]:
    """Say what `jobs retry|cancel` did."""
    one = done.job
    name = f"job {one.id} ({one.name})"
    if verb == "retry":
        yield Line(f"{name} waits again" if done.is_changed else f"{name} waits already")
    elif not one.is_cancelling:
        yield Line(f"{name} is cancelled")
    else:
        again = "" if done.is_changed else " already"
        yield Line(
            f"{name} is being worked on and is asked to end{again}: a coroutine is cancelled, a function ends"
            " when it looks at stop_requested"
        )


def queues_blocks(queues: Sequence[QueueState], *, width: int | None) -> Iterator[Block]:
    """Give the queues: a table where there is room, else two lines for each."""
    if not queues:
        yield Line("no job is in any queue")
    elif width is not None and width < _NARROW:
        for one in queues:
            oldest = f", the oldest for {age(one.oldest_seconds)}" if one.oldest_seconds is not None else ""
            yield Line(one.name, style="bold")
            yield Line(
                f"{one.waiting:,} waiting{oldest}; {one.delayed:,} delayed, {one.running:,} running,"
                f" {one.failed:,} failed, {one.succeeded:,} succeeded, {one.cancelled:,} cancelled",
                indent=2,
            )
    else:
        yield Table(_QUEUE_COLUMNS, [_queue_cells(one) for one in queues])


def jobs_document(jobs: Sequence[JobRecord], exit_code: int, *, has_more: bool) -> Document:
    """Give jobs."""
    return {
        **envelope("done", exit_code),
        "jobs": [job_fields(one) for one in jobs],
        "has_more": has_more,
    }


def job_document(one: JobRecord, exit_code: int) -> Document:
    """Give one job."""
    return {**envelope("done", exit_code), "job": job_fields(one)}


def ordered_document(done: JobOrdered, exit_code: int) -> Document:
    """Give what `jobs retry|cancel` did."""
    return {**job_document(done.job, exit_code), "changed": done.is_changed}


def queues_document(queues: Sequence[QueueState], exit_code: int) -> Document:
    """Give the queues."""
    return {
        **envelope("done", exit_code),
        "queues": [
            {
                "name": one.name,
                "waiting": one.waiting,
                "delayed": one.delayed,
                "running": one.running,
                "succeeded": one.succeeded,
                "failed": one.failed,
                "cancelled": one.cancelled,
                "oldest_seconds": _rounded(one.oldest_seconds),
            }
            for one in queues
        ],
    }


def job_fields(one: JobRecord) -> Document:
    """Give one job."""
    return {
        "id": one.id,
        "queue": one.queue,
        "name": one.name,
        "status": one.status.value,
        "is_cancelling": one.is_cancelling,
        "priority": one.priority,
        "dedupe_id": one.dedupe_id,
        "payload": without_named_secrets(one.payload),
        "tries": one.tries,
        "attempts": one.attempts,
        "backoff": {
            "delay_seconds": one.backoff.delay_seconds,
            "factor": one.backoff.factor,
            "max_seconds": one.backoff.max_seconds,
        },
        "added_at": time_text(one.added_at),
        "scheduled_at": time_text(one.scheduled_at),
        "started_at": time_text(one.started_at),
        "ended_at": time_text(one.ended_at),
        "seconds": _rounded(one.seconds),
        "worker_id": one.worker_id,
        "rescued": one.rescued,
        "error": one.error,
        "error_at": time_text(one.error_at),
    }


def _short(one: JobRecord) -> Iterator[Block]:
    yield Line(f"{one.id}  {one.name}", verbatim=True)
    added = "" if one.added_at is None else f", added {_ago(one.added_at)} ago"
    tried = f", {_tries(one)}" if one.tries else ""
    yield Line(f"{one.queue}{added}{tried}", indent=2)
    yield Line(_state(one), indent=2, style=_STYLES.get(one.status.value, ""))
    if one.status.value == "failed" and one.error:
        yield Line(first_lines(one.error, 1), indent=2)


def _cells(one: JobRecord) -> list[str | Cell]:
    return [
        str(one.id),
        one.queue,
        one.name,
        Cell(one.status.value, _STYLES.get(one.status.value, "")),
        f"{one.tries} of {one.attempts}",
        "" if one.added_at is None else f"{_ago(one.added_at)} ago",
        _about(one),
    ]


def _queue_cells(one: QueueState) -> list[str | Cell]:
    return [
        one.name,
        f"{one.waiting:,}",
        f"{one.delayed:,}",
        f"{one.running:,}",
        Cell(f"{one.failed:,}", "error" if one.failed else ""),
        f"{one.succeeded:,}",
        f"{one.cancelled:,}",
        "" if one.oldest_seconds is None else age(one.oldest_seconds),
    ]


def _about(one: JobRecord) -> str:
    if one.status.value == "failed" or (one.error and one.status.value in ("waiting", "delayed")):
        return first_lines(one.error, 1)
    state = _state(one)
    return "" if state == one.status.value else state


def _state(one: JobRecord) -> str:
    """Say what becomes of a job just now, and since or until when."""
    match one.status.value:
        case "delayed" if one.scheduled_at is not None:
            return f"delayed, due in {age((one.scheduled_at - datetime.now(UTC)).total_seconds())}"
        case "running":
            asked = ", asked to end" if one.is_cancelling else ""
            return f"running for {age(one.seconds or 0.0)}{asked}"
        case "succeeded" if one.seconds is not None:
            return f"succeeded in {duration(one.seconds)}"
        case word:
            return word


def _tries(one: JobRecord) -> str:
    return (
        f"{one.tries} of {counted(one.attempts, 'try')}"
        if one.attempts == 1
        else f"{one.tries} of {one.attempts} tries"
    )


def _backoff(one: JobRecord) -> str:
    backoff = one.backoff
    if not backoff.delay_seconds:
        return "without a rest between"
    growing = "" if backoff.factor == 1 else f", each {backoff.factor:g} times the one before"
    return f"a rest of {duration(backoff.delay_seconds)} between{growing}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _ago(value: datetime) -> str:
    return age((datetime.now(UTC) - value).total_seconds())


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
