"""Webhooks by a worker process: from what an upgrade does to a server that receives it."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.project import Project
from tests.support.receiver import Answer, Receiver, receiving
from tests.support.server import wait_until
from upgrader.worker import is_signed

SECRET = "0123456789abcdef"
MODULE = f"""
import os
from upgrader.worker import Backoff, QueueJobOptions, WebhookEndpoint, Webhooks

hooks = Webhooks(
    [
        WebhookEndpoint(
            name, os.environ["HOOK_URL"] + "/" + name, "{SECRET}", patterns=patterns,
            allow_http=True, allowed_networks=("127.0.0.0/8",),
        )
        for name, patterns in (("crm", ("workspace.*",)), ("billing", ("*.upgraded",)), ("other", ("person.*",)))
    ]
    + [WebhookEndpoint("inside", os.environ["HOOK_URL"] + "/inside", "{SECRET}", allow_http=True)],
    options=QueueJobOptions(attempts=3, backoff=Backoff(0.1)),
)
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A server on loopback."""
    with receiving() as running:
        yield running


@pytest.fixture
def worker(project: Project, receiver: Receiver) -> Iterator[subprocess.Popen[str]]:
    """A worker of the project, ended properly."""
    project.create_workspaces("acme")
    project.workspace("1.0.0", 1, "Fill")
    project.write("subscribers/hooks.py", MODULE)
    project.configure(worker={"modules": ["subscribers"], "poll_seconds": 0.2, "heartbeat_enabled": False})
    process = project.start_cli("worker", "--no-scheduler", env={"HOOK_URL": receiver.url("")})
    yield process
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)


def test_webhooks_of_an_upgrade(project: Project, receiver: Receiver, worker: subprocess.Popen[str]) -> None:
    """Each endpoint that wants it is sent it, one that fails is tried again by itself, one that is private never."""
    failing = Answer(500)
    receiver.answers["/crm"] = failing

    def heal() -> None:
        if sum(request.path == "/crm" for request in receiver.requests) > 1:
            failing.status = 204

    failing.before = heal
    done = project.run_cli("upgrade", env={"HOOK_URL": receiver.url("")})
    assert done.returncode == 0, done.stderr
    over = (
        "select count(*) filter (where status in ('todo', 'doing')), count(*) filter (where status = 'failed')"
        " from upgrader_worker.procrastinate_jobs where queue_name = 'workspace-events'"
    )
    wait_until(lambda: project.query(over)[0][0] == 0)
    told = {
        (request.path, request.headers["Upgrader-Event"]): request.headers["Upgrader-Delivery"]
        for request in receiver.requests
    }
    assert set(told) == {("/crm", "workspace.upgraded"), ("/billing", "workspace.upgraded")}
    assert len(set(told.values())) == 1
    assert [request.path for request in receiver.requests].count("/crm") == 2
    for request in receiver.requests:
        assert is_signed(SECRET, request.body, request.headers["Upgrader-Signature"])
        assert json.loads(request.body)["workspace_id"] == "acme"
    errors = project.query(
        "select message from upgrader_worker.job_error join upgrader_worker.procrastinate_jobs"
        " on id = job_id where status = 'failed'"
    )
    assert errors
    assert all("127.0.0.1 of 127.0.0.1 is not public" in message for (message,) in errors)
    assert SECRET not in str(project.query("select args::text from upgrader_worker.procrastinate_jobs"))


LIMITED = MODULE.replace("allow_http", "max_concurrency=2, allow_http")


def test_limits_of_an_endpoint_hold_over_all_workers(project: Project, receiver: Receiver) -> None:
    """Two workers together send no more at a time than an endpoint takes; all of it arrives."""
    count = 16
    project.create_workspaces(*(f"w{number}" for number in range(count)))
    project.workspace("1.0.0", 1, "Fill")
    project.write("subscribers/hooks.py", LIMITED)
    project.configure(worker={"modules": ["subscribers"], "poll_seconds": 0.2, "heartbeat_enabled": False})
    environment = {"HOOK_URL": receiver.url("")}
    at_work = [0]
    lock = threading.Lock()

    def change(by: int) -> None:
        with lock:
            at_work.append(at_work[-1] + by)

    def slow() -> None:
        change(1)
        time.sleep(0.1)
        change(-1)

    receiver.answers["/crm"] = Answer(before=slow)
    assert project.run_cli("upgrade", env=environment).returncode == 0
    workers = [project.start_cli("worker", "--no-scheduler", env=environment) for _ in range(2)]
    try:
        wait_until(lambda: len(receiver.requests) == 2 * count)
    finally:
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
        for worker in workers:
            worker.communicate(timeout=60)
    assert max(at_work) == 2
    sent = {(request.path, request.headers["Upgrader-Delivery"]) for request in receiver.requests}
    assert len(sent) == 2 * count
