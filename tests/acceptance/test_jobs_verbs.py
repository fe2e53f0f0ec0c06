"""Jobs of the queues, looked at and told what to do on the command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.project import Project
from tests.support.results import assert_code, assert_error, document
from tests.support.server import Role
from tests.support.worker_queue import SCHEMA, QueueGround
from upgrader.worker.options import Backoff


@pytest.fixture
def ground(project: Project) -> QueueGround:
    """A queue with one job of each state; `6` waits."""
    connection = project.connect()
    made = QueueGround.make(project.database_url, connection)
    add = made.queue.add
    for name, status in (("done", "succeeded"), ("broken", "failed")):
        number = add("mails", name, {"to": "a@b.example"}, attempts=2, backoff=Backoff.exponential(30))
        made.start()
        made.finish(number or 0, status)
    connection.execute(
        f"insert into {SCHEMA}.job_error (job_id, attempt, message) values (2, 1, %s)".encode(),
        ["OSError: no route\n to host"],
    )
    add("letters", "working")
    made.start()
    add("letters", "later", delay=3570)
    cancelled = add("letters", "unwanted")
    connection.execute(f"select {SCHEMA}.procrastinate_cancel_job_v1(%s, true, false)".encode(), [cancelled])
    add("mails", "next", id="one", priority=3)
    return made


def listed(project: Project, *flags: str) -> list[dict[str, Any]]:
    """Give what `jobs list` tells."""
    found: list[dict[str, Any]] = document(project.run_cli("jobs", "list", *flags, "--json"))["jobs"]
    return found


def test_a_database_without_a_queue(project: Project) -> None:
    """Nothing is made, and that nothing is there is no error; of one job it is."""
    result = project.run_cli("jobs", "list")
    assert_code(result, 0)
    assert result.stdout == "no such job is in the queues\n"
    assert project.run_cli("jobs", "queues").stdout == "no job is in any queue\n"
    assert_error(project.run_cli("jobs", "show", "1"), 2, "there is no queue", "upgrader worker")
    assert project.query("select from pg_namespace where nspname = 'upgrader_worker'") == []


def test_jobs_are_listed_the_newest_first(project: Project, ground: QueueGround) -> None:
    """Each with its state; a failed one with the first line of its error."""
    assert [(one["id"], one["name"], one["status"]) for one in listed(project)] == [
        (6, "next", "waiting"),
        (5, "unwanted", "cancelled"),
        (4, "later", "delayed"),
        (3, "working", "running"),
        (2, "broken", "failed"),
        (1, "done", "succeeded"),
    ]
    text = project.run_cli("jobs", "list", env={"COLUMNS": "140"}).stdout
    assert "1 of 2" in text
    assert "OSError: no route" in text
    assert "due in 59 min" in text


def test_the_list_fits_sixty_columns(project: Project, ground: QueueGround) -> None:
    """A few lines for each job, none longer than the terminal."""
    text = project.run_cli("jobs", "list", env={"COLUMNS": "60"}).stdout
    assert max(map(len, text.splitlines())) <= 60
    assert "2  broken\n  mails, added" in text
    assert "OSError: no route" in text
    narrow = project.run_cli("jobs", "queues", env={"COLUMNS": "60"}).stdout
    assert max(map(len, narrow.splitlines())) <= 60
    assert "1 waiting, the oldest for" in narrow


@pytest.mark.parametrize(
    ("flags", "numbers"),
    [
        (["--queue", "letters"], [5, 4, 3]),
        (["--name", "broken"], [2]),
        (["--status", "failed"], [2]),
        (["--status", "delayed"], [4]),
        (["--status", "waiting"], [6]),
        (["--status", "cancelled"], [5]),
        (["--queue", "mails", "--status", "running"], []),
        (["--limit", "2"], [6, 5]),
    ],
)
def test_jobs_are_chosen(project: Project, ground: QueueGround, flags: list[str], numbers: list[int]) -> None:
    """By queue, name, state; and cut."""
    assert [one["id"] for one in listed(project, *flags)] == numbers


def test_there_are_more_than_the_limit(project: Project, ground: QueueGround) -> None:
    """Which is said."""
    assert document(project.run_cli("jobs", "list", "--limit", "2", "--json"))["has_more"] is True
    assert "there are more than these 2" in project.run_cli("jobs", "list", "--limit", "2").stdout


def test_an_unknown_state_is_refused(project: Project) -> None:
    """With those that there are."""
    assert_error(project.run_cli("jobs", "list", "--status", "broken"), 2, "'broken'", "--help")


def test_one_job_with_all_that_is_known(project: Project, ground: QueueGround) -> None:
    """Payload and error included."""
    found = document(project.run_cli("jobs", "show", "2", "--json"))["job"]
    assert found["payload"] == {"to": "a@b.example"}
    assert found["error"] == "OSError: no route\n to host"
    assert (found["tries"], found["attempts"]) == (1, 2)
    assert found["backoff"] == {"delay_seconds": 30.0, "factor": 2.0, "max_seconds": 86400.0}
    text = project.run_cli("jobs", "show", "2").stdout
    assert "job 2: broken\n  queue: mails\n  state: failed\n  tries: 1 of 2" in text
    assert '"to": "a@b.example"' in text
    assert "id among the waiting: one" in project.run_cli("jobs", "show", "6").stdout


def test_a_payload_is_shown_without_its_secrets(project: Project, ground: QueueGround) -> None:
    """Neither as text nor as JSON, where names and values are written one by one."""
    payload = {"api_key": "hunter2", "token": ["hunter2", {"of": "hunter2"}], "to": "a@b.example", "pin": 1}
    number = str(ground.queue.add("mails", "secretive", payload))
    told = {"api_key": "***", "token": ["***", {"of": "***"}], "to": "a@b.example", "pin": 1}
    shown = project.run_cli("jobs", "show", number, "--json")
    assert document(shown)["job"]["payload"] == told
    assert listed(project, "--name", "secretive")[0]["payload"] == told
    assert "hunter2" not in project.run_cli("jobs", "show", number).stdout


def test_a_job_that_is_not_there(project: Project, ground: QueueGround) -> None:
    """For every verb that takes one."""
    for verb in ("show", "retry", "cancel"):
        assert_error(project.run_cli("jobs", verb, "99"), 2, "there is no job 99", "jobs list")
    assert_error(project.run_cli("jobs", "show", "next"), 2, "valid integer", "--help")


def test_a_failed_job_is_tried_again(project: Project, ground: QueueGround) -> None:
    """It waits then; asked again, nothing changes; a worker takes it."""
    assert project.run_cli("jobs", "retry", "2").stdout == "job 2 (broken) waits again\n"
    assert project.run_cli("jobs", "retry", "2").stdout == "job 2 (broken) waits already\n"
    assert document(project.run_cli("jobs", "retry", "5", "--json"))["changed"] is True
    assert ground.start("mails") == 6
    assert ground.start("mails") == 2


def test_only_what_failed_or_was_cancelled_is_tried_again(project: Project, ground: QueueGround) -> None:
    """Not what is being worked on, nor what has succeeded."""
    assert_error(project.run_cli("jobs", "retry", "3"), 2, "is being worked on", "--status failed")
    assert_error(project.run_cli("jobs", "retry", "1"), 2, "has succeeded", "--status failed")


def test_a_waiting_job_is_cancelled(project: Project, ground: QueueGround) -> None:
    """It is not begun, its id is free; one that is over cannot be cancelled."""
    assert project.run_cli("jobs", "cancel", "6").stdout == "job 6 (next) is cancelled\n"
    assert_error(project.run_cli("jobs", "cancel", "6"), 2, "it was cancelled", "--status waiting")
    assert ground.queue.add("mails", "next", id="one") is not None


def test_a_job_at_work_is_asked_to_end(project: Project, ground: QueueGround) -> None:
    """Once; it is running until it ends."""
    assert "is asked to end: a coroutine is cancelled" in project.run_cli("jobs", "cancel", "3").stdout
    again = document(project.run_cli("jobs", "cancel", "3", "--json"))
    assert again["changed"] is False
    assert (again["job"]["status"], again["job"]["is_cancelling"]) == ("running", True)


def test_queues_are_counted(project: Project, ground: QueueGround) -> None:
    """Each state of each queue."""
    found = document(project.run_cli("jobs", "queues", "--json"))["queues"]
    letters, mails = ({**one, "oldest_seconds": one["oldest_seconds"] is not None} for one in found)
    assert letters == {
        "name": "letters", "waiting": 0, "delayed": 1, "running": 1, "succeeded": 0, "failed": 0, "cancelled": 1,
        "oldest_seconds": False,
    }  # fmt: skip
    assert mails == {
        "name": "mails", "waiting": 1, "delayed": 0, "running": 0, "succeeded": 1, "failed": 1, "cancelled": 0,
        "oldest_seconds": True,
    }  # fmt: skip
    assert "letters" in project.run_cli("jobs", "queues").stdout


def test_a_role_without_rights_is_told_what_to_do(
    project: Project, ground: QueueGround, make_role: Callable[..., Role]
) -> None:
    """Its password is not shown."""
    role = make_role()
    result = project.run_cli("jobs", "list", env={"UPGRADER_DATABASE_URL": role.url(project.database_url)})
    assert_error(result, 2, "may not use the queue", "GRANT USAGE ON SCHEMA")
    assert role.password not in result.stderr


@pytest.mark.parametrize(("verb", "number"), [("retry", "2"), ("cancel", "4")])
def test_nothing_is_changed_on_a_connection_that_is_read_only(
    project: Project, ground: QueueGround, verb: str, number: str
) -> None:
    """It is refused, in words that are about jobs and not about a run."""
    url = project.database_url
    url += f"{'&' if '?' in url else '?'}options=-cdefault_transaction_read_only%3Don"
    result = project.run_cli("jobs", verb, number, env={"UPGRADER_DATABASE_URL": url})
    assert_error(result, 2, "the connection is read-only", "URL of the primary")
    assert document(project.run_cli("jobs", "list", "--status", "failed", "--json"))["jobs"][0]["id"] == 2


def test_a_control_character_of_a_job_steers_no_terminal(project: Project, ground: QueueGround) -> None:
    """Payloads come from anywhere."""
    number = ground.queue.add("mails", "send", {"x": "\x1b[31mred"})
    result = project.run_cli("jobs", "show", str(number))
    assert_code(result, 0)
    assert "\x1b" not in result.stdout


def test_environment_files_are_read(project: Project, ground: QueueGround) -> None:
    """As by the worker: `.env.local` goes before `.env`, the real environment before both."""
    schema = "UPGRADER_SCHEMA"
    project.write(".env", f"{schema}=elsewhere\n")
    assert listed(project) == []
    project.write(".env.local", f"{schema}=upgrader\n")
    assert len(listed(project)) == 6
    assert document(project.run_cli("jobs", "list", "--json", env={schema: "elsewhere"}))["jobs"] == []
