"""The workers on a database, for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from upgrader.cli.render.blocks import Block, Cell, Column, Line, Table
from upgrader.cli.render.documents import Document, envelope, time_text
from upgrader.cli.render.wording import age, counted, duration, moment

if TYPE_CHECKING:
    from upgrader.worker.registry import KnownWorker, LastTick, WorkersReport
    from upgrader.worker.scheduling.job_run import JobRun

_WORKERS = (
    Column("worker"),
    Column("seen", whole=True),
    Column("started", whole=True),
    Column("scheduler", whole=True),
    Column("jobs at a time", right=True, whole=True),
    Column("queues"),
)
_JOBS = (
    Column("scheduled job"),
    Column("last tick", whole=True),
    Column("outcome", whole=True),
    Column("worker"),
)
_STYLES = {"failed": "error", "running": "good", "skipped": "warning", "lost": "error"}


def workers_blocks(report: WorkersReport) -> Iterator[Block]:
    """Say which workers there are, and what they last did."""
    if report.is_first:
        yield Line(f"no worker has ever run on {report.database}")
        return
    alive = sum(worker.is_alive for worker in report.workers)
    yield Line(f"{counted(alive, 'worker')} at work on {report.database}", style="bold")
    if report.workers:
        yield Line()
        yield Table(_WORKERS, [_worker(worker) for worker in report.workers])
    now = datetime.now(UTC)
    for sign in report.signs:
        ago = age((now - sign.handled_at).total_seconds())
        yield Line(f"last {sign.name}: {moment(sign.sent_at)} by {sign.worker}, handled {ago} ago")
    if report.ticks:
        yield Line()
        yield Table(_JOBS, [_tick(tick) for tick in report.ticks])
    for tick in report.ticks:
        if tick.detail:
            yield Line(f"{tick.name}: {tick.detail}", style="error")


def workers_document(report: WorkersReport, exit_code: int) -> Document:
    """Give the workers, the last signs of life and the last tick of each scheduled job."""
    return {
        **envelope("done", exit_code),
        "database": report.database,
        "workers": [
            {
                "id": one.id,
                "host": one.host,
                "pid": one.pid,
                "version": one.version,
                "queues": list(one.queues),
                "concurrency": one.concurrency,
                "scheduler": one.schedules,
                "started_at": time_text(one.started_at),
                "seen_at": time_text(one.seen_at),
                "silent_seconds": round(one.silent_seconds, 3),
                "alive": one.is_alive,
            }
            for one in report.workers
        ],
        "signs": [
            {
                "name": one.name,
                "worker": one.worker,
                "sent_at": time_text(one.sent_at),
                "handled_at": time_text(one.handled_at),
            }
            for one in report.signs
        ],
        "ticks": [
            {
                "name": one.name,
                "due": time_text(one.due),
                "worker": one.worker,
                "outcome": one.outcome,
                "finished_at": time_text(one.finished_at),
                "detail": one.detail,
            }
            for one in report.ticks
        ],
    }


def triggered_blocks(run: JobRun, queue: str | None) -> Iterator[Block]:
    """Say what became of a job that somebody asked for."""
    match run.outcome.value:
        case "queued" if run.queue_job_id is None:
            yield Line(f"job {run.name} waits in queue {queue} already: nothing was added")
        case "queued":
            yield Line(f"job {run.name} added to queue {queue}: {run.queue_job_id}")
        case "done":
            yield Line(f"job {run.name} done in {duration(run.seconds)}")


def triggered_document(run: JobRun, queue: str | None, *, outcome: str, exit_code: int) -> Document:
    """Give what became of a job that somebody asked for."""
    return {
        **envelope(outcome, exit_code),
        "name": run.name,
        "run": run.outcome.value,
        "queue": queue,
        "queue_job_id": run.queue_job_id,
        "seconds": round(run.seconds, 3),
        "error": None if run.error is None else {"message": error_text(run), "hint": None},
    }


def error_text(run: JobRun) -> str:
    """Give what a run failed with, on one line."""
    return f"{type(run.error).__name__}: {run.error}" if run.error is not None else ""


def _worker(worker: KnownWorker) -> list[str | Cell]:
    seen = f"{age(worker.silent_seconds)} ago"
    return [
        worker.id,
        Cell(seen, "good") if worker.is_alive else Cell(f"{seen}: dead or cut off", "warning"),
        moment(worker.started_at),
        "on" if worker.schedules else "off",
        str(worker.concurrency) if worker.concurrency else "",
        ", ".join(worker.queues),
    ]


def _tick(tick: LastTick) -> list[str | Cell]:
    told = "lost: its worker is dead or cut off" if tick.outcome == "lost" else tick.outcome
    return [tick.name, moment(tick.due), Cell(told, _STYLES.get(tick.outcome, "")), tick.worker]
