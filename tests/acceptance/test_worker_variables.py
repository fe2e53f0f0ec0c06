"""The variables and levels of the documents' configuration, each with what it does in a worker that is at work."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from zoneinfo import ZoneInfo

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.support.project import Project
from tests.support.server import PostgresServer, wait_until

JOBS = """
import logging
from upgrader.worker import QueueWorkerHost, queue_job_handler, queue_worker, scheduled_job

class Jobs:
    @scheduled_job(name="nightly", cron="0 0 3 * * *")
    def nightly(self): ...

    @scheduled_job(name="letter", interval=0.5, queue_name="mail", queue_job_name="send")
    def letter(self):
        logging.getLogger("mine").debug("a letter to ada")
        return {"to": "ada"}

@queue_worker("mail")
class Mail(QueueWorkerHost):
    @queue_job_handler("send")
    def send(self, job): ...
"""

_BY_THE_HOUR = """
from upgrader.worker import scheduled_job

@scheduled_job(name="{name}", cron="* * {hours} * * *")
def run(): ...
"""

_SINGLE_VALUES = {
    "host": "HOST",
    "port": "PORT",
    "user": "USER",
    "password": "PASSWORD",
    "dbname": "DATABASE",
}
_TICKS_OF_HEARTBEAT = "select from upgrader_worker.tick where name = 'worker.heartbeat.scheduler'"
_JOBS_BY_QUEUE = "select distinct queue_name from upgrader_worker.procrastinate_jobs order by 1"


@pytest.fixture
def project_with_jobs(project: Project) -> Project:
    """A project with a job by time, and one that goes through a queue."""
    project.write("jobs/mine.py", JOBS)
    project.configure(worker={"modules": ["jobs"]})
    return project


@contextmanager
def at_work(
    project: Project, queue: str | None = None, *flags: str, **variables: str
) -> Iterator[Callable[[], str]]:
    """Run a worker for the time of a block; gives what ends it in good order, and what it has said.

    Args:
        queue: the URL of the database where its tables are to be, where that is another one.
        flags: before the verb.
    """
    process = project.start_cli(*flags, "worker", env=variables)

    def end() -> str:
        process.terminate()
        _, told = process.communicate(timeout=60)
        assert process.returncode == 0, told
        return told

    try:
        wait_until(lambda: _has_fired(queue or project.database_url))
        yield end
    finally:
        process.kill()
        process.communicate()


def _has_fired(url: str) -> bool:
    """Tell whether the job `letter` came to its time."""
    with psycopg.connect(url) as connection:
        there = connection.execute("select to_regclass('upgrader_worker.tick') is not null").fetchone()
        fired = "select from upgrader_worker.tick where name = 'letter' limit 1"
        return there == (True,) and connection.execute(fired).fetchone() is not None


def test_default_queue(project_with_jobs: Project) -> None:
    """What names no queue of its own is in it: the worker's own jobs."""
    with at_work(project_with_jobs, UPGRADER_WORKER__DEFAULT_QUEUE="mine") as end:
        wait_until(lambda: project_with_jobs.query(_JOBS_BY_QUEUE) == [("mail",), ("mine",)])
        told = end()
    assert "into queue mine as worker.startup" in told
    assert "worker-default" not in told


@pytest.mark.parametrize("variable", ["UPGRADER_WORKER__TIMEZONE", "TZ"])
def test_timezone(project_with_jobs: Project, variable: str) -> None:
    """A job's cron is in it, where the job names none; where the settings say nothing it is the system's."""
    project = project_with_jobs
    hour = datetime.now(ZoneInfo("Asia/Tokyo")).hour
    project.write("jobs/now.py", _BY_THE_HOUR.format(name="now", hours=f"{hour},{(hour + 1) % 24}"))
    project.write("jobs/later.py", _BY_THE_HOUR.format(name="later", hours=f"{(hour + 12) % 24}"))
    given = {"TZ": "Europe/Berlin", variable: "Asia/Tokyo"}
    with at_work(project, None, **given) as end:
        wait_until(lambda: project.query("select from upgrader_worker.tick where name = 'now'") != [])
        told = end()
    assert project.query("select from upgrader_worker.tick where name = 'later'") == []
    assert ("job nightly (Jobs.nightly): cron 0 0 3 * * * (Asia/Tokyo)" in told) is (variable != "TZ")


@pytest.mark.parametrize(
    ("variables", "is_off"), [({}, False), ({"UPGRADER_WORKER__HEARTBEAT_ENABLED": "false"}, True)]
)
def test_heartbeat_enabled(project_with_jobs: Project, variables: dict[str, str], is_off: bool) -> None:
    """Without it no worker says again and again that it is there; that it has started is said all the same."""
    with at_work(project_with_jobs, None, **variables) as end:
        told = end()
    heartbeat = "job worker.heartbeat.scheduler (WorkerLifecycleJob.heartbeat): "
    (line,) = [line for line in told.splitlines() if heartbeat in line]
    assert line.endswith(", switched off") is is_off
    assert told.count("switched off") == is_off
    assert "into queue worker-default as worker.startup" in told
    if is_off:
        assert project_with_jobs.query(_TICKS_OF_HEARTBEAT) == []


def test_queue_enabled(project_with_jobs: Project) -> None:
    """Without it jobs run in the worker that fires them, also those that name a queue; there are no queue's tables."""
    with at_work(project_with_jobs, UPGRADER_WORKER__QUEUE_ENABLED="false") as end:
        told = end()
    assert "scheduler on, queue off" in told
    assert project_with_jobs.query("select to_regclass('upgrader_worker.procrastinate_jobs')") == [(None,)]


def test_single_values_of_the_queue(project_with_jobs: Project, server: PostgresServer) -> None:
    """Host, port, user, password and database are what the variables say, here those of a file."""
    project = project_with_jobs
    with server.database() as other:
        given = {
            f"UPGRADER_WORKER__QUEUE_{_SINGLE_VALUES[key]}": value
            for key, value in conninfo_to_dict(other).items()
            if key in _SINGLE_VALUES
        }
        project.write(".env", "".join(f"{name}={value}\n" for name, value in given.items()))
        with at_work(project, other) as end:
            end()
    assert project.query("select to_regnamespace('upgrader_worker')") == [(None,)]


def test_url_of_the_queue(project_with_jobs: Project, server: PostgresServer) -> None:
    """It says all: the single values beside it are not looked at."""
    project = project_with_jobs
    with server.database() as other:
        given = {
            "UPGRADER_WORKER__QUEUE_DATABASE_URL": other,
            "UPGRADER_WORKER__QUEUE_HOST": "nowhere.invalid",
        }
        with at_work(project, other, **given) as end:
            wait_until(lambda: _has_sent(other))
            end()
    assert project.query("select to_regnamespace('upgrader_worker')") == [(None,)]


def _has_sent(url: str) -> bool:
    """Tell whether the job `send` went through the queue."""
    with psycopg.connect(url) as connection:
        sent = (
            "select from upgrader_worker.procrastinate_jobs where task_name = 'send' and status = 'succeeded'"
        )
        return connection.execute(sent).fetchone() is not None


@pytest.mark.parametrize(("sslmode", "begins_with"), [("require", 80_877_103), ("disable", 196_608)])
def test_encryption_of_the_queue(project_with_jobs: Project, sslmode: str, begins_with: int) -> None:
    """A server that is to be asked for it is asked before it is told anything; if it has none the worker ends."""
    asked: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def refuse() -> None:
            speaking, _ = listening.accept()
            with speaking:
                _, code = struct.unpack("!ii", speaking.recv(8, socket.MSG_WAITALL))
                asked.append(code)
                speaking.sendall(b"N")  # no encryption here

        thread = threading.Thread(target=refuse, daemon=True)
        thread.start()
        done = project_with_jobs.run_cli(
            "worker",
            env={
                "UPGRADER_WORKER__QUEUE_HOST": "127.0.0.1",
                "UPGRADER_WORKER__QUEUE_PORT": str(listening.getsockname()[1]),
                "UPGRADER_WORKER__QUEUE_USER": "worker",
                "UPGRADER_WORKER__QUEUE_PASSWORD": "hunter22",
                "UPGRADER_WORKER__QUEUE_SSLMODE": sslmode,
            },
        )
        thread.join(30)
    assert asked == [begins_with]
    assert done.returncode == 2
    assert "cannot connect to worker@127.0.0.1" in done.stderr
    assert ("server does not support SSL" in done.stderr) is (sslmode == "require")
    assert "hunter22" not in done.stderr


def test_names_that_are_not_taken_over(project_with_jobs: Project) -> None:
    """Without the product's prefix a variable is somebody else's: it neither switches nor moves anything here."""
    foreign = {
        "REDIS_ENABLED": "false",
        "REDIS_URL": "redis://nowhere.invalid:6379/5",
        "NODE_ENV": "production",
        "WORKER_QUEUE_ENABLED": "false",
        "WORKER_SCHEDULER_ENABLED": "false",
        "WORKER_DEFAULT_QUEUE": "other",
    }
    with at_work(project_with_jobs, None, **foreign) as end:
        wait_until(lambda: _has_sent(project_with_jobs.database_url))
        told = end()
    assert "scheduler on, queue on" in told
    assert "into queue worker-default as worker.startup" in told


def test_levels_of_log_lines(project_with_jobs: Project) -> None:
    """What is said for those who look for a mistake is shown to whoever asks for it."""
    with at_work(project_with_jobs, None, "--debug") as end:
        assert "DEBUG   mine: a letter to ada [job=letter]" in end()
    with project_with_jobs.connect() as connection:
        connection.execute("truncate upgrader_worker.tick")
    with at_work(project_with_jobs) as end:
        told = end()
    assert "a letter to ada" not in told
    assert "INFO " in told
