"""Jobs that do nothing, through one worker process: the queue beside Procrastinate used directly.

`python -m tests.bench.jobs own|peer URL JOB` works on what is queued and prints the seconds that it took.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
from procrastinate import App, PsycopgConnector

from tests.bench.blocks import in_turns
from tests.bench.findings import Row, Section, at_least
from tests.bench.stage import Stage
from tests.support.server import with_parameters
from upgrader.settings import Settings
from upgrader.worker import Job, QueueWorkerHost, queue_job_handler, queue_worker
from upgrader.worker.queue.consumer import QueueConsumer
from upgrader.worker.queue.layout import bring_up_to_date

JOBS = 10_000
BLOCKS = 4
CONCURRENCY = 10
BAR = 0.8
WAITING_JOBS, WAITING, WAITING_BAR = 1_000, 100_000, 5.0
_QUEUE = "bench"
_SCHEMA = "upgrader_worker"
_KINDS = {"coroutine": "a coroutine", "function": "a function"}
_SECONDS = 600
_ROOT = Path(__file__).resolve().parents[2]


def measure(stage: Stage, *, quick: bool) -> Section:
    """Let both work on as many jobs, in turns."""
    jobs, blocks = (300, 2) if quick else (JOBS, BLOCKS)
    waiting_jobs, waiting = (100, 5_000) if quick else (WAITING_JOBS, WAITING)
    with ExitStack() as stack:
        names = {who: stack.enter_context(stage.database(f"jobs_{who}")) for who in ("own", "peer")}
        urls = {who: with_parameters(stage.url, dbname=name) for who, name in names.items()}
        _make(urls)
        rows = [_compare(urls, kind, jobs, blocks) for kind in _KINDS]
        rows.append(_compare_beside(urls, waiting_jobs, waiting, blocks))
    return Section(
        rows,
        [
            f"[^jobs]: {CONCURRENCY} at a time, polling and notifications by default; from the start of the worker to"
            f" its end, {blocks} times in turns, each with the median of the ratios. The peer is Procrastinate's own"
            " App and worker with a task that does nothing; here a job goes through a handler of a class, with its"
            " context, its time, and a loop of its own."
        ],
    )


def _compare(urls: dict[str, str], kind: str, jobs: int, blocks: int) -> Row:
    ratio, told = _measured(urls, kind, jobs, blocks)
    return at_least(
        f"{jobs:,} jobs that do nothing, each {_KINDS[kind]}, through one worker process: jobs a second beside"
        " Procrastinate used directly [^jobs]",
        ratio,
        BAR,
        told,
    )


def _compare_beside(urls: dict[str, str], jobs: int, waiting: int, blocks: int) -> Row:
    ratio, told = _measured(urls, "coroutine", jobs, blocks, waiting=waiting)
    return at_least(
        f"{jobs:,} of them while {waiting:,} that were added before wait for their time: jobs a second"
        " beside Procrastinate used directly [^jobs]",
        ratio,
        WAITING_BAR,
        told,
    )


def _measured(
    urls: dict[str, str], kind: str, jobs: int, blocks: int, *, waiting: int = 0
) -> tuple[float, str]:
    """Give the ratio of the rates, and both of them in words."""

    def contender(who: str) -> Any:
        def block(number: int) -> float:
            del number
            _fill(urls[who], _schema(who), kind, jobs, waiting)
            return _work(who, urls[who], kind)

        return block

    times = in_turns({"own": contender("own"), "peer": contender("peer")}, blocks=blocks)
    own, peer = jobs / times.median("own"), jobs / times.median("peer")
    return times.median_ratio("peer", "own"), f"{own:,.0f} to {peer:,.0f} a second"


def _schema(who: str) -> str:
    return _SCHEMA if who == "own" else "public"


def _make(urls: dict[str, str]) -> None:
    with psycopg.connect(urls["own"], autocommit=True) as driver:
        bring_up_to_date(driver, _SCHEMA)
    with App(connector=PsycopgConnector(conninfo=urls["peer"])).open() as app:
        app.schema_manager.apply_schema()


def _fill(url: str, schema: str, kind: str, jobs: int, waiting: int) -> None:
    """Queue so many jobs in an empty queue, after as many for tomorrow as `waiting` says."""
    with psycopg.connect(url, autocommit=True) as driver:
        driver.execute(f"set search_path = {schema}".encode())
        driver.execute("truncate procrastinate_jobs, procrastinate_events cascade")
        driver.execute(
            "insert into procrastinate_jobs (queue_name, task_name, scheduled_at)"
            f" select '{_QUEUE}', '{kind}', now() + interval '1 day' + n * interval '1 second'"
            f" from generate_series(1, {waiting}) n".encode()
        )
        driver.execute(
            "insert into procrastinate_jobs (queue_name, task_name)"
            f" select '{_QUEUE}', '{kind}' from generate_series(1, {jobs})".encode()
        )
        driver.execute("vacuum analyze procrastinate_jobs, procrastinate_events")


def _work(who: str, url: str, kind: str) -> float:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.jobs", who, url, kind],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=_SECONDS,
    )
    with psycopg.connect(url, autocommit=True) as driver:
        driver.execute(f"set search_path = {_schema(who)}".encode())
        left = driver.execute(
            "select count(*) from procrastinate_jobs where status <> 'succeeded' and scheduled_at is null"
        ).fetchone()
    if left != (0,):
        raise RuntimeError(f"{who} left {left} jobs")
    return float(done.stdout)


@queue_worker(_QUEUE)
class Nothing(QueueWorkerHost):
    """Does nothing so many times, and tells when it is through."""

    def __init__(self, jobs: int) -> None:
        self._left = jobs
        self._lock = threading.Lock()
        self.through = threading.Event()

    @queue_job_handler("coroutine")
    async def coroutine(self, job: Job[Any]) -> None:
        """Do nothing."""
        self._count()

    @queue_job_handler("function")
    def function(self, job: Job[Any]) -> None:
        """Do nothing."""
        self._count()

    def _count(self) -> None:
        with self._lock:
            self._left -= 1
        if not self._left:
            self.through.set()


def work_own(url: str) -> None:
    """Work on the queue until all is done."""
    with psycopg.connect(url) as driver:
        row = driver.execute(
            f"select count(*) from {_SCHEMA}.procrastinate_jobs where scheduled_at is null".encode()
        ).fetchone()
    host = Nothing(row[0] if row else 0)
    settings = Settings.model_validate({"database_url": url, "worker": {"concurrency": CONCURRENCY}})
    consumer = QueueConsumer(settings, [host])
    consumer.start()
    host.through.wait()
    consumer.stop(60)


def work_peer(url: str) -> None:
    """Let Procrastinate work until all is done."""
    app = App(connector=PsycopgConnector(conninfo=url))

    @app.task(name="coroutine", queue=_QUEUE)
    async def coroutine() -> None:
        """Do nothing."""

    @app.task(name="function", queue=_QUEUE)
    def function() -> None:
        """Do nothing."""

    async def run() -> None:
        async with app.open_async():
            await app.run_worker_async(queues=[_QUEUE], concurrency=CONCURRENCY, wait=False)

    asyncio.run(run())


if __name__ == "__main__":
    _, mode, database_url, _ = sys.argv
    started = time.perf_counter()
    {"own": work_own, "peer": work_peer}[mode](database_url)
    print(time.perf_counter() - started)
