"""The workers of `demo --distributed`: three processes, one of which is killed in the middle of the upgrade."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from upgrader.cli.render.blocks import Line
from upgrader.errors import OperatorError

if TYPE_CHECKING:
    from upgrader.cli.demo_place import DemoPlace

WORKERS = 3
CONCURRENCY = 2
_STEPS_BEFORE = 60  # completed ones, before one is killed
_POLL_SECONDS = 0.02
_START_SECONDS, _END_SECONDS = 60.0, 20.0
# What the worker that is killed has in hand is worth more to look at than one that idles.
_AT_WORK = """
select (regexp_match(m.name, 'pid ([0-9]+)$'))[1]::integer
from upgrader_worker.distributed_member m
where m.state = 'admitted' and exists (
    select from upgrader_worker.distributed_chunk c where c.run_id = m.run_id and c.member_id = m.member_id)
and (select count(*) from upgrader_worker.distributed_member where state = 'admitted') >= %(workers)s
and (select count(*) from upgrader.history where workspace_id is not null and not is_initial
     and status = 'completed') >= %(steps)s
order by m.name limit 1
"""


@contextmanager
def demo_workers(place: DemoPlace) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Start the workers, and end what is left of them after the block."""
    with tempfile.TemporaryDirectory(prefix="upgrader-demo-workers-") as folder:
        started = [_start(place, Path(folder), number) for number in range(WORKERS)]
        try:
            _wait_ready(place, started, Path(folder))
            yield started
        finally:
            for process in started:
                process.terminate()
            for process in started:
                try:
                    process.wait(_END_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _wait_ready(place: DemoPlace, started: list[subprocess.Popen[bytes]], folder: Path) -> None:
    """Wait until all of them listen to the queue.

    Raises:
        OperatorError: one of them has ended; the last that it wrote is told.
    """
    from sqlalchemy.exc import DBAPIError

    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        for number, process in enumerate(started):
            if process.poll() is not None:
                lines = (folder / f"worker-{number}.log").read_text(errors="replace").splitlines() or [
                    "nothing"
                ]
                raise OperatorError(
                    f"a worker of the demo has ended: {lines[-1]}",
                    hint="pip install 'upgrader[worker]' brings what a worker needs",
                )
        with suppress(DBAPIError), place.engine.connect() as connection:  # no tables yet
            found = connection.exec_driver_sql("select count(*) from upgrader_worker.worker").scalar_one()
            if found >= len(started):
                return
        time.sleep(_POLL_SECONDS)


def _start(place: DemoPlace, folder: Path, number: int) -> subprocess.Popen[bytes]:
    settings = place.invocation.settings
    # By variables: a URL with a password would stand in the list of processes.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("UPGRADER_")}
    environment.update(
        UPGRADER_DATABASE_URL=str(settings.database_url),
        UPGRADER_COMMANDS=str(settings.commands[0]),
        UPGRADER_APP_VERSION=str(settings.app_version),
    )
    arguments = ["worker", "--no-scheduler", "--queues", "upgrader-distributed", "--concurrency"]
    with (folder / f"worker-{number}.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "upgrader", *arguments, str(CONCURRENCY)],
            cwd=folder,  # where there are no settings
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for the upgrade, which ends them
        )


@contextmanager
def killing_one(place: DemoPlace, workers: list[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Kill one of the workers in the block, while it has workspaces in hand."""
    over = threading.Event()
    thread = threading.Thread(
        target=_kill_one, args=(place, workers, over), name="upgrader-demo", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _kill_one(place: DemoPlace, workers: list[subprocess.Popen[bytes]], over: threading.Event) -> None:
    from sqlalchemy.exc import DBAPIError

    while not over.wait(_POLL_SECONDS):
        try:
            with place.engine.connect() as connection:
                pid = connection.exec_driver_sql(
                    _AT_WORK, {"workers": WORKERS, "steps": _STEPS_BEFORE}
                ).scalar()
        except DBAPIError:  # there are no tables yet
            continue
        found = next((process for process in workers if process.pid == pid), None)
        if found is not None:
            found.kill()
            place.invocation.output.tell(Line(f"kill -9 {pid}: one of the workers is dead", style="warning"))
            return
