"""Jobs are there when everything that held them in memory is gone."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.queue_hosts import Mails, consuming
from tests.support.server import wait_until
from upgrader.database.connect import Connector
from upgrader.database.embedded import embedded_server
from upgrader.worker import JobQueue
from upgrader.worker.queue.layout import bring_up_to_date


@pytest.fixture
def data() -> Iterator[Path]:
    """Where a server of the test's own has its data: pytest's own folders may be closed to the server's user."""
    folder = Path(tempfile.mkdtemp(prefix="upg-"))
    folder.chmod(0o711)
    yield folder / "data"
    shutil.rmtree(folder, ignore_errors=True)


def test_jobs_survive_a_server_that_crashes(data: Path) -> None:
    """No worker is there, and the server ends in the middle of its work; started again it has them still."""
    with embedded_server(data) as url:
        with Connector(url).connect() as driver:
            bring_up_to_date(driver, "upgrader_worker")
        queue = JobQueue.at(url)
        queue.add("mails", "send", {"to": "ada"})
        queue.close()
        server = int((data / "postmaster.pid").read_text().splitlines()[0])
        os.kill(server, signal.SIGQUIT)  # an immediate end: nothing is written out
        wait_until(lambda: not (data / "postmaster.pid").exists())
    mails = Mails()
    with embedded_server(data) as url, consuming(url, mails):
        mails.wait_for(1)
    assert [job.data for job in mails.seen] == [{"to": "ada"}]
