"""Runs that are distributed, in tests: workers as threads of this process, or as processes that can be killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from tests.support.project import Project
from upgrader.api import Upgrader
from upgrader.events import EventSink, ignore_events
from upgrader.runner.options import UpgradeOptions
from upgrader.runner.result import RunReport
from upgrader.runner.stop import StopToken
from upgrader.worker.distributed.coordinator import distributing
from upgrader.worker.distributed.worker import Participation

ROOT = Path(__file__).parents[2]
WAIT_SECONDS = 60.0
_POLL_SECONDS = 0.03


class NoInvitations:
    """Workers of these tests look for runs by themselves."""

    def invite(self, run_id: str, count: int) -> None:
        """Do nothing."""

    def withdraw(self) -> None:
        """Do nothing."""


def look_for_runs(
    upgrader: Upgrader,
    database_url: str,
    *,
    lanes: int,
    is_over: Callable[[], bool],
    say: Callable[[str], None],
) -> None:
    """Bring lanes to whatever run there is, until it is enough; in place of a queue."""
    participation = Participation(upgrader, say=say)
    threads: list[threading.Thread] = []
    with psycopg.connect(database_url, autocommit=True) as driver:
        while not is_over():
            threads = [thread for thread in threads if thread.is_alive()]
            for run_id in _runs(driver)[:1]:
                while len(threads) < lanes:
                    thread = threading.Thread(target=participation.bring_lane, args=(run_id,), daemon=True)
                    threads.append(thread)
                    thread.start()
            time.sleep(_POLL_SECONDS)
    participation.leave(20.0)


def _runs(driver: psycopg.Connection[Any]) -> list[str]:
    try:
        return [row[0] for row in driver.execute("select run_id from upgrader_worker.distributed_run")]
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return []


@contextlib.contextmanager
def worker_threads(project: Project, count: int = 1, *, lanes: int = 2) -> Iterator[None]:
    """Let workers of this process take part in whatever run begins in the block."""
    over = threading.Event()
    threads = [
        threading.Thread(
            target=look_for_runs,
            args=(project.api(), project.database_url),
            kwargs={"lanes": lanes, "is_over": over.is_set, "say": lambda _: None},
        )
        for _ in range(count)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(WAIT_SECONDS)


@dataclass
class WorkerProcess:
    """A worker of its own process."""

    process: subprocess.Popen[str]
    log: Path

    def kill(self) -> None:
        """End it at once, and wait until it is gone."""
        self.process.kill()
        self.process.wait(WAIT_SECONDS)

    def stop(self) -> int:
        """End it in good order; give its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WAIT_SECONDS)

    @property
    def said(self) -> str:
        """What it wrote."""
        return self.log.read_text(encoding="utf-8")


@contextlib.contextmanager
def worker_processes(
    project: Project, count: int = 1, *, lanes: int = 2, prefix: Sequence[str] = (), url: str | None = None
) -> Iterator[list[WorkerProcess]]:
    """Start workers, and end what is left of them after the block.

    Args:
        prefix: a command that runs them, `ip netns exec NAME` for example.
    """
    workers = [
        start_worker(project, f"worker-{n}", lanes=lanes, prefix=prefix, url=url) for n in range(count)
    ]
    try:
        yield workers
    finally:
        for worker in workers:
            if worker.process.poll() is None:
                worker.process.kill()
                worker.process.wait(WAIT_SECONDS)


def start_worker(
    project: Project, name: str, *, lanes: int = 2, prefix: Sequence[str] = (), url: str | None = None
) -> WorkerProcess:
    """Start one worker."""
    log = project.home / f"{name}.log"
    arguments = [
        sys.executable,
        "-m",
        "tests.support.distributed_worker",
        str(lanes),
        url or project.database_url,
    ]
    environment = {**project.environment(), "PYTHONPATH": str(ROOT)}
    with log.open("a", encoding="utf-8") as stream:
        process = subprocess.Popen(
            [*prefix, *arguments],
            cwd=project.directory,
            env=environment,
            stdout=stream,
            stderr=stream,
            text=True,
        )
    return WorkerProcess(process, log)


def distribute(
    project: Project,
    *,
    emit: EventSink = ignore_events,
    stop: StopToken | None = None,
    stalled_seconds: float = 30.0,
    settings: dict[str, Any] | None = None,
    **options: Any,
) -> RunReport:
    """Run `upgrade` as the coordinator of whatever workers there are."""
    api = project.api(emit=emit, stop=stop, **(settings or {}))
    executor = distributing(api.registry, invites=NoInvitations(), stalled_seconds=stalled_seconds)
    return api.upgrade(UpgradeOptions(**options), executor=executor)


@dataclass
class Coordinator:
    """A coordinator in a thread, for tests that look at a run on its way."""

    project: Project
    options: dict[str, Any] = field(default_factory=dict)
    reports: list[RunReport] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)

    def __enter__(self) -> Coordinator:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(WAIT_SECONDS)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self.reports.append(distribute(self.project, **self.options))
        except BaseException as error:  # the test looks at it
            self.errors.append(error)

    @property
    def report(self) -> RunReport:
        """What it came to, once it is over."""
        self._thread.join(WAIT_SECONDS)
        if self.errors:
            raise self.errors[0]
        return self.reports[0]


def is_running(pid: int) -> bool:
    """Tell whether a process is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
