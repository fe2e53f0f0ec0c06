"""`upgrader worker` in an application: what it makes, what it works on, and how it ends."""

from __future__ import annotations

import signal

import pytest

from tests.support.project import Project
from tests.support.results import document
from tests.support.server import wait_until
from tests.support.workers import working

MAIL = """
import logging, os, time
from pathlib import Path
from upgrader.worker import QueueWorkerHost, queue_job_handler, queue_worker, scheduled_job


@queue_worker("mail")
class Mail(QueueWorkerHost):
    def __init__(self):
        print("a Mail is made")
        self.letters = 0

    @scheduled_job(name="letter", interval=0.5, queue_name="mail", queue_job_name="send")
    def letter(self):
        self.letters += 1
        return {"to": "you"}

    @queue_job_handler("send")
    def send(self, job):
        print("sent, of letters:", "some" if self.letters else "none")
"""

_SENT = "select from upgrader_worker.procrastinate_jobs where task_name = %s and status = 'succeeded'"


@pytest.fixture
def mailing(project: Project) -> Project:
    """A project whose modules have one class: with a scheduled job, and the handler of what it returns."""
    project.write("jobs/mail.py", MAIL)
    project.configure(worker={"modules": ["jobs"]})
    return project


def test_a_class_is_made_once_as_it_starts(mailing: Project) -> None:
    """One instance has the scheduled job and the handler; it is there before anything is fired."""
    with working(mailing) as worker:
        wait_until(lambda: len(mailing.query(_SENT, "send")) >= 2)
        told = worker.end()
    assert told.count("a Mail is made") == 1
    assert told.index("a Mail is made") < told.index("scheduler on, queue on")
    assert "sent, of letters: some" in told
    assert "sent, of letters: none" not in told


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_either_signal_lets_a_queues_job_finish(mailing: Project, number: signal.Signals) -> None:
    """It is done as the process ends, and has not been begun anew."""
    slow = 'Path("begun").touch(); time.sleep(2); print("at its end")'
    mailing.write("jobs/mail.py", MAIL.replace('print("sent', f'{slow}; print("sent'))
    with working(mailing, "--no-scheduler") as worker:
        assert mailing.run_cli("jobs", "trigger", "letter").returncode == 0
        wait_until((mailing.directory / "begun").exists)
        told = worker.end(number)
    assert f"{number.name}: stopping; jobs in progress, which have 30 s to finish: send" in told
    assert told.count("at its end") == 1
    assert mailing.query(
        "select status::text, attempts from upgrader_worker.procrastinate_jobs where task_name = 'send'"
    ) == [("succeeded", 1)]


def test_jobs_use_the_applications_database(project: Project) -> None:
    """Tokens that run out are refreshed by a job of the application's own, as far as the scheduler is on."""
    with project.connect() as connection:
        connection.execute("create table token (id int primary key, expires_at timestamptz not null)")
        connection.execute("insert into token values (1, now()), (2, now() + interval '1 day')")
    project.write(
        "jobs/tokens.py",
        f"""
        from sqlalchemy import create_engine, text
        from upgrader.worker import scheduled_job

        engine = create_engine({project.database_url.replace("postgresql://", "postgresql+psycopg://")!r})

        @scheduled_job(name="tokens.refresh", interval=0.5, run_on_start=True)
        def refresh():
            with engine.begin() as connection:
                connection.execute(text(
                    "update token set expires_at = now() + interval '1 hour' where expires_at < now()"
                ))
        """,
    )
    project.configure(worker={"modules": ["jobs"]})
    expired = "select id from token where expires_at < now()"
    with working(project, UPGRADER_WORKER__SCHEDULER_ENABLED="false") as worker:
        assert "scheduler off" in worker.end()
    assert project.query(expired) == [(1,)]
    with working(project):
        wait_until(lambda: project.query(expired) == [])
    assert project.query("select count(*) from token") == [(2,)]


def test_the_default_queue_is_that_of_whatever_names_none(mailing: Project) -> None:
    """Of a scheduled job with the name of a queue's job alone, and of a host whose decorator names no queue."""
    nameless = MAIL.replace('queue_worker("mail")', "queue_worker()").replace('queue_name="mail", ', "")
    mailing.write("jobs/mail.py", nameless)
    with working(mailing, UPGRADER_WORKER__DEFAULT_QUEUE="ours"):
        wait_until(lambda: mailing.query(f"{_SENT} and queue_name = 'ours'", "send") != [])
    assert mailing.query("select distinct queue_name from upgrader_worker.procrastinate_jobs") == [("ours",)]


def test_more_queues_may_be_worked_on_than_the_modules_name(mailing: Project) -> None:
    """`queues`: what comes there is taken, and fails where nobody handles it; it is not left to wait for ever."""
    mailing.configure(worker={"modules": ["jobs"], "queues": ["letters"]})
    mailing.write(
        "jobs/mail.py", MAIL.replace("interval=0.5, ", "").replace('_name="mail"', '_name="letters"')
    )
    failed = "select queue_name from upgrader_worker.procrastinate_jobs where status = 'failed'"
    with working(mailing) as worker:
        (found,) = document(mailing.run_cli("worker", "status", "--json"))["workers"]
        assert found["queues"] == ["letters", "mail", "upgrader-distributed", "worker-default"]
        assert mailing.run_cli("jobs", "trigger", "letter").returncode == 0
        wait_until(lambda: mailing.query(failed) == [("letters",)])
        assert "no handler of 'send' in queue 'letters'; its handlers are: none" in worker.end()


def test_a_queue_that_nothing_names_is_warned_of(mailing: Project) -> None:
    """It may be misspelt, and it may be that of workers with other code: it is worked on all the same."""
    mailing.configure(worker={"modules": ["jobs"], "queues": ["letters"]})
    with working(mailing, "--queues", "mial,mail,letters") as worker:
        (found,) = document(mailing.run_cli("worker", "status", "--json"))["workers"]
        told = worker.end()
    (warning,) = [line for line in told.splitlines() if " WARNING " in line]
    assert "--queues names mial, which no handler, no scheduled job and no setting of this worker" in warning
    assert warning.endswith("there are: letters, mail, upgrader-distributed, worker-default")
    assert found["queues"] == ["letters", "mail", "mial"]
    with working(mailing, "--queues", "mail") as worker:
        assert "WARNING" not in worker.end()
