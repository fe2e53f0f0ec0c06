"""`upgrader worker` as a process: its start, its signals, its log lines, several of them at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from tests.support.project import Project
from tests.support.results import document
from tests.support.server import nobody_let_in, wait_until

JOBS = """
import logging, os, time
from pathlib import Path
from upgrader.worker import QueueWorkerHost, current_job, queue_job_handler, queue_worker, scheduled_job


class Jobs:
    @scheduled_job(interval=0.5, name="often", description="twice a second")
    def often(self):
        print("printed by often")

    @scheduled_job(name="nap")
    def nap(self):
        time.sleep(2)

    @scheduled_job(name="letter", queue_name="mail", queue_job_name="send")
    def letter(self):
        return {"to": "you", "key": os.environ.get("MAIL_KEY")}


@queue_worker("mail")
class Mail(QueueWorkerHost):
    @queue_job_handler("send")
    def send(self, job):
        logging.getLogger("mine").info("sending to %s", job.data["to"])
"""

NAP_UNTIL_STOPPED = """

class LongNap:
    @scheduled_job(name="long nap", run_on_start=True)
    def nap(self):
        Path("napping").touch()
        while not current_job().stop_requested:
            time.sleep(0.01)
        time.sleep(1)  # longer than any look at whether it is through
        Path("woke up").touch()
"""


@pytest.fixture
def start(project: Project) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts workers of the project; all are killed at the end."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str, **env: str) -> subprocess.Popen[str]:
        started.append(project.start_cli("worker", *arguments, env=env))
        return started[-1]

    yield begin
    for one in started:
        one.kill()
        one.communicate()


@pytest.fixture
def jobs(project: Project) -> Project:
    """A project with a few jobs."""
    project.write("jobs/mine.py", JOBS)
    project.configure(worker={"modules": ["jobs"]})
    return project


def _ticks(project: Project, name: str) -> list[tuple[Any, ...]]:
    if project.query("select to_regclass('upgrader_worker.tick') is null") == [(True,)]:
        return []
    return project.query(
        "select due, worker, outcome from upgrader_worker.tick where name = %s order by due", name
    )


def _end(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> tuple[int, str]:
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    return process.returncode, told


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_works_until_a_signal_comes(
    jobs: Project, start: Callable[..., subprocess.Popen[str]], number: signal.Signals
) -> None:
    """It tells what it has found, fires ticks, does jobs, and ends in good order with exit 0."""
    process = start()
    wait_until(lambda: len(_ticks(jobs, "often")) >= 2)
    assert jobs.run_cli("jobs", "trigger", "letter").returncode == 0
    wait_until(
        lambda: (
            jobs.query(
                "select 1 from upgrader_worker.procrastinate_jobs where task_name = 'send' and status = 'succeeded'"
            )
            != []
        )
    )
    code, told = _end(process, number)
    assert code == 0, told
    for line in (
        ": scheduler on, queue on",
        "job often (Jobs.often): every 0.5 s",
        "job letter (Jobs.letter): manual, into queue mail as send",
        "job worker.heartbeat.scheduler (WorkerLifecycleJob.heartbeat): cron */30 * * * * *, into queue worker-default",
        "queue worker Mail handles send",
        "printed by often",
        "sending to you",
        f"{number.name}: stopping",
        "nothing is left half done",
    ):
        assert line in told, line
    assert jobs.query("select count(*) from upgrader_worker.worker") == [(0,)]
    assert jobs.query("select count(*) from pg_class where relnamespace = to_regnamespace('public')") == [
        (0,)
    ]


def test_the_jobs_that_were_found_need_not_be_told(
    jobs: Project, start: Callable[..., subprocess.Popen[str]]
) -> None:
    """`log_registered_jobs = false`."""
    process = start(UPGRADER_WORKER__LOG_REGISTERED_JOBS="false")
    wait_until(lambda: _ticks(jobs, "often") != [])
    code, told = _end(process)
    assert code == 0
    assert ": scheduler on, queue on" in told
    assert "(Jobs.often)" not in told
    assert "queue worker Mail handles" not in told


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_jobs_in_progress_finish(
    jobs: Project, start: Callable[..., subprocess.Popen[str]], number: signal.Signals
) -> None:
    """A run that is in the middle of its work when the signal comes is done when the process is gone."""
    jobs.write("jobs/mine.py", JOBS + NAP_UNTIL_STOPPED)
    process = start()
    wait_until((jobs.directory / "napping").exists)
    code, told = _end(process, number)
    assert code == 0, told
    assert "jobs in progress, which have 30 s to finish: long nap" in told
    assert "job long nap done in " in told
    assert "ended after " in told
    assert (jobs.directory / "woke up").exists()


def test_what_does_not_finish_in_time_is_named(
    jobs: Project, start: Callable[..., subprocess.Popen[str]]
) -> None:
    """Exit 1, and no longer than the time that it was given."""
    jobs.write(
        "jobs/mine.py",
        JOBS.replace('@scheduled_job(name="nap")', '@scheduled_job(name="nap", run_on_start=True)').replace(
            "sleep(2)", "sleep(600)"
        ),
    )
    process = start(UPGRADER_WORKER__SHUTDOWN_TIMEOUT_SECONDS="0.5")
    wait_until(lambda: _ticks(jobs, "often") != [])
    began = time.monotonic()
    code, told = _end(process)
    assert code == 1, told
    assert "with jobs in progress: nap" in told
    assert time.monotonic() - began < 20


def test_what_the_database_could_not_be_told_is_no_good_end(
    jobs: Project, start: Callable[..., subprocess.Popen[str]]
) -> None:
    """A job ends while the database is away, and so does the worker: exit 1, and the job is named."""
    jobs.write(
        "jobs/mine.py",
        JOBS.replace("def send(self, job):", "def send(self, job):\n        time.sleep(1.5)"),
    )
    process = start(UPGRADER_WORKER__SHUTDOWN_TIMEOUT_SECONDS="2")
    assert jobs.run_cli("jobs", "trigger", "letter").returncode == 0
    at_work = "select from upgrader_worker.procrastinate_jobs where task_name = 'send' and status = 'doing'"
    wait_until(lambda: jobs.query(at_work) != [])
    with nobody_let_in(jobs.database_url):
        code, told = _end(process)
    assert code == 1, told
    assert "job send has ended, and the database could not be told" in told
    assert "nothing is left half done" not in told
    assert "Traceback" not in told
    assert len(jobs.query(at_work)) == 1


def test_a_second_signal_ends_it_at_once(jobs: Project, start: Callable[..., subprocess.Popen[str]]) -> None:
    """Exit 143; the same signal twice in a moment, as `timeout` sends it, is one."""
    jobs.write(
        "jobs/mine.py",
        JOBS.replace('@scheduled_job(name="nap")', '@scheduled_job(name="nap", run_on_start=True)').replace(
            "sleep(2)", "sleep(600)"
        ),
    )
    process = start()
    wait_until(lambda: _ticks(jobs, "often") != [])
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.0)
    code, _ = _end(process)
    assert code == 143


def test_files_of_variables(jobs: Project) -> None:
    """`.env.local` wins over `.env`, the real environment over both; other verbs do not read them."""
    jobs.write(".env", "MAIL_KEY=from-env\nUPGRADER_SCHEMA=one\nA='$HOME ${B}'\n")
    jobs.write(".env.local", "UPGRADER_SCHEMA=two\n")
    assert jobs.run_cli("jobs", "trigger", "letter").returncode == 0
    payloads = "select args->'payload'->>'key' from two_worker.procrastinate_jobs order by id"
    assert jobs.query(payloads) == [("from-env",)]
    done = jobs.run_cli("jobs", "trigger", "letter", env={"MAIL_KEY": "from-outside"})
    assert done.returncode == 0, done.stderr
    assert jobs.query(payloads) == [("from-env",), ("from-outside",)]
    assert jobs.run_cli("upgrade").returncode == 0
    assert jobs.query("select to_regnamespace('two') is null, to_regnamespace('upgrader') is not null") == [
        (True, True)
    ]


def test_log_lines_as_json(jobs: Project, start: Callable[..., subprocess.Popen[str]]) -> None:
    """Each line of stderr is an object, also of what came before the logger was set up, prints and warnings."""
    jobs.write(".env", "UPGRADER_NO_SUCH_KEY=1\n")
    process = start("--log-format", "json")
    wait_until(lambda: len(_ticks(jobs, "often")) >= 2)
    jobs.run_cli("jobs", "trigger", "letter")
    wait_until(
        lambda: (
            jobs.query(
                "select 1 from upgrader_worker.procrastinate_jobs where task_name = 'send' and status = 'succeeded'"
            )
            != []
        )
    )
    code, told = _end(process)
    assert code == 0
    lines = [json.loads(line) for line in told.splitlines()]
    by_message = {line["message"]: line for line in lines}
    assert by_message["variables of .env are read"]["logger"] == "upgrader.worker"
    assert "unknown variable UPGRADER_NO_SUCH_KEY is left out" in told
    assert "printed by often" in by_message
    sending = by_message["sending to you"]
    assert (sending["logger"], sending["job"], sending["queue"]) == ("mine", "send", "mail")
    assert isinstance(sending["job_id"], int)
    assert sending["level"] == "info"


def test_lines_need_not_be_kept(jobs: Project, start: Callable[..., subprocess.Popen[str]]) -> None:
    """`log_buffered = false`: what came before the format was known is plain text, and not lost either."""
    jobs.write(".env", "X=1\n")
    process = start("--log-format", "json", UPGRADER_WORKER__LOG_BUFFERED="false")
    wait_until(lambda: _ticks(jobs, "often") != [])
    _, told = _end(process)
    first, second, *_ = told.splitlines()
    assert first.endswith("INFO    upgrader.worker: variables of .env are read")
    assert json.loads(second)["logger"] == "upgrader.worker"


def test_an_error_as_json(jobs: Project) -> None:
    """A start that is refused is a line of that kind, too, with its hint."""
    jobs.write(
        "jobs/wrong.py", "from upgrader.worker import scheduled_job\n@scheduled_job(cron='x')\ndef f(): ...\n"
    )
    done = jobs.run_cli("worker", "--log-format", "json")
    assert done.returncode == 2
    (line,) = [json.loads(line) for line in done.stderr.splitlines() if json.loads(line)["level"] == "error"]
    assert "1 problem in the modules of jobs" in line["message"]
    assert "jobs/wrong.py:2" in line["message"]


def test_all_that_is_wrong_is_told_at_once(jobs: Project) -> None:
    """Exit 2, with the line of each; nothing was started, no table was made."""
    jobs.write(
        "jobs/wrong.py",
        """
        from upgrader.worker import scheduled_job

        @scheduled_job(name="often", cron="0 3 * * *", interval=5)
        def both(): ...

        @scheduled_job(cron="99 * * * *", timezone="Mars/Olympus")
        def wrong(): ...
        """,
    )
    done = jobs.run_cli("worker")
    assert done.returncode == 2
    assert "4 problems in the modules of jobs" in done.stderr
    for text in (
        "2 jobs are called 'often'",
        "job 'often': it has both cron and interval",
        "job 'wrong': timezone='Mars/Olympus' is no time zone",
        "jobs/wrong.py:4",
        "jobs/wrong.py:7",
        "jobs/mine.py:8",
    ):
        assert text in done.stderr, text
    assert "Traceback" not in done.stderr
    assert jobs.query("select to_regnamespace('upgrader_worker') is null") == [(True,)]


def test_a_database_that_is_not_there(jobs: Project) -> None:
    """Exit 2 as it starts, with words, and without the password."""
    done = jobs.run_cli("worker", env={"UPGRADER_DATABASE_URL": "postgresql://me:hush@127.0.0.1:1/nowhere"})
    assert done.returncode == 2
    assert "error: cannot connect to me@127.0.0.1:1/nowhere" in done.stderr
    assert "hint:" in done.stderr
    assert "hush" not in done.stderr


@pytest.mark.parametrize(
    ("missing", "verb"), [("apscheduler", ["worker"]), ("apscheduler", ["jobs", "trigger", "often"])]
)
def test_what_is_not_installed_is_named(jobs: Project, missing: str, verb: list[str]) -> None:
    """Without the scheduler's clock: exit 2, and what to type."""
    jobs.write("hidden/sitecustomize.py", _hiding(missing))
    done = jobs.run_cli(*verb, env={"PYTHONPATH": str(jobs.directory / "hidden")})
    assert done.returncode == 2
    assert "pip install 'upgrader[worker]'" in done.stderr


def test_without_a_queue_jobs_run_in_the_worker(
    jobs: Project, start: Callable[..., subprocess.Popen[str]]
) -> None:
    """The extra is not there: jobs that name a queue run inline, handlers are not registered, all else works."""
    jobs.write("jobs/mine.py", JOBS.replace('name="letter"', 'name="letter", interval=0.5'))
    jobs.write("hidden/sitecustomize.py", _hiding("procrastinate"))
    process = start(PYTHONPATH=str(jobs.directory / "hidden"))
    wait_until(lambda: len(_ticks(jobs, "letter")) >= 2)
    code, told = _end(process)
    assert code == 0, told
    assert "scheduler on, queue off" in told
    assert "job letter (Jobs.letter): every 0.5 s\n" in told
    assert (
        "worker.startup.scheduler (WorkerLifecycleJob.announce_startup): manual, on start, switched off"
        in told
    )
    assert "(WorkerLifecycleJob.heartbeat): cron */30 * * * * *, switched off" in told
    assert "queue worker Mail handles" not in told
    assert {outcome for *_, outcome in _ticks(jobs, "letter")} <= {"done", "running"}
    assert jobs.query("select to_regclass('upgrader_worker.procrastinate_jobs')") == [(None,)]
    refused = jobs.run_cli("worker", "--queues", "mail", env={"UPGRADER_WORKER__QUEUE_ENABLED": "false"})
    assert refused.returncode == 2


def test_without_a_scheduler_no_ticks_are_fired(
    jobs: Project, start: Callable[..., subprocess.Popen[str]]
) -> None:
    """`--no-scheduler`, or `scheduler_enabled = false`: nor runs at the start; queues are worked on all the same."""
    jobs.write("jobs/more.py", NAP_UNTIL_STOPPED.join((JOBS.partition("class")[0], "")))
    process = start("--no-scheduler", "--queues", "mail", "--concurrency", "3")
    other = start(UPGRADER_WORKER__SCHEDULER_ENABLED="false")
    done = (
        "select 1 from upgrader_worker.procrastinate_jobs where task_name = 'send' and status = 'succeeded'"
    )
    jobs.run_cli("jobs", "trigger", "letter")
    wait_until(lambda: jobs.query(done) != [])
    wait_until(lambda: jobs.query("select count(*) from upgrader_worker.worker") == [(2,)])
    found = document(jobs.run_cli("worker", "status", "--json"))
    told = {(one["scheduler"], one["concurrency"], tuple(one["queues"])) for one in found["workers"]}
    every = ("mail", "upgrader-distributed", "worker-default")
    assert told == {(False, 3, ("mail",)), (False, 10, every)}
    assert "scheduler off" in _end(process)[1]
    assert "scheduler off" in _end(other)[1]
    assert jobs.query("select count(*) from upgrader_worker.tick") == [(0,)]
    assert jobs.query("select distinct task_name from upgrader_worker.procrastinate_jobs") == [("send",)]
    assert not (jobs.directory / "napping").exists()


def test_each_tick_once_whoever_is_killed(jobs: Project, start: Callable[..., subprocess.Popen[str]]) -> None:
    """Four workers, three of them SIGKILLed in turns and replaced: no tick is fired twice, and they go on coming.

    The job notes each run in a table without a key: a second run of a tick would be a row too many.
    """
    with jobs.connect() as connection:
        connection.execute("create table run (worker int)")
    jobs.write(
        "jobs/mine.py",
        f"""
        import os
        import psycopg
        from upgrader.worker import scheduled_job

        @scheduled_job(cron="* * * * * *", name="secondly", prevent_overlap=False)
        def secondly():
            with psycopg.connect({jobs.database_url!r}) as connection:
                connection.execute("insert into run values (%s)", [os.getpid()])
        """,
    )
    workers = [start() for _ in range(4)]
    wait_until(lambda: len(_ticks(jobs, "secondly")) >= 2)
    kills = 6
    for turn in range(kills):
        victim = 1 + turn % 3
        workers[victim].kill()
        workers[victim].wait()
        workers[victim] = start()
        time.sleep(1)  # the ticks' own rhythm
    alive = "select count(*) from upgrader_worker.worker where pid = any(%s)"
    wait_until(lambda: jobs.query(alive, [worker.pid for worker in workers]) == [(4,)])
    for worker in workers:
        assert _end(worker)[0] == 0
    due = [one for one, *_ in _ticks(jobs, "secondly")]
    ((runs,),) = jobs.query("select count(*) from run")
    assert len(due) - kills <= runs <= len(due)
    assert all(one.microsecond == 0 for one in due)
    assert max((two - one).total_seconds() for one, two in pairwise(due)) <= 20
    assert len({worker for _, worker, _ in _ticks(jobs, "secondly")}) > 1


def test_each_queued_tick_once_whoever_is_killed(
    jobs: Project, start: Callable[..., subprocess.Popen[str]]
) -> None:
    """Three workers, one of them SIGKILLed every second: for each tick one job, and each job is done in the end."""
    jobs.write("jobs/mine.py", JOBS.replace('name="letter"', 'name="letter", cron="* * * * * *"'))
    quick = {
        "UPGRADER_WORKER__HEARTBEAT_SECONDS": "0.5",
        "UPGRADER_WORKER__STALLED_SECONDS": "2",
        "UPGRADER_WORKER__RESCUE_SECONDS": "0.5",
        "UPGRADER_WORKER__POLL_SECONDS": "0.5",
    }
    workers = [start(**quick) for _ in range(3)]
    wait_until(lambda: len(_ticks(jobs, "letter")) >= 2)
    for turn in range(4):
        workers[turn % 3].kill()
        workers[turn % 3].wait()
        workers[turn % 3] = start(**quick)
        time.sleep(1)  # the ticks' own rhythm
    calm = len(_ticks(jobs, "letter")) + 3
    wait_until(lambda: len(_ticks(jobs, "letter")) >= calm)
    stopped = start("--no-scheduler", **quick)
    alive = "select count(*) from upgrader_worker.worker where pid = any(%s)"
    wait_until(lambda: jobs.query(alive, [worker.pid for worker in workers]) == [(3,)])
    for worker in workers:
        assert _end(worker)[0] == 0
    jobs.query("delete from upgrader_worker.worker where pid <> %s returning 1", stopped.pid)
    sent = "select count(*), count(*) filter (where status = 'succeeded') from upgrader_worker.procrastinate_jobs"
    wait_until(lambda: (found := jobs.query(f"{sent} where task_name = 'send'")[0])[0] == found[1])
    wait_until(lambda: jobs.query("select pid from upgrader_worker.worker") == [(stopped.pid,)])
    assert _end(stopped)[0] == 0
    ticks = _ticks(jobs, "letter")
    assert {outcome for *_, outcome in ticks} == {"queued"}
    assert jobs.query(f"{sent} where task_name = 'send'") == [(len(ticks), len(ticks))]


def test_it_lives_through_a_database_that_goes_away(
    jobs: Project, start: Callable[..., subprocess.Popen[str]]
) -> None:
    """Nobody is let in for a while: scheduler, queue and registry say so, and go on afterwards."""
    process = start(UPGRADER_WORKER__HEARTBEAT_SECONDS="0.3", UPGRADER_WORKER__POLL_SECONDS="0.5")
    wait_until(lambda: len(_ticks(jobs, "often")) >= 2)
    with nobody_let_in(jobs.database_url):
        time.sleep(2)  # the outage
    before = len(_ticks(jobs, "often"))
    wait_until(lambda: len(_ticks(jobs, "often")) >= before + 3)
    assert jobs.run_cli("jobs", "trigger", "letter").returncode == 0
    done = (
        "select 1 from upgrader_worker.procrastinate_jobs where task_name = 'send' and status = 'succeeded'"
    )
    wait_until(lambda: jobs.query(done) != [])
    wait_until(
        lambda: (
            jobs.query("select seen_at > now() - interval '1 second' from upgrader_worker.worker")
            == [(True,)]
        )
    )
    code, told = _end(process)
    assert code == 0, told
    assert told.count("the scheduler cannot use its database") == 1
    assert "the scheduler can use its database again" in told
    assert "Traceback" not in told


def test_a_worker_that_slept_fires_the_latest_tick_alone(
    jobs: Project, start: Callable[..., subprocess.Popen[str]]
) -> None:
    """It is stopped for three seconds, as a machine that sleeps is: of six ticks that it missed one is made up for."""
    process = start()
    wait_until(lambda: len(_ticks(jobs, "often")) >= 3)
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(3)  # the sleep of the machine
    before = len(_ticks(jobs, "often"))
    os.kill(process.pid, signal.SIGCONT)
    wait_until(lambda: len(_ticks(jobs, "often")) >= before + 3)
    assert _end(process)[0] == 0
    due = [row[0] for row in _ticks(jobs, "often")]
    gaps = [(two - one).total_seconds() for one, two in pairwise(due)]
    assert sorted(gaps)[-1] >= 2.5
    assert sorted(gaps)[-2] <= 1.0


def test_trigger(jobs: Project) -> None:
    """Inline, into a queue, a failure, a run that goes on elsewhere, a name that is not there."""
    jobs.write(
        "jobs/more.py",
        """
        import pathlib, time
        from upgrader.worker import scheduled_job
        @scheduled_job(retries=0)
        def fails(): raise ValueError("no luck")
        @scheduled_job()
        def holds():
            while not pathlib.Path("go-on").exists(): time.sleep(0.05)
        """,
    )
    done = jobs.run_cli("jobs", "trigger", "often")
    assert (done.returncode, "job often done in" in done.stdout) == (0, True)
    assert "printed by often" in done.stderr
    queued = document(jobs.run_cli("jobs", "trigger", "letter", "--json"))
    assert (queued["run"], queued["queue"], queued["queue_job_id"]) == ("queued", "mail", 1)
    failed = jobs.run_cli("jobs", "trigger", "fails")
    assert failed.returncode == 1
    assert "error: job fails failed: ValueError: no luck" in failed.stderr
    nobody = jobs.run_cli("jobs", "trigger", "oftn")
    assert (nobody.returncode, "there are: fails, holds, letter, nap, often" in nobody.stderr) == (2, True)
    holding = jobs.start_cli("jobs", "trigger", "holds")
    locked = (
        "select 1 from pg_locks where locktype = 'advisory' and granted"
        " and database = (select oid from pg_database where datname = current_database())"
    )
    wait_until(lambda: jobs.query(locked) != [])
    second = jobs.run_cli("jobs", "trigger", "holds")
    assert (second.returncode, "a run of it goes on" in second.stderr) == (3, True)
    jobs.write("go-on", "")
    assert holding.communicate(timeout=60)[0].startswith("job holds done")


def test_a_signal_ends_what_was_triggered(jobs: Project) -> None:
    """SIGTERM, exit 143; Ctrl-C, exit 130, also as JSON; both with a word; the lock is free again."""
    jobs.write("jobs/mine.py", JOBS.replace("time.sleep(2)", "print('napping') or time.sleep(600)"))
    for number, expected in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        napping = jobs.start_cli("jobs", "trigger", "nap")
        assert napping.stderr is not None
        assert "napping" in napping.stderr.readline()
        code, told = _end(napping, number)
        assert (code, "error: " in told) == (expected, True), told
    for number, expected in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        napping = jobs.start_cli("jobs", "trigger", "nap", "--json")
        assert napping.stderr is not None
        assert "napping" in napping.stderr.readline()
        napping.send_signal(number)
        out, told = napping.communicate(timeout=60)
        document = json.loads(out)
        assert (document["outcome"], document["exit_code"]) == ("interrupted", expected), told
        assert napping.returncode == expected


def _hiding(package: str) -> str:
    """Give a module that lets a package look as if it were not installed."""
    return f"""
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name == {package!r} or name.startswith({package + "."!r}):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
        return None

import importlib.util
_found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == {package!r} else _found(name, package)
sys.meta_path.insert(0, Hidden())
"""
