"""The way of the verbs for jobs to the queue."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from upgrader.cli.invocation import Invocation

if TYPE_CHECKING:
    from upgrader.worker.queue.administration import QueueAdministration


@contextmanager
def queue_of(invocation: Invocation) -> Iterator[QueueAdministration]:
    """Give the queue that the settings name, `.env` and `.env.local` included."""
    from upgrader.cli.render.events import event_blocks
    from upgrader.events import Notice
    from upgrader.worker.environment_files import read_environment_files
    from upgrader.worker.queue.administration import queue_administration

    read_environment_files(Path(), os.environ)

    def notify(message: str) -> None:
        invocation.output.tell(*event_blocks(Notice(message)))

    directory = invocation.loaded.directory
    with queue_administration(invocation.settings, directory=directory, notify=notify) as administration:
        yield administration
